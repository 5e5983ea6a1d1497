"""How the cells of an ablation look while they run, and the table that fits a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dacl_cli import console
from dacl_cli.train_view import duration

if TYPE_CHECKING:
    from dacl.experiments.cell_progress import Doing, Progress
    from dacl.experiments.cells import Cell, Status
    from dacl.table import Table

COLUMNS = ("cell", "state", "step", "val Dice", "elapsed", "left")
# Of a table that is too wide for a terminal; they stand in the files.
LEFT_OUT = ("JC %", "ASD vox", "HD95 vox")


@dataclass(slots=True)
class _Line:
    """What is known of a cell."""

    state: str
    progress: Progress | None = None
    began: float | None = None
    ended: float | None = None
    first: tuple[float, int] | None = None
    """Clock and step of the first word of this training."""

    def cells(self, name: str, now: float) -> tuple[str, ...]:
        """By `COLUMNS`."""
        step = dice = elapsed = left = ""
        if self.began is not None:
            elapsed = duration((self.ended or now) - self.began)
        if self.progress is not None:
            at, total, value = self.progress
            step = f"{at}/{total}"
            dice = "" if value is None else f"{100 * value:.1f}"
            if self.first is not None and at > self.first[1] and self.state == "training":
                since, first = self.first
                left = duration((total - at) / (at - first) * (now - since))
        return (name, self.state, step, dice, elapsed, left)


class LiveCells:
    """A listener that keeps a table of all cells.

    Args:
        found: every cell, and how far it was before.
    """

    def __init__(self, found: Sequence[tuple[Cell, Status]]) -> None:
        self._lines = {cell.name: _Line(str(status)) for cell, status in found}

    def changed(self, cell: Cell, doing: Doing, why: str = "") -> None:
        """Write down what the cell does."""
        line = self._lines[cell.name]
        now = time.monotonic()
        if line.began is None and doing != "queued":
            line.began = now
        if doing in ("done", "failed", "stopped"):
            line.ended = now
        line.first = None  # whoever goes on may be faster
        line.state = f"{doing}: {why}" if why else doing

    def progressed(self, cell: Cell, progress: Progress) -> None:
        """Write down how far it is."""
        line = self._lines[cell.name]
        line.progress = progress
        if line.first is None:
            line.first = (time.monotonic(), progress.step)

    def __rich__(self) -> Any:
        """All cells, or where they do not fit those in work and those that failed."""
        from rich.table import Table

        height = console.err.height - 4
        lines = self._lines
        if len(lines) > height:
            quiet = ("done", "not run", "queued")
            lines = {n: line for n, line in lines.items() if not line.state.startswith(quiet)}
        done = sum(line.state == "done" for line in self._lines.values())
        grid = Table(box=None, pad_edge=False, caption_justify="left")
        grid.caption = f"{done} of {len(self._lines)} cells done"
        for column in COLUMNS:
            grid.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
        now = time.monotonic()
        for name, line in lines.items():
            grid.add_row(*line.cells(name, now))
        return grid


class PlainCells:
    """A listener that writes a line whenever a cell begins, ends, or has done another tenth of its steps."""

    def __init__(self) -> None:
        self._tenth: dict[str, int] = {}

    def changed(self, cell: Cell, doing: Doing, why: str = "") -> None:
        """`II seed 0: training`."""
        console.note(f"{cell.name}: {doing}{f': {why}' if why else ''}", style="")

    def progressed(self, cell: Cell, progress: Progress) -> None:
        """`II seed 0: step 500/2000, val Dice 55.1`."""
        step, total, dice = progress
        tenth = 10 * step // total
        if tenth > self._tenth.get(cell.name, 0):
            self._tenth[cell.name] = tenth
            judged = "" if dice is None else f", val Dice {100 * dice:.1f}"
            console.note(f"{cell.name}: step {step}/{total}{judged}", style="")


@contextmanager
def cells_view(found: Sequence[tuple[Cell, Status]]) -> Iterator[LiveCells | PlainCells]:
    """A live table on a terminal, plain lines elsewhere."""
    if not console.err.is_terminal:
        yield PlainCells()
        return
    from rich.live import Live

    view = LiveCells(found)
    with Live(view, console=console.err, refresh_per_second=2):
        yield view


def compact(table: Table) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows without the distances, and with the spread over seeds beside the mean."""
    kept = [n for n, name in enumerate(table.columns) if name not in LEFT_OUT]
    columns = [table.columns[n] for n in kept]
    rows = [[row[n] or "-" for n in kept] for row in table.rows]
    if {"Dice %", "sd over seeds"} <= set(columns):
        mean, spread = columns.index("Dice %"), columns.index("sd over seeds")
        columns[mean] = "Dice % ± sd over seeds"
        del columns[spread]
        for row in rows:
            if row[spread] != "-":
                row[mean] += f" ± {row[spread]}"
            del row[spread]
    return tuple(columns), [tuple(row) for row in rows]
