"""Evaluation of one trained run: predict the volumes of a split, score them, write what was found.

Test cases are read here, and by what looks at finished runs; training and the choice of a checkpoint never see them.
Everything lands in one folder, `summary.json` last: a folder with a summary is a finished evaluation.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dacl.analysis.figures import draw_overlay, why_no_pictures
from dacl.atomic import write_json
from dacl.callbacks import OnProgress
from dacl.config import config_hash
from dacl.data.prepared import CaseInfo
from dacl.errors import DaclError
from dacl.experiments.case_choice import named_cases, read_case_dice
from dacl.experiments.case_figure import FILES as FIGURE_FILES
from dacl.experiments.case_figure import Column, draw_columns
from dacl.experiments.judged import Judged, open_judged
from dacl.experiments.record import build_summary, write_cases
from dacl.experiments.tables import Summary, result_table
from dacl.inference.export import why_no_nifti, write_nifti
from dacl.metrics.conventions import Convention, convention_named, score_volume
from dacl.metrics.overlap import dice_per_class
from dacl.metrics.summary import ScoredClass
from dacl.run_layout import evaluation_folder
from dacl.table import Table
from dacl.training.device import device_name, precision_name

OVERLAY = "overlay_{}.png"
SHOWN = ("median", "worst")
"""Keys of a summary's `shown_cases`, each of which has an overlay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to evaluate and how."""

    split: Literal["val", "test"] = "test"
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint of a run folder; a .pt file is its own answer."""
    post: Literal["none", "largest-component"] = "none"
    convention: str = "strict"
    network: str = "a"
    """The network whose predictions are written and drawn; the tables hold every network."""
    data: Path | None = None
    """The prepared dataset; None: where the checkpoint says it was."""
    out: Path | None = None
    """Folder to write; None: `evaluation/<split>-<checkpoint>` beside the checkpoint."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """fp32 whatever the run was trained in: the same checkpoint scores the same everywhere."""
    predictions: bool = True
    pictures: bool = True
    figure: bool = False
    """Draw a figure for a paper: see `case_figure`."""
    cases: tuple[str, ...] | None = None
    """The cases of the figure; None: median, worst and best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was found, where it was written, and what could not be."""

    summary: Summary
    table: Table
    out: Path
    files: tuple[Path, ...]
    skipped: tuple[str, ...]


def evaluate(
    path: Path,
    request: Request = Request(),
    report: OnProgress = lambda *_: None,
) -> Evaluation:
    """Evaluate a run folder or a checkpoint.

    Raises:
        DaclError: no such run or data, data other than the run's, a split without labelled cases,
            or a result that fails its self-check (nothing is written then but predictions).
    """
    convention = convention_named(request.convention)
    judged = open_judged(
        path, checkpoint=request.checkpoint, data=request.data, device=request.device,
        precision=request.precision, post=request.post,
    )  # fmt: skip
    judged.trained.method.require_network(request.network, mean=True)
    trained, dataset = judged.trained, judged.dataset
    cases = dataset.judged_cases(request.split)
    if request.cases is not None:
        # A wrong name is worth knowing before everything is predicted.
        named_cases(request.cases, [case.id for case in cases])
    out = request.out or evaluation_folder(
        trained.run_dir, request.split, trained.path.stem, request.post, request.convention
    )
    out.mkdir(parents=True, exist_ok=True)
    _withdraw(out, judged, request)

    no_nifti = why_no_nifti() if request.predictions else None
    masks_to = out / "predictions" if request.predictions and no_nifti is None else None
    scores, masks = _judge(judged, cases, request.network, convention, masks_to, report)
    summary = build_summary(
        trained, dataset, cases, scores,
        convention=convention, evaluated_on=request.split, post=request.post,
        network=request.network, device=device_name(judged.device),
        precision=precision_name(trained.method.bf16, judged.device),
    )  # fmt: skip
    table = result_table(summary)
    tables = [out / "cases.csv", out / "table.md", out / "table.tex"]
    write_cases(tables[0], scores)
    tables[1].write_text(table.markdown(), encoding="utf-8")
    tables[2].write_text(table.latex(), encoding="utf-8")
    pictures, no_pictures = _pictures(judged, request, summary, out)
    last = out / "summary.json"
    write_json(last, summary)
    return Evaluation(
        summary=summary,
        table=table,
        out=out,
        files=(*tables, *masks, *pictures, last),
        skipped=tuple(line for line in (no_nifti, no_pictures) if line is not None),
    )


def _judge(
    judged: Judged,
    cases: Sequence[CaseInfo],
    network: str,
    convention: Convention,
    masks_to: Path | None,
    report: OnProgress,
) -> tuple[list[ScoredClass], list[Path]]:
    """Predict and score every case; what `network` predicts is written as NIfTI to `masks_to`, if anywhere."""
    scores: list[ScoredClass] = []
    masks: list[Path] = []
    for done, case in enumerate(cases):
        report(done, len(cases), case.id)
        predicted = judged.predict(case)
        scores += _score(judged, case, predicted, convention)
        if masks_to is not None:
            masks.append(masks_to / f"{case.id}.nii.gz")
            write_nifti(masks[-1], predicted[network], judged.dataset.read_geometry(case.id))
    report(len(cases), len(cases), "")
    return scores, masks


def _pictures(
    judged: Judged, request: Request, summary: Summary, out: Path
) -> tuple[list[Path], str | None]:
    """The overlays and the figure that were asked for, and a line that says why some of them were not drawn."""
    if not (request.pictures or request.figure):
        return [], None
    if (why := why_no_pictures()) is not None:
        return [], why
    files = []
    if request.pictures:
        for which, shown in summary["shown_cases"].items():
            files.append(out / OVERLAY.format(which))
            _draw(judged, request, files[-1], which, shown)
    if not request.figure:
        return files, None
    dice = read_case_dice(out / "cases.csv", request.network)
    if request.cases is None and all(map(math.isnan, dice.values())):
        return files, "no figure was drawn: no class is in any mask"
    column = Column(label=judged.trained.config.method, judged=judged, dice=dice)
    files += draw_columns(
        [column], split=request.split, network=request.network, cases=request.cases, out=out
    )
    return files, None


def _withdraw(out: Path, judged: Judged, request: Request) -> None:
    """Remove the summary of an earlier evaluation, which must not vouch for files that this one is replacing.

    Masks and pictures that it made of other weights, cases or another network go first: this evaluation may make none.
    In a folder that the user named, only where a summary says that they are an evaluation's.
    """
    path = out / "summary.json"
    earlier = _earlier(path)
    if earlier is not None or request.out is None:
        trained, dataset = judged.trained, judged.dataset
        wanted = {
            "checkpoint": trained.path.name,
            "checkpoint_step": trained.step,
            "config_hash": config_hash(trained.config),
            "seed": trained.config.seed,
            "dataset_fingerprint": dataset.fingerprint,
            "evaluated_on": request.split,
            "post_processing": request.post,
            "shown_network": request.network,
        }
        if earlier is None or not wanted.items() <= earlier.items():
            masks = [out / "predictions" / f"{case}.nii.gz" for case in dataset.infos]
            pictures = [out / name for name in (*map(OVERLAY.format, SHOWN), *FIGURE_FILES)]
            for file in [*masks, *pictures]:
                file.unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _earlier(path: Path) -> dict[str, Any] | None:
    """What a summary says of how it was made, in one table; None where none is there, or another program's."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        shown = {"shown_network": summary["shown_network"]}
        return {**summary["protocol"], **summary["provenance"], **shown}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _score(
    judged: Judged, case: CaseInfo, predicted: dict[str, np.ndarray], convention: Convention
) -> list[ScoredClass]:
    """One row per network and foreground class."""
    truth_ZHW = judged.dataset.read_label(case.id)
    rows = []
    for network, pred_ZHW in predicted.items():
        try:
            scores = score_volume(
                pred_ZHW, truth_ZHW, judged.dataset.class_names,
                spacing_mm=case.spacing_mm, convention=convention,
            )  # fmt: skip
        except DaclError as error:
            raise DaclError(f"{case.id}, network {network}: {error.message}", error.hint) from error
        rows += [
            ScoredClass(case=case.id, patient=case.patient, network=network, score=score)
            for score in scores
        ]
    return rows


def _draw(judged: Judged, request: Request, path: Path, which: str, shown: dict[str, Any]) -> None:
    """The overlay of the median or the worst case, predicted once more rather than kept."""
    dataset = judged.dataset
    case = dataset.info(shown["case"])
    truth_ZHW, names = dataset.read_label(case.id), dataset.class_names
    pred_ZHW = judged.predict(case)[request.network]
    dice_C = dice_per_class(pred_ZHW, truth_ZHW, len(names))
    each = [
        f"{name} {'absent' if np.isnan(dice) else f'{100 * dice:.1f}'}"
        for name, dice in zip(names[1:], dice_C[1:], strict=True)
    ]
    # More classes than these do not fit on a line.
    by_class = f" ({', '.join(each)})" if len(each) <= 4 else ""
    synthetic = "synthetic, " if dataset.synthetic else ""
    title = (
        f"{case.id}: {synthetic}{which} case of {request.split} by mean Dice\n"
        f"{judged.trained.config.method}, network {request.network}, "
        f"Dice {100 * shown['dice']:.1f} %{by_class}"
    )
    draw_overlay(
        path, dataset.read_image(case.id)[0], truth_ZHW, pred_ZHW,
        class_names=names, spacing_mm=case.spacing_mm, title=title,
    )  # fmt: skip
