"""What a launcher tells while cells run, and what it returns: the same for processes here and for a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from dacl.errors import DaclError
from dacl.experiments.cells import Cell, look
from dacl.training.journal import Journal

Doing = Literal["queued", "training", "evaluating", "done", "failed", "stopped"]


class Progress(NamedTuple):
    """How far a training is."""

    step: int
    total: int
    dice: float | None
    """Of the last validation: network a, mean over classes, a fraction of 1."""


@runtime_checkable
class CellListener(Protocol):
    """Whoever shows the cells."""

    def changed(self, cell: Cell, doing: Doing, why: str = "") -> None:
        """A cell began something or ended; `why` it failed, where it stopped, or in which queue it waits."""

    def progressed(self, cell: Cell, progress: Progress) -> None:
        """A cell in training wrote something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is not done, and why; by name of the cell."""

    failed: Mapping[str, str]
    unfinished: Mapping[str, str]
    """Stopped, or never begun."""
    queued: Mapping[str, str] = field(default_factory=dict)
    """Left to a cluster, which goes on."""

    @property
    def missing(self) -> dict[str, str]:
        """All of them, as a table names them."""
        failed = {name: f"failed: {why}" for name, why in self.failed.items()}
        return {**self.unfinished, **self.queued, **failed}


class ProgressReader:
    """Reads the journal of a cell in training, when it grew."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._size = 0

    def read(self) -> Progress | None:
        """How far the training is, if it wrote something since the last time."""
        journal = Journal(self._cell.run_dir)
        try:
            size = journal.path.stat().st_size
            if size == self._size:
                return None
            records = journal.records()
        except FileNotFoundError:  # not begun, or just then replaced
            return None
        except DaclError:  # damaged: its training says so
            return None
        self._size = size
        if not records:
            return None
        dice = [record["mean_dice"]["a"] for record in records if record["kind"] == "val"]
        return Progress(
            records[-1]["step"], self._cell.config.optim.steps, dice[-1] if dice else None
        )


def where(cell: Cell) -> str:
    """How far a cell is, in words."""
    try:
        return str(look(cell))
    except DaclError as error:
        return error.message
