"""Running what is missing of a table on this machine, several cells at once.

Nothing is printed: a listener hears what happens, and what a cell says stands in its log.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dacl.errors import DaclError
from dacl.experiments.cell_commands import CellCommands
from dacl.experiments.cell_progress import CellListener, Outcome, ProgressReader, where
from dacl.experiments.cells import Cell
from dacl.experiments.slurm.book import refuse_submitted
from dacl.folder_lock import alone
from dacl.training.device import pick_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """How many processes run at once, and what each has."""

    jobs: int
    """Processes at once."""
    threads: int
    """CPU threads of each."""
    gpus: tuple[str, ...] = ()
    """As CUDA_VISIBLE_DEVICES names them; empty on a CPU."""


def slots_of(device: str, jobs: int | None = None, threads: int | None = None) -> Slots:
    """One process per GPU, or one; the cores divided among them.

    Raises:
        DaclError: the device is absent.
    """
    gpus: tuple[str, ...] = ()
    if pick_device(device).type == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        names = [name.strip() for name in visible.split(",") if name.strip()]
        gpus = tuple(names or map(str, range(torch.cuda.device_count())))
    jobs = jobs or max(1, len(gpus))
    return Slots(jobs=jobs, threads=threads or max(1, torch.get_num_threads() // jobs), gpus=gpus)


def launch(
    cells: Sequence[Cell],
    out: Path,
    *,
    slots: Slots,
    listener: CellListener,
    should_stop: Callable[[], bool] = lambda: False,
    poll_seconds: float = 0.5,
) -> Outcome:
    """Train and evaluate what is not done, in the order given.

    Args:
        cells: of one table; those that are done are passed over.
        out: the folder of the table; `configs/` and `logs/` are written there.
        slots: how many processes at once, and on what.
        listener: hears what happens.
        should_stop: once true, nothing new begins and each process is asked to save and end.
        poll_seconds: between two looks at the processes.

    Raises:
        DaclError: another process runs the cells of this folder, or a cluster does.
    """
    waiting = deque(cells)
    with alone(out) as lock:
        refuse_submitted(cells, out)
        jobs = _Jobs(out, slots, listener, lock)
        try:
            while waiting or jobs.running:
                if should_stop():
                    jobs.stop()
                    jobs.unfinished |= {cell.name: where(cell) for cell in waiting}
                    waiting.clear()
                elif waiting and jobs.free:
                    jobs.begin(waiting.popleft())
                    continue  # should_stop is asked between any two starts
                if jobs.running:
                    time.sleep(poll_seconds)
                jobs.advance()
        finally:  # interrupted at once: a process left behind would go on writing
            for job in jobs.running:
                job.commands.process.kill()
                job.commands.process.wait()
    return Outcome(failed=jobs.failed, unfinished=jobs.unfinished)


class _Jobs:
    """The cells in work, each in a slot of its own."""

    def __init__(self, out: Path, slots: Slots, listener: CellListener, lock: int) -> None:
        self._out, self._slots, self._listener, self._lock = out, slots, listener, lock
        self.free = deque(range(slots.jobs))
        self.running: list[_Job] = []
        self.failed: dict[str, str] = {}
        self.unfinished: dict[str, str] = {}
        self._stopping = False

    def begin(self, cell: Cell) -> None:
        """Start what a cell needs first, if it needs anything."""
        try:
            commands = CellCommands(cell, self._out, self._slots.threads)
            job = _Job(slot=self.free[0], commands=commands)
            if self._next(job):
                self.free.popleft()
                self.running.append(job)
                self._listener.changed(cell, commands.doing)
        except DaclError as error:
            self._fail(cell, error.message)
        except OSError as error:  # a full disk, too many processes
            self._fail(cell, str(error))

    def stop(self) -> None:
        """Ask every process to save and end, once."""
        if not self._stopping:
            self._stopping = True
            # Ctrl-C reached them as well. To `dacl train` SIGTERM after it is the same request.
            for job in self.running:
                job.commands.process.terminate()

    def advance(self) -> None:
        """Look at every process once: report what it wrote, and go on where it ended."""
        for job in self.running.copy():
            training = job.commands.doing == "training"
            progress = job.progress.read() if training else None
            if progress is not None:
                self._listener.progressed(job.cell, progress)
            code = job.commands.process.poll()
            if code is not None:
                self._ended(job, code)

    def _next(self, job: "_Job") -> bool:
        gpus = self._slots.gpus
        environment = {"CUDA_VISIBLE_DEVICES": gpus[job.slot % len(gpus)]} if gpus else {}
        return job.commands.next(environment, self._lock)

    def _ended(self, job: "_Job", code: int) -> None:
        cell, commands = job.cell, job.commands
        if code == 0 and not self._stopping and self._next(job):
            self._listener.changed(cell, commands.doing)
            return
        self.running.remove(job)
        self.free.append(job.slot)
        if code == 0 and commands.doing == "evaluating":
            self._listener.changed(cell, "done")
        elif code == 0 or self._stopping:
            self.unfinished[cell.name] = where(cell)
            self._listener.changed(cell, "stopped", self.unfinished[cell.name])
        else:
            self._fail(cell, commands.reason(code))

    def _fail(self, cell: Cell, why: str) -> None:
        self.failed[cell.name] = why
        self._listener.changed(cell, "failed", why)


@dataclass(slots=True, kw_only=True)
class _Job:
    """A cell in one of the slots."""

    slot: int
    commands: CellCommands
    progress: ProgressReader = field(init=False)

    def __post_init__(self) -> None:
        self.progress = ProgressReader(self.cell)

    @property
    def cell(self) -> Cell:
        return self.commands.cell
