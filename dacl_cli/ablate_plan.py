"""What `dacl ablate` has before it: how far the cells are, and how long the rest takes here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dacl.errors import DaclError
from dacl_cli import console

if TYPE_CHECKING:
    from dacl.data.prepared import PreparedDataset
    from dacl.experiments.cells import Cell, Status
    from dacl.experiments.launch import Slots


def survey(cells: Sequence[Cell], force: bool) -> list[tuple[Cell, Status]]:
    """How far each cell is; with `force` finished runs of other settings are taken as they are."""
    from dacl.experiments.cells import Status, look

    found = []
    for cell in cells:
        try:
            status = look(cell)
        except DaclError:
            if not (force and (cell.evaluation / "summary.json").is_file()):
                raise
            status = Status(state="done")
        found.append((cell, status))
    return found


def show_plan(
    found: Sequence[tuple[Cell, Status]],
    dataset: PreparedDataset,
    slots: Slots,
    folder: Path,
    as_json: bool,
) -> None:
    """The cells with the time that each takes on this machine, by a few steps of each."""
    from dacl.experiments.estimate import seconds_left_by_cell
    from dacl_cli.train_view import duration

    with console.progress("timing a few steps") as report:
        seconds = seconds_left_by_cell(found, dataset, slots.threads, report)
    total = sum(seconds.values()) / slots.jobs
    if as_json:
        cells = [
            {"cell": cell.name, "folder": cell.run_dir, "state": status.state, "step": status.step,
             "steps": cell.config.optim.steps, "seconds": seconds[cell.name]}
            for cell, status in found
        ]  # fmt: skip
        console.emit_json(
            {"cells": cells, "jobs": slots.jobs, "threads": slots.threads, "seconds": total}
        )
        return
    lines = [
        (cell.name, str(status), cell.config.optim.steps,
         duration(seconds[cell.name]) if seconds[cell.name] else None)
        for cell, status in found
    ]  # fmt: skip
    console.table(("cell", "state", "steps", "training left"), lines, title=str(folder),
                  right=("steps", "training left"))  # fmt: skip
    done = sum(status.state == "done" for _, status in found)
    console.say(
        f"{done} of {len(found)} cells done; about {duration(total)} of training left, "
        f"{slots.jobs} at once, {slots.threads} threads each; evaluation comes on top"
    )
