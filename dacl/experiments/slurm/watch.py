"""Cells in the hands of a cluster, watched through its queue and the shared folder until each of them ended."""

import time
from dataclasses import dataclass, field

from dacl.experiments.cell_commands import PROMPT, CellLog, first_error, last_start
from dacl.experiments.cell_progress import CellListener, Doing, ProgressReader, where
from dacl.experiments.cells import Cell
from dacl.experiments.slurm.book import Book, Ticket
from dacl.experiments.slurm.queue import Queue
from dacl.experiments.slurm.states import ENDED, RUNNING, TAKEN_AWAY, Unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds between two looks."""

    files_s: float = 2.0
    queue_s: float = 15.0
    settle_s: float = 15.0
    """After the end of a job, until its files are believed to be all there is: file systems lag."""


@dataclass(slots=True, kw_only=True)
class Watched:
    """A cell with a job."""

    cell: Cell
    ticket: Ticket
    log: CellLog
    progress: ProgressReader = field(init=False)
    state: str | None = "PENDING"
    doing: Doing | None = None
    ended_at: float | None = None
    _log_size: int = -1
    _command: Doing | None = None

    def __post_init__(self) -> None:
        self.progress = ProgressReader(self.cell)

    def said(self) -> str:
        """What its last start wrote."""
        return last_start(self.log.since(self.ticket.log_from))

    def command(self) -> Doing | None:
        """What the last start does, by its log; nothing before its first command."""
        size = self.log.size()
        if size != self._log_size:
            said = self.said()
            commands: dict[str, Doing] = {"train": "training", "evaluate": "evaluating"}
            named = (d for word, d in commands.items() if said.startswith(f"{PROMPT}dacl {word} "))
            self._log_size, self._command = size, next(named, None)
        return self._command

    def words(self) -> str:
        """`queued as job 123_4`."""
        return f"{self.doing or 'queued'} as job {self.ticket.job}"


class Watch:
    """The cells in the hands of the cluster, and what became of the others."""

    def __init__(self, book: Book, queue: Queue, listener: CellListener, pace: Pace) -> None:
        self._book, self._queue, self._listener, self._pace = book, queue, listener, pace
        self._ask_at = 0.0
        self.cells: list[Watched] = []
        self.failed: dict[str, str] = {}
        self.unfinished: dict[str, str] = {}

    def fail(self, cell: Cell, why: str) -> None:
        """Write down that a cell failed."""
        self.failed[cell.name] = why
        self._listener.changed(cell, "failed", why)

    def done(self, cell: Cell) -> None:
        """Tell that a cell is done."""
        self._listener.changed(cell, "done")

    def advance(self) -> None:
        """Look at every cell once."""
        now = time.monotonic()
        if now >= self._ask_at:
            self._ask(now)
        for each in self.cells.copy():
            if each.ended_at is None:
                self._going_on(each)
            else:
                self._ended(each, now - each.ended_at)

    def _ask(self, now: float) -> None:
        self._ask_at = now + self._pace.queue_s
        try:
            states = self._queue.states({each.ticket.job for each in self.cells})
        except Unreachable:  # the jobs need no answer
            # one that ended may have come back since: two answers in a row make an end
            for each in self.cells:
                each.ended_at = None
            return
        for each in self.cells:
            each.state = states.get(each.ticket.job)
            if each.state is not None and each.state not in ENDED:
                each.ended_at = None
            elif each.ended_at is None:
                each.ended_at = now

    def _going_on(self, each: Watched) -> None:
        doing: Doing = "queued"
        if each.state in RUNNING:
            doing = each.command() or each.doing or doing
        if doing != each.doing:
            each.doing = doing
            why = f"job {each.ticket.job}" if doing == "queued" else ""
            self._listener.changed(each.cell, doing, why)
        self._report(each)

    def _report(self, each: Watched) -> None:
        progress = each.progress.read() if each.doing == "training" else None
        if progress is not None:
            self._listener.progressed(each.cell, progress)

    def _ended(self, each: Watched, since_s: float) -> None:
        cell = each.cell
        self._report(each)
        state = where(cell)
        if state != "done" and since_s < self._pace.settle_s:
            return
        self.cells.remove(each)
        self._book.remove([cell.run_dir.name])
        if state == "done":
            self.done(cell)
        elif each.state in TAKEN_AWAY:
            self.unfinished[cell.name] = f"{state}; job {each.ticket.job} {each.state.lower()}"
            self._listener.changed(cell, "stopped", self.unfinished[cell.name])
        else:
            self.fail(cell, first_error(each.said()) or self._silent(each))

    def _silent(self, each: Watched) -> str:
        """A job that did not come to write a line of error: no memory, no Python on its node."""
        ended = f"ended as {each.state}" if each.state else "is not known to Slurm any more"
        return f"job {each.ticket.job} {ended}, see {self._book.path.parent}/{each.ticket.job}_0_log.err"
