"""The picture of segmentations of one or several runs (the paper's Fig. 3 and 4): choose cases, predict them, draw.

`case_choice` says which cases and slices, `dacl.analysis.segmentation.figure` how they are drawn.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from dacl.analysis.figures import why_no_pictures
from dacl.analysis.segmentation.figure import CaseRow, draw_segmentations
from dacl.callbacks import OnProgress
from dacl.data.prepared import CaseInfo
from dacl.errors import DaclError
from dacl.experiments.case_choice import (
    Choice,
    choose_cases,
    choose_slice,
    foreground_dice,
    named_cases,
    read_case_dice,
)
from dacl.experiments.judged import Judged, open_judged
from dacl.metrics.overlap import dice_per_class

FILES = ("figure.png", "figure.svg", "figure.pdf")
MAX_RUNS = 11
AGREES = 0.02
"""Most that a Dice may differ from the evaluation's, which another device may have computed."""


class FigureRun(NamedTuple):
    """A column of the picture."""

    label: str
    path: Path
    """Run folder or checkpoint."""
    evaluation: Path | None = None
    """Evaluation folder, of which cases.csv says how every case went; None: every case is predicted and scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """An opened run."""

    label: str
    judged: Judged
    dice: Mapping[str, float] | None
    """Case -> mean foreground Dice; None: not known."""


def draw_case_figure(
    runs: Sequence[FigureRun],
    *,
    split: Literal["val", "test"],
    network: str,
    cases: Sequence[str] | None,
    out: Path,
    report: OnProgress = lambda *_: None,
    data: Path | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
) -> list[Path]:
    """Write `figure.png`, `figure.svg` and `figure.pdf` of the truth and every run into a folder.

    A run with an evaluation is opened as that evaluation judged it: the same checkpoint and post-processing.

    Args:
        runs: columns, from left to right; one to `MAX_RUNS`.
        split: whose cases.
        network: the network shown of every run.
        cases: ids of the cases shown; None: chosen by `choose_cases`.
        out: the folder, made where it is missing.
        report: called with (done, total, what is predicted).
        data: the prepared dataset; None: where the checkpoints say it was.
        device: where to predict.

    Returns:
        The files.

    Raises:
        DaclError: no such run, network, case or evaluation; runs of different data; an evaluation of another split
            or checkpoint; matplotlib is missing.
    """
    _require_drawing(runs)
    columns = [_open(run, split, network, cases is None, data, device) for run in runs]
    return draw_columns(columns, split=split, network=network, cases=cases, out=out, report=report)


def draw_columns(
    columns: Sequence[Column],
    *,
    split: Literal["val", "test"],
    network: str,
    cases: Sequence[str] | None,
    out: Path,
    report: OnProgress = lambda *_: None,
) -> list[Path]:
    """`draw_case_figure` of runs that are open."""
    dataset = columns[0].judged.dataset
    for column in columns:
        trained = column.judged.trained
        trained.method.require_network(network, mean=True, of=trained.path)
        other = column.judged.dataset
        if (other.fingerprint, other.split.hash) != (dataset.fingerprint, dataset.split.hash):
            raise DaclError(
                f"{columns[0].label} and {column.label} were trained on different data or splits: "
                f"{dataset.root} and {other.root}",
                "draw runs of the same prepared dataset",
            )
    available = dataset.judged_cases(split)
    work = _Work(0, report)
    if cases is None:
        choices = _choose(columns, available, network, work)
    else:
        choices = named_cases(cases, [case.id for case in available])
    work.total += len(choices) * len(columns)
    rows = [_row(choice, columns, network, work) for choice in choices]
    work.report(work.total, work.total, "")

    out.mkdir(parents=True, exist_ok=True)
    files = [out / name for name in FILES]
    draw_segmentations(
        files, rows, [column.label for column in columns], class_names=dataset.class_names,
        title=f"{dataset.name}: synthetic data, not scans" if dataset.synthetic else "",
        note=f"{dataset.name}, {split} cases of split {dataset.split.name}, network {network}.",
    )  # fmt: skip
    return files


def _choose(
    columns: Sequence[Column], available: Sequence[CaseInfo], network: str, work: "_Work"
) -> list[Choice]:
    """By the Dice of every case; the cases of a run without an evaluation are predicted for it."""
    work.total += sum(column.dice is None for column in columns) * len(available)
    scored = {
        str(n): _score(column, available, network, work) if column.dice is None else column.dice
        for n, column in enumerate(columns)
    }
    valid = {case.id for case in available}
    return choose_cases(
        {n: {c: d for c, d in dice.items() if c in valid} for n, dice in scored.items()}
    )


@dataclass(slots=True)
class _Work:
    """How much is predicted."""

    total: int
    report: OnProgress
    done: int = 0

    def step(self, detail: str) -> None:
        self.report(self.done, self.total, detail)
        self.done += 1


def _score(
    column: Column, cases: Sequence[CaseInfo], network: str, work: _Work
) -> dict[str, float]:
    dice = {}
    for case in cases:
        work.step(f"{column.label}, {case.id}")
        dice[case.id] = _dice(column.judged, case, column.judged.predict(case)[network])
    return dice


def _dice(judged: Judged, case: CaseInfo, mask_ZHW: np.ndarray) -> float:
    dataset = judged.dataset
    truth_ZHW = dataset.read_label(case.id)
    return foreground_dice(dice_per_class(mask_ZHW, truth_ZHW, len(dataset.class_names)).tolist())


def _row(choice: Choice, columns: Sequence[Column], network: str, work: _Work) -> CaseRow:
    dataset = columns[0].judged.dataset
    case = dataset.info(choice.case)
    masks_ZHW, scores = [], []
    for column in columns:
        work.step(f"{column.label}, {case.id}")
        masks_ZHW.append(column.judged.predict(case)[network])
        scores.append(_dice(column.judged, case, masks_ZHW[-1]))
        known = scores[-1] if column.dice is None else column.dice.get(case.id, np.nan)
        if abs(scores[-1] - known) > AGREES:
            raise DaclError(
                f"{column.label}, {case.id}: Dice {100 * scores[-1]:.1f} %, "
                f"its evaluation says {100 * known:.1f} %",
                "the checkpoint changed since: run `dacl evaluate` again",
            )
    truth_ZHW = dataset.read_label(case.id)
    z, reason = choose_slice(truth_ZHW, masks_ZHW, choice.slice_rule)
    return CaseRow(
        caption=f"{choice.why}: {case.id}, slice {z + 1} of {len(truth_ZHW)} ({reason})",
        image_HW=dataset.read_image(case.id)[0, z],
        truth_HW=truth_ZHW[z],
        predictions_HW=[mask_ZHW[z] for mask_ZHW in masks_ZHW],
        dice=scores,
        spacing_yx=None if case.spacing_mm is None else case.spacing_mm[1:],
    )


def _open(
    run: FigureRun,
    split: str,
    network: str,
    scored: bool,
    data: Path | None,
    device: Literal["auto", "cpu", "cuda", "mps"],
) -> Column:
    """The run as its evaluation judged it; `scored`: with the Dice of its cases."""
    if run.evaluation is None:
        return Column(
            label=run.label, judged=open_judged(run.path, data=data, device=device), dice=None
        )
    protocol, checkpoint = _read_settings(run.evaluation)
    if protocol["evaluated_on"] != split:
        raise DaclError(
            f"{run.evaluation} is of {protocol['evaluated_on']} cases, the picture of {split} cases",
            f"run `dacl evaluate {shlex.quote(str(run.path))} --split {split}`",
        )
    path = run.path / checkpoint if run.path.is_dir() else run.path
    if path.name != checkpoint:
        raise DaclError(
            f"{run.evaluation} judged {checkpoint}, not {path.name}",
            f"give the evaluation of {path}",
        )
    return Column(
        label=run.label,
        judged=open_judged(path, data=data, device=device, post=protocol["post_processing"]),
        dice=read_case_dice(run.evaluation / "cases.csv", network) if scored else None,
    )


def _read_settings(evaluation: Path) -> tuple[dict[str, Any], str]:
    """Protocol and name of the checkpoint of an evaluation."""
    path = evaluation / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        return summary["protocol"], summary["provenance"]["checkpoint"]
    except (OSError, ValueError, KeyError) as error:
        raise DaclError(
            f"{path} is not the summary of an evaluation", "run `dacl evaluate RUN` again"
        ) from error


def _require_drawing(runs: Sequence[FigureRun]) -> None:
    if (reason := why_no_pictures()) is not None:
        raise DaclError(reason, "install it and run this again")
    if not 0 < len(runs) <= MAX_RUNS:
        raise DaclError(
            f"{len(runs)} runs for one picture", f"a page holds one to {MAX_RUNS} beside the truth"
        )
