"""Running what is missing of a table: every cell is a `dacl train` and a `dacl evaluate` in processes of their own.

Processes, because a cell that fails, or takes all memory, must not take the others with it. Nothing is printed: a
listener hears what happens, and what a cell says stands in its log.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch

from dacl.config_text import to_toml
from dacl.errors import DaclError
from dacl.experiments.cells import Cell, Status, look
from dacl.training.device import pick_device
from dacl.training.journal import Journal

Doing = Literal["training", "evaluating", "done", "failed", "stopped"]


class Progress(NamedTuple):
    """How far a training is."""

    step: int
    total: int
    dice: float | None
    """Of the last validation: network a, mean over classes, a fraction of 1."""


@runtime_checkable
class Listener(Protocol):
    """Whoever shows the cells."""

    def changed(self, cell: Cell, doing: Doing, why: str = "") -> None:
        """A cell began something or ended; `why` it failed, or where it stopped."""

    def progressed(self, cell: Cell, progress: Progress) -> None:
        """A cell in training wrote something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the processes share."""

    jobs: int
    """Processes at once."""
    threads: int
    """CPU threads of each."""
    gpus: tuple[str, ...] = ()
    """As CUDA_VISIBLE_DEVICES names them; empty on a CPU."""


def machine(device: str, jobs: int | None = None, threads: int | None = None) -> Machine:
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
    return Machine(jobs=jobs, threads=threads or max(1, torch.get_num_threads() // jobs), gpus=gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is not done, and why; by name of the cell."""

    failed: Mapping[str, str]
    unfinished: Mapping[str, str]
    """Stopped, or never begun."""

    @property
    def missing(self) -> dict[str, str]:
        """Both, as a table names them."""
        failed = {name: f"failed: {why}" for name, why in self.failed.items()}
        return {**self.unfinished, **failed}


def log_path(out: Path, cell: Cell) -> Path:
    """Where everything that the processes of a cell say is kept."""
    return out / "logs" / f"{cell.run_dir.name}.log"


def launch(
    cells: Sequence[Cell],
    out: Path,
    *,
    machine: Machine,
    listener: Listener,
    should_stop: Callable[[], bool] = lambda: False,
    poll_seconds: float = 0.5,
) -> Outcome:
    """Train and evaluate what is not done, in the order given.

    Args:
        cells: of one table; those that are done are passed over.
        out: the folder of the table; `configs/` and `logs/` are written there.
        machine: how many processes at once, and on what.
        listener: hears what happens.
        should_stop: once true, nothing new begins and each process is asked to save and end.
        poll_seconds: between two looks at the processes.

    Raises:
        DaclError: another process runs the cells of this folder.
    """
    waiting = deque(cells)
    with _alone(out) as lock:
        jobs = _Jobs(out, machine, listener, lock)
        try:
            while waiting or jobs.running:
                if should_stop():
                    jobs.stop()
                    jobs.unfinished |= {cell.name: _where(cell) for cell in waiting}
                    waiting.clear()
                elif waiting and jobs.free:
                    jobs.begin(waiting.popleft())
                    continue  # should_stop is asked between any two starts
                if jobs.running:
                    time.sleep(poll_seconds)
                jobs.advance()
        finally:  # interrupted at once: a process left behind would go on writing
            for job in jobs.running:
                job.process.kill()
                job.process.wait()
    return Outcome(failed=jobs.failed, unfinished=jobs.unfinished)


class _Jobs:
    """The cells in work, each in a slot of the machine."""

    def __init__(self, out: Path, machine: Machine, listener: Listener, lock: int) -> None:
        self._out, self._machine, self._listener, self._lock = out, machine, listener, lock
        self.free = deque(range(machine.jobs))
        self.running: list[_Job] = []
        self.failed: dict[str, str] = {}
        self.unfinished: dict[str, str] = {}
        self._stopping = False

    def begin(self, cell: Cell) -> None:
        """Start what a cell needs first, if it needs anything."""
        try:
            job = _Job(
                cell=cell, slot=self.free[0], out=self._out, machine=self._machine, lock=self._lock
            )
            if job.next():
                self.free.popleft()
                self.running.append(job)
                self._listener.changed(cell, job.doing)
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
                job.process.terminate()

    def advance(self) -> None:
        """Look at every process once: report what it wrote, and go on where it ended."""
        for job in self.running.copy():
            progress = job.progress()
            if progress is not None:
                self._listener.progressed(job.cell, progress)
            code = job.process.poll()
            if code is not None:
                self._ended(job, code)

    def _ended(self, job: "_Job", code: int) -> None:
        cell = job.cell
        if code == 0 and not self._stopping and job.next():
            self._listener.changed(cell, job.doing)
            return
        self.running.remove(job)
        self.free.append(job.slot)
        if code == 0 and job.doing == "evaluating":
            self._listener.changed(cell, "done")
        elif code == 0 or self._stopping:
            self.unfinished[cell.name] = _where(cell)
            self._listener.changed(cell, "stopped", self.unfinished[cell.name])
        else:
            self._fail(cell, job.reason(code))

    def _fail(self, cell: Cell, why: str) -> None:
        self.failed[cell.name] = why
        self._listener.changed(cell, "failed", why)


def start(
    words: Sequence[str], log: Path, environment: Mapping[str, str], lock: int
) -> "subprocess.Popen[bytes]":
    """Start `dacl WORDS`, everything it says added to `log`.

    The lock is handed down: while a process lives on after its parent was killed, nobody else runs the cells.
    """
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "dacl_cli", *words],
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            env={**os.environ, **environment}, pass_fds=(lock,),
        )  # fmt: skip


def commands(cell: Cell, status: Status, config_file: Path, threads: int) -> list[list[str]]:
    """Arguments of the `dacl` commands that a cell still needs."""
    run, data = str(cell.run_dir), ["--data", str(cell.data)]
    fresh = ["--config", str(config_file), "--out", run]
    fresh += ["--overwrite"] if status.leftover else []
    going_on = status.state == "interrupted"
    train = ["train", *(["--resume", run] if going_on else fresh), *data, "--threads", str(threads)]
    # A table needs numbers. `dacl evaluate RUN` draws and writes the volumes of the cells that deserve a look.
    evaluate = ["evaluate", run, *data, "--device", cell.config.device]
    evaluate += ["--no-predictions", "--no-pictures"]
    return {"done": [], "trained": [evaluate]}.get(status.state, [train, evaluate])


@dataclass(slots=True, kw_only=True)
class _Job:
    """A cell in one of the slots."""

    cell: Cell
    slot: int
    out: Path
    machine: Machine
    lock: int
    doing: Doing = "training"
    process: "subprocess.Popen[bytes]" = field(init=False)
    _left: list[list[str]] = field(init=False)
    _log: Path = field(init=False)
    _log_begin: int = 0
    _journal_size: int = 0

    def __post_init__(self) -> None:
        status = look(self.cell)
        if status.state == "damaged":
            raise DaclError(status.why)
        config = self.out / "configs" / f"{self.cell.run_dir.name}.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(to_toml(self.cell.config), encoding="utf-8")
        self._left = commands(self.cell, status, config, self.machine.threads)
        self._log = log_path(self.out, self.cell)
        self._log.parent.mkdir(parents=True, exist_ok=True)

    def next(self) -> bool:
        """Start the next command, if there is one."""
        if not self._left:
            return False
        words = self._left.pop(0)
        with self._log.open("a", encoding="utf-8") as file:
            self._log_begin = file.tell()
            file.write(f"$ dacl {' '.join(words)}\n")
        # `dacl evaluate` has no --threads.
        environment = {"OMP_NUM_THREADS": str(self.machine.threads)}
        if self.machine.gpus:
            gpus = self.machine.gpus
            environment["CUDA_VISIBLE_DEVICES"] = gpus[self.slot % len(gpus)]
        self.doing = "training" if words[0] == "train" else "evaluating"
        self.process = start(words, self._log, environment, self.lock)
        return True

    def progress(self) -> Progress | None:
        """How far the training is, if it wrote something since the last time."""
        journal = Journal(self.cell.run_dir)
        size = journal.path.stat().st_size if journal.path.exists() else 0
        if self.doing != "training" or size == self._journal_size:
            return None
        self._journal_size = size
        records = journal.records()
        if not records:
            return None
        dice = [record["mean_dice"]["a"] for record in records if record["kind"] == "val"]
        return Progress(
            records[-1]["step"], self.cell.config.optim.steps, dice[-1] if dice else None
        )

    def reason(self, code: int) -> str:
        """Why the command failed: its first line of error, or how the process ended."""
        said = self._log.read_bytes()[self._log_begin :].decode(errors="replace").splitlines()
        for line in said:
            if line.startswith("Error: "):
                return line.removeprefix("Error: ")
        if code == -signal.SIGKILL:
            return "killed (SIGKILL), perhaps for want of memory"
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _where(cell: Cell) -> str:
    try:
        return str(look(cell))
    except DaclError as error:
        return error.message


@contextmanager
def _alone(out: Path) -> Iterator[int]:
    """Hold the folder's lock; two processes that resume one run would ruin it."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DaclError(
                f"another process is running the cells of {out}",
                "wait for it, or choose another folder with --out",
            ) from None
        yield file.fileno()
