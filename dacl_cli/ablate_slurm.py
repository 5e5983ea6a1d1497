"""`dacl ablate --launcher slurm`: the cells as jobs of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dacl_cli import console
from dacl_cli.stopping import stop_on_signal

if TYPE_CHECKING:
    from dacl.experiments.cell_progress import Outcome
    from dacl.experiments.cells import Cell, Status
    from dacl.experiments.slurm.request import JobRequest

LEAVING = "leaving; the jobs go on"


def run(
    found: Sequence[tuple[Cell, Status]], folder: Path, request: JobRequest, wait: bool
) -> Outcome:
    """Submit what is missing, and wait unless asked not to."""
    from dacl.experiments.cell_progress import Outcome
    from dacl.experiments.slurm.book import FOLDER
    from dacl.experiments.slurm.launch import launch
    from dacl.experiments.slurm.queue import SlurmQueue
    from dacl_cli.ablate_view import cells_view

    todo = [cell for cell, status in found if status.state != "done"]
    if not todo:
        return Outcome(failed={}, unfinished={})
    queue = SlurmQueue(folder / FOLDER, _name(folder), request)
    console.note(f"{len(todo)} of {len(found)} cells to run as jobs of Slurm -> {folder}", style="")
    with stop_on_signal(LEAVING) as should_leave, cells_view(found) as view:
        return launch(
            todo, folder, queue=queue, threads=request.threads, listener=view, wait=wait,
            should_leave=should_leave,
        )  # fmt: skip


def show_plan(
    found: Sequence[tuple[Cell, Status]], folder: Path, request: JobRequest, as_json: bool
) -> None:
    """The cells, and the batch script that would be submitted; no time is estimated for other machines."""
    from dacl.experiments.slurm.book import FOLDER, Book
    from dacl.experiments.slurm.launch import live_tickets
    from dacl.experiments.slurm.queue import SlurmQueue

    queue = SlurmQueue(folder / FOLDER, _name(folder), request)
    todo = [cell for cell, status in found if status.state != "done"]
    live = live_tickets(todo, Book(folder), queue)
    states = {cell.name: str(status) for cell, status in found}
    for cell in todo:
        if cell.run_dir.name in live:
            ticket, state = live[cell.run_dir.name]
            states[cell.name] += f"; job {ticket.job} {state.lower()}"
    script = queue.script(sum(cell.run_dir.name not in live for cell in todo))
    if as_json:
        cells = [
            {"cell": cell.name, "folder": cell.run_dir, "state": status.state, "step": status.step,
             "steps": cell.config.optim.steps,
             "job": live[cell.run_dir.name][0].job if cell.run_dir.name in live else None}
            for cell, status in found
        ]  # fmt: skip
        console.emit_json({"cells": cells, "script": script})
        return
    lines = [(cell.name, states[cell.name], cell.config.optim.steps) for cell, _ in found]
    console.table(("cell", "state", "steps"), lines, title=str(folder), right=("steps",))
    console.say(script)


def tell_left(outcome: Outcome, folder: Path) -> None:
    """What goes on without this command, and how to end it."""
    from dacl.experiments.slurm.book import Book

    tickets = Book(folder).read().values()
    parents = " ".join(dict.fromkeys(ticket.parent for ticket in tickets))
    console.note(
        f"jobs of Slurm that go on: {len(outcome.queued)}; the same command waits for them and makes "
        f"the table, `scancel {parents}` ends them",
        style="",
    )


def _name(folder: Path) -> str:
    """Of the jobs, as `squeue` lists them."""
    return f"dacl-{folder.resolve().name}"
