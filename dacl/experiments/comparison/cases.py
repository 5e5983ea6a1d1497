"""The picture of segmentations that goes with a comparison: a column per run, or per side where that would be many."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dacl.callbacks import OnProgress
from dacl.errors import DaclError
from dacl.experiments.case_figure import FigureRun, draw_case_figure
from dacl.experiments.comparison.compared import Compared
from dacl.experiments.comparison.sides import Side, SideRun

MOST_COLUMNS = 6
"""Above this a picture shows the first seed of every side."""


def draw_cases(
    compared: Compared,
    *,
    cases: Sequence[str] | None,
    out: Path,
    data: Path | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    report: OnProgress = lambda *_: None,
) -> tuple[list[Path], str | None]:
    """Draw truth and runs of some cases; the files, and a note where not all runs are shown.

    Raises:
        DaclError: a run's folder is not known, or see `draw_case_figure`.
    """
    runs, note = columns(compared.sides)
    files = draw_case_figure(
        runs,
        split=compared.reference.first.summary["protocol"]["evaluated_on"],
        network=compared.network, cases=cases, out=out, report=report, data=data, device=device,
    )  # fmt: skip
    return files, note


def columns(sides: Sequence[Side]) -> tuple[list[FigureRun], str | None]:
    """Every run, or the first of every side where they are more than `MOST_COLUMNS`; a note says so.

    Raises:
        DaclError: the folder of a run is not known.
    """
    n_runs = sum(len(side.runs) for side in sides)
    if n_runs > MOST_COLUMNS:
        note = f"the picture of cases shows the first seed of every side: {n_runs} runs are too many columns"
        return [_column(side.label, side.first) for side in sides], note
    return [
        _column(side.label if len(side.runs) == 1 else f"{side.label}, seed {seed}", run)
        for side in sides
        for seed, run in side.runs.items()
    ], None


def _column(label: str, run: SideRun) -> FigureRun:
    if run.run_dir is None:
        raise DaclError(
            f"{run.evaluation} lies apart from its run: there is no checkpoint to draw cases with",
            "give the run's own folder, or leave --figure away",
        )
    checkpoint = run.run_dir / run.summary["provenance"]["checkpoint"]
    return FigureRun(label, checkpoint, run.evaluation)
