"""Evaluation of one trained run: predict the volumes of a split, score them, write what was found.

This is the only place that reads test cases. Everything lands in one folder, `summary.json` last: a
folder with a summary is a finished evaluation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dacl.analysis.figures import draw_overlay, why_no_pictures
from dacl.data.prepared import CaseInfo, PreparedDataset, write_json
from dacl.errors import DaclError
from dacl.experiments.record import build_summary, write_cases
from dacl.experiments.tables import Summary, Table, result_table
from dacl.inference.export import why_no_nifti, write_nifti
from dacl.inference.postprocess import largest_component
from dacl.inference.slices import predict_volume
from dacl.metrics.conventions import Convention, convention_named, score_volume
from dacl.metrics.overlap import dice_per_class
from dacl.metrics.summary import Row
from dacl.training.checkpoint import Trained, load_trained, open_data
from dacl.training.device import device_name, pick_device, precision_name, use_bf16

Report = Callable[[int, int, str], None]
"""`report(done, total, detail)`."""


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
    report: Report = lambda *_: None,
) -> Evaluation:
    """Evaluate a run folder or a checkpoint.

    Raises:
        DaclError: no such run or data, data other than the run's, a split without labelled cases,
            or a result that fails its self-check (nothing is written then but predictions).
    """
    convention = convention_named(request.convention)
    device = pick_device(request.device)
    trained = load_trained(path, device, request.checkpoint)
    trained.method.bf16 = use_bf16(request.precision, device)
    judged = trained.method.judged
    if request.network not in judged:
        raise DaclError(
            f"{trained.config.method} has no network {request.network!r}",
            f"it has {', '.join(judged)}",
        )
    dataset = open_data(trained.meta, trained.path, request.data)
    cases, unlabeled = _cases(dataset, request.split)
    out = request.out or trained.path.parent / "evaluation" / _folder_name(trained.path, request)
    out.mkdir(parents=True, exist_ok=True)
    # A summary of an earlier evaluation must not vouch for files that this one is replacing.
    (out / "summary.json").unlink(missing_ok=True)

    run = _Run(trained, dataset, convention, request, device)
    no_nifti = why_no_nifti() if request.predictions else None
    rows: list[Row] = []
    files: list[Path] = []
    for done, case in enumerate(cases):
        report(done, len(cases), case.id)
        predicted = run.predict(case)
        rows += run.score(case, predicted)
        if request.predictions and no_nifti is None:
            files.append(out / "predictions" / f"{case.id}.nii.gz")
            geometry = dataset.read_geometry(case.id)
            write_nifti(files[-1], predicted[request.network], geometry)
    report(len(cases), len(cases), "")

    summary = build_summary(
        trained, dataset, cases, rows,
        convention=convention, evaluated_on=request.split, post=request.post,
        network=request.network, device=device_name(device),
        precision=precision_name(trained.method.bf16, device), unlabeled=unlabeled,
    )  # fmt: skip
    table = result_table(summary)
    files = [out / "cases.csv", out / "table.md", out / "table.tex", *files]
    write_cases(files[0], rows)
    files[1].write_text(table.markdown(), encoding="utf-8")
    files[2].write_text(table.latex(), encoding="utf-8")
    no_pictures = why_no_pictures() if request.pictures else None
    if request.pictures and no_pictures is None:
        for which, shown in summary["shown_cases"].items():
            files.append(out / f"overlay_{which}.png")
            run.draw(files[-1], which, shown)
    files.append(out / "summary.json")
    write_json(files[-1], summary)
    skipped = tuple(line for line in (no_nifti, no_pictures) if line is not None)
    return Evaluation(summary=summary, table=table, out=out, files=tuple(files), skipped=skipped)


@dataclass(frozen=True, slots=True)
class _Run:
    """One trained method on one dataset, judged one way."""

    trained: Trained
    dataset: PreparedDataset
    convention: Convention
    request: Request
    device: torch.device

    def predict(self, case: CaseInfo) -> dict[str, np.ndarray]:
        """Post-processed masks of every judged network."""
        image_ZHW = self.dataset.read_image(case.id)
        config = self.trained.config.image
        masks = predict_volume(self.trained.method, image_ZHW, case.spacing_mm, config, self.device)
        if self.request.post == "none":
            return masks
        n_classes = len(self.dataset.class_names)
        return {name: largest_component(mask, n_classes) for name, mask in masks.items()}

    def score(self, case: CaseInfo, predicted: dict[str, np.ndarray]) -> list[Row]:
        """One row per network and foreground class."""
        truth_ZHW = self.dataset.read_label(case.id)
        rows = []
        for network, pred_ZHW in predicted.items():
            try:
                scores = score_volume(
                    pred_ZHW, truth_ZHW, self.dataset.class_names,
                    spacing_mm=case.spacing_mm, convention=self.convention,
                )  # fmt: skip
            except DaclError as error:
                raise DaclError(
                    f"{case.id}, network {network}: {error.message}", error.hint
                ) from error
            rows += [
                Row(case=case.id, patient=case.patient, network=network, score=score)
                for score in scores
            ]
        return rows

    def draw(self, path: Path, which: str, shown: dict[str, Any]) -> None:
        """The overlay of the median or the worst case, predicted once more rather than kept."""
        case = self.dataset.info(shown["case"])
        truth_ZHW, names = self.dataset.read_label(case.id), self.dataset.class_names
        pred_ZHW = self.predict(case)[self.request.network]
        dice_C = dice_per_class(pred_ZHW, truth_ZHW, len(names))
        each = [
            f"{name} {'absent' if np.isnan(dice) else f'{100 * dice:.1f}'}"
            for name, dice in zip(names[1:], dice_C[1:], strict=True)
        ]
        # More classes than these do not fit on a line.
        by_class = f" ({', '.join(each)})" if len(each) <= 4 else ""
        synthetic = "synthetic, " if self.dataset.synthetic else ""
        title = (
            f"{case.id}: {synthetic}{which} case of {self.request.split} by mean Dice\n"
            f"{self.trained.config.method}, network {self.request.network}, "
            f"Dice {100 * shown['dice']:.1f} %{by_class}"
        )
        image_ZHW = self.dataset.read_image(case.id)
        draw_overlay(
            path, image_ZHW, truth_ZHW, pred_ZHW,
            class_names=names, spacing_mm=case.spacing_mm, title=title,
        )  # fmt: skip


def _cases(dataset: PreparedDataset, split: str) -> tuple[list[CaseInfo], int]:
    """Labelled cases of a split, and how many others were left out."""
    every = dataset.cases(getattr(dataset.split, split))
    labeled = [case for case in every if case.has_label]
    if not labeled:
        raise DaclError(
            f"{dataset.root} holds no labelled {split} case of split {dataset.split.name} "
            f"({len(every)} without a label, {len(dataset.split.missing)} patients of the split "
            "are missing from the raw data)",
            f"evaluate on --split {'val' if split == 'test' else 'test'}, or prepare the data again "
            "with those patients",
        )
    return labeled, len(every) - len(labeled)


def _folder_name(checkpoint: Path, request: Request) -> str:
    parts = [request.split, checkpoint.stem]
    if request.post != "none":
        parts.append(request.post)
    if request.convention != "strict":
        parts.append(request.convention)
    return "-".join(parts)
