"""Running what is missing of a table on a cluster: submitted as one array, then watched through the shared folder.

The jobs do not need the process that submitted them. It may leave, or be killed: the same command finds them in the
book, waits for those that are queued or running, and submits the others.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dacl.config import config_hash
from dacl.errors import DaclError
from dacl.experiments.cell_commands import CellLog
from dacl.experiments.cell_progress import CellListener, Outcome
from dacl.experiments.cells import Cell, look
from dacl.experiments.slurm.book import Book, Ticket
from dacl.experiments.slurm.queue import Queue
from dacl.experiments.slurm.states import ENDED
from dacl.experiments.slurm.task import CellTask
from dacl.experiments.slurm.watch import Pace, Watch, Watched
from dacl.folder_lock import alone


def launch(
    cells: Sequence[Cell],
    out: Path,
    *,
    queue: Queue,
    threads: int,
    listener: CellListener,
    wait: bool = True,
    should_leave: Callable[[], bool] = lambda: False,
    pace: Pace | None = None,
) -> Outcome:
    """Submit what is neither done nor submitted, and wait for all of it.

    Args:
        cells: of one table, none of them done.
        out: the folder of the table, seen by every node under the same name.
        queue: the cluster.
        threads: CPU threads of each command.
        listener: hears what happens.
        wait: until the cells ended; else leave once they are submitted.
        should_leave: once true, the jobs are left to themselves.
        pace: how often to look; by default as often as a cluster likes.

    Raises:
        DaclError: another process watches or runs these cells, Slurm takes no job or does not answer, or a cell is
            queued with other settings.
    """
    with alone(out):
        book, pace = Book(out), pace or Pace()
        watch = Watch(book, queue, listener, pace)
        tickets = _submit(cells, out, book, queue, threads, watch)
        watch.cells = [
            Watched(cell=cell, ticket=ticket, log=CellLog(out, cell))
            for cell in cells
            if (ticket := tickets.get(cell.run_dir.name)) is not None
        ]
        watch.advance()
        while watch.cells and wait and not should_leave():
            time.sleep(pace.files_s)
            watch.advance()
        queued = {each.cell.name: each.words() for each in watch.cells}
    return Outcome(failed=watch.failed, unfinished=watch.unfinished, queued=queued)


def live_tickets(cells: Sequence[Cell], book: Book, queue: Queue) -> dict[str, tuple[Ticket, str]]:
    """Ticket and state of each cell that is queued or running, by the name of its run's folder.

    Raises:
        DaclError: Slurm does not answer, or a cell is queued with other settings.
    """
    tickets = book.read()
    states = queue.states({ticket.job for ticket in tickets.values()})
    live = {
        name: (ticket, state)
        for name, ticket in tickets.items()
        if (state := states.get(ticket.job)) is not None and state not in ENDED
    }
    for cell in cells:
        ticket, _ = live.get(cell.run_dir.name, (None, ""))
        if ticket is not None and ticket.config_hash != config_hash(cell.config):
            raise DaclError(
                f"{cell.name} is job {ticket.job} of Slurm with other settings",
                f"ask for its settings, give it up (scancel {ticket.parent}), or choose another --out",
            )
    return live


def _submit(
    cells: Sequence[Cell],
    out: Path,
    book: Book,
    queue: Queue,
    threads: int,
    watch: Watch,
) -> dict[str, Ticket]:
    """Submit what nobody has; the tickets of all cells that have a job now."""
    live = {name: ticket for name, (ticket, _) in live_tickets(cells, book, queue).items()}
    new = []
    for cell in cells:
        if cell.run_dir.name in live:
            continue
        try:
            status = look(cell)
        except DaclError as error:
            watch.fail(cell, error.message)
            continue
        if status.state == "damaged":
            watch.fail(cell, status.why)
        elif status.state == "done":  # while this command started
            watch.done(cell)
        else:
            new.append(cell)
    sizes = [CellLog(out, cell).size() for cell in new]
    jobs = queue.submit([CellTask(cell, out, threads) for cell in new]) if new else []
    for cell, job, size in zip(new, jobs, sizes, strict=True):
        live[cell.run_dir.name] = Ticket(
            job=job, config_hash=config_hash(cell.config), log_from=size
        )
    if live or book.path.exists():
        book.write(live)
    return live
