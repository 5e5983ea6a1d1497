"""What a job does on its node: one cell, to its end or until the cluster takes the node away.

Slurm announces the end of a job (its time, or preemption) by a signal to every process of it, SIGUSR2 unless somebody
chose another; submitit's handler then asks `CellTask.checkpoint` what to run next, requeues the job under the same
number, and ends. That handler interrupts any line of Python, also in the middle of `subprocess`, where waiting for the
`dacl train` below would deadlock. So while a command runs the signal only leaves a mark; the command is asked to save,
awaited, and gone before the signal is handed on.
"""

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from dacl.errors import DaclError
from dacl.experiments.cell_commands import CellCommands, CellLog
from dacl.experiments.cell_progress import where
from dacl.experiments.cells import Cell, look
from dacl.experiments.slurm.book import FOLDER
from dacl.experiments.slurm.child import end_with_parent, unheard
from dacl.folder_lock import hold

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

FRUITLESS = 3
"""Starts in a row that trained no step before the job is given up."""
POLL_S = 0.2
APART_S = 3.0
"""Between SIGTERM and the announcement, where a cluster sends both."""
LOCK_PATIENCE_S = 120.0
"""A process of an earlier start, on a node that was lost, may still be ending."""


class CellFailed(DaclError):
    """A command of the cell failed, or somebody stopped it who was not the cluster."""


class CellTask:
    """A cell as a callable that submitit pickles, runs on a node, and runs again after a requeue.

    Args:
        cell: the cell.
        out: the folder of the table.
        threads: CPU threads of each command.
    """

    def __init__(self, cell: Cell, out: Path, threads: int) -> None:
        self.cell, self.out, self.threads = cell, out, threads
        # Relative paths mean what they meant where the command was typed.
        self._folder = Path.cwd()
        self._fruitless = 0
        self._step = 0

    def __call__(self) -> None:
        """Train and evaluate what is not done; the log says why that failed.

        Raises:
            CellFailed: a command failed.
            DaclError: the folder holds something else, or another process has it.
        """
        os.chdir(self._folder)
        log = CellLog(self.out, self.cell)
        log.prompt(f"# {_job()}")
        with _Signals() as signals:
            try:
                taken_away = self._run(log, signals)
            except DaclError as error:
                log.error(error.message)
                raise
            except OSError as error:  # a full disk, too many processes
                log.error(str(error))
                raise
        if taken_away:
            signal.raise_signal(signals.announcement)  # submitit requeues the job, and ends here

    def checkpoint(self) -> "DelayedSubmission | None":
        """What the requeued job runs: the same; None where the starts get nowhere."""
        from submitit.helpers import DelayedSubmission

        steps = _steps(self.cell)
        self._fruitless = 0 if steps > self._step else self._fruitless + 1
        self._step = steps  # also for a start that ends before it looks
        if self._fruitless < FRUITLESS:
            return DelayedSubmission(self)
        CellLog(self.out, self.cell).error(
            f"given up: {FRUITLESS} starts in a row ended before a step of training was saved; "
            "ask for more --time"
        )
        return None

    def _run(self, log: CellLog, signals: "_Signals") -> bool:
        """Whether the cluster took the node away before the cell was done."""
        self._step = _steps(self.cell)
        with self._alone() as lock:
            commands = CellCommands(self.cell, self.out, self.threads)
            code = 0
            while code == 0 and commands.left and not signals.stop:
                with unheard(signals.announcement):  # it would kill a process that does not know it
                    commands.next({}, lock, end_with_parent)
                code = signals.wait(commands)
        if code == 0 and not commands.left:
            return False
        if not signals.stop:
            raise CellFailed(commands.reason(code))
        if signals.announced(APART_S) or _preempted():
            log.prompt(f"# the cluster takes the node: {where(self.cell)}, requeued")
            return True
        raise CellFailed(f"stopped by SIGTERM: {where(self.cell)}")

    def _alone(self) -> AbstractContextManager[int]:
        locks = self.out / FOLDER / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        taken = CellFailed(f"another process is running {self.cell.name}")
        return hold(locks / self.cell.run_dir.name, taken, LOCK_PATIENCE_S)


class _Signals:
    """Remembers what the cluster sent; as a context in place of submitit's handlers."""

    def __init__(self) -> None:
        from submitit.core.job_environment import JobEnvironment

        self.announcement: signal.Signals = JobEnvironment._usr_sig()
        self._got: set[int] = set()

    def __enter__(self) -> "_Signals":
        self._before = {
            number: signal.signal(number, lambda got, _: self._got.add(got))
            for number in (signal.SIGTERM, self.announcement)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def stop(self) -> bool:
        """Whether there was any."""
        return bool(self._got)

    def announced(self, patience_s: float) -> bool:
        """Whether the end was announced, or is within some seconds."""
        deadline = time.monotonic() + patience_s
        while self.announcement not in self._got and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return self.announcement in self._got

    def wait(self, commands: CellCommands) -> int:
        """Exit code of the command, which is asked to save and end as soon as there is a signal."""
        process, asked = commands.process, False
        try:
            while (code := process.poll()) is None:
                if self.stop and not asked:
                    asked = True
                    process.terminate()
                time.sleep(POLL_S)
        except BaseException:  # interrupted at once: a process left behind would go on writing
            process.kill()
            process.wait()
            raise
        return code


def _steps(cell: Cell) -> int:
    try:
        return look(cell).step
    except DaclError:
        return 0


def _job() -> str:
    from submitit.core.job_environment import JobEnvironment

    return f"job {JobEnvironment().job_id} on {socket.gethostname()}"


def _preempted() -> bool:
    """Whether this job is in the grace time of a preemption, where SIGTERM may be all that Slurm sends.

    A job that ends within the grace time has failed in the eyes of Slurm, which does not requeue it then.
    """
    from submitit.core.job_environment import JobEnvironment

    here = JobEnvironment()
    if here.cluster != "slurm":
        return False
    try:
        # SLURM_JOB_ID of an array's last task is that of the whole array, whose tasks would all be shown.
        words = ["scontrol", "show", "job", here.job_id]
        shown = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = dict(re.findall(r"\b(JobState|StartTime|PreemptTime)=(\S+)", shown.stdout))
    at, since = found.get("PreemptTime", ""), found.get("StartTime", "")
    return found.get("JobState") == "RUNNING" and at[:1].isdigit() and at >= since
