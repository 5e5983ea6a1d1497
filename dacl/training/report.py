"""What a run tells whoever shows it; the library prints nothing."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from dacl.config import Config
from dacl.data.prepared import PreparedDataset
from dacl.data.typical import Gridded
from dacl.training.records import Record


class Plan(NamedTuple):
    """What a run is about to do; the first lines a user reads."""

    run_dir: Path
    config: Config
    dataset: PreparedDataset
    device: str
    bf16: bool
    threads: int
    ranks: int
    labeled_volumes: int
    labeled_slices: int
    unlabeled_patients: int
    unlabeled_slices: int
    val_patients: int
    typical: Gridded
    """One of the scans that are trained on."""
    start_step: int
    estimated_seconds: float
    notes: tuple[str, ...]


class RunSummary(NamedTuple):
    """How a run ended."""

    run_dir: Path
    step: int
    finished: bool
    best: dict[str, Any] | None


@runtime_checkable
class Listener(Protocol):
    """Whoever shows the run; the library prints nothing."""

    def planned(self, plan: Plan) -> None:
        """Before the first step."""

    def stepped(self, step: int) -> None:
        """After every step; `step` counts those done."""

    def logged(self, record: Record) -> None:
        """A training record was written."""

    def validated(self, record: Record) -> None:
        """A validation record was written."""

    def warned(self, text: str, step: int) -> None:
        """Something inside the run looks wrong; it goes on."""
