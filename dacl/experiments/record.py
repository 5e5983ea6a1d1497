"""What an evaluation leaves behind: cases.csv and the content of summary.json."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dacl.config import config_hash
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.experiments.tables import Summary
from dacl.metrics.conventions import METRICS, Convention
from dacl.metrics.summary import FOREGROUND, ScoredClass, summarize
from dacl.protocol import Protocol, provenance
from dacl.training.checkpoint import Trained

FORMAT = 1
AVERAGING = {
    "patients": "volumes of a patient (ED, ES) first, then patients; foreground = mean of classes",
    "volumes": "plain mean over volumes; foreground = mean of classes",
}


def build_summary(
    trained: Trained,
    dataset: PreparedDataset,
    cases: list[CaseInfo],
    rows: list[ScoredClass],
    *,
    convention: Convention,
    evaluated_on: str,
    post: str,
    network: str,
    device: str,
    precision: str,
) -> Summary:
    """Protocol, provenance and averages of one evaluation.

    Args:
        trained: what was judged.
        dataset: what on.
        cases: the volumes judged, all of the split that have a label.
        rows: their scores.
        convention: rule for empty masks.
        evaluated_on: `val` or `test`.
        post: post-processing.
        network: the one whose median and worst case are shown.
        device: name for the record.
        precision: of the networks.

    Raises:
        DaclError: the numbers fail their self-check.
    """
    config = trained.config
    by_network = summarize(rows, averaging=convention.averaging)
    return {
        "format": FORMAT,
        "synthetic": dataset.synthetic,
        "protocol": _protocol(
            trained, dataset, cases, convention, evaluated_on=evaluated_on, post=post
        ).model_dump(mode="json"),
        "provenance": provenance(
            method=config.method,
            preset=config.preset,
            seed=config.seed,
            steps=config.optim.steps,
            checkpoint=trained.path.name,
            checkpoint_step=trained.step,
            config_hash=config_hash(config),
            device=device,
            precision=precision,
            threads=torch.get_num_threads(),
            training=_training_provenance(trained.run_dir),
        ),
        "n_runs": 1,
        "n_patients": len({case.patient for case in cases}),
        "n_volumes": len(cases),
        "networks": by_network,
        "shown_network": network,
        "shown_cases": shown_cases(rows, network),
        "notes": [*_notes(trained, dataset, cases, evaluated_on), *_empty_masks(by_network)],
    }


def _protocol(
    trained: Trained,
    dataset: PreparedDataset,
    cases: Sequence[CaseInfo],
    convention: Convention,
    *,
    evaluated_on: str,
    post: str,
) -> Protocol:
    """What another result must share to be compared with this one."""
    in_mm = _without_spacing(cases) < len(cases)
    return Protocol(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        synthetic=dataset.synthetic,
        intensity=dataset.intensity,
        split=dataset.split.name,
        split_hash=dataset.split.hash,
        evaluated_on=evaluated_on,
        labeled_patients=trained.meta.labeled_patients,
        networks=trained.method.judged,
        checkpoint_rule=trained.rule,
        resolution="native",
        distance_unit="voxels and mm" if in_mm else "voxels (spacing unknown)",
        empty_rule=f"{convention.name}: {convention.says}",
        averaging=AVERAGING[convention.averaging],
        post_processing=post,
    )


def _notes(
    trained: Trained, dataset: PreparedDataset, cases: Sequence[CaseInfo], evaluated_on: str
) -> list[str]:
    """What the numbers should be read with, but for empty masks."""
    notes = [
        *dataset.notes,
        "one seed: the interval is over patients and says nothing about other seeds",
    ]
    if trained.run_step < trained.config.optim.steps:
        notes.append(f"unfinished run: step {trained.run_step} of {trained.config.optim.steps}")
    if evaluated_on == "val" and trained.rule == "best":
        notes.append("these validation cases chose the checkpoint: the numbers flatter it")
    if no_spacing := _without_spacing(cases):
        notes.append(f"spacing unknown in {no_spacing} volumes: no distances in mm there")
    unlabeled = len(dataset.cases(getattr(dataset.split, evaluated_on))) - len(cases)
    if unlabeled:
        notes.append(f"{unlabeled} volumes without a label were left out")
    return notes


def _without_spacing(cases: Sequence[CaseInfo]) -> int:
    return sum(case.spacing_mm is None for case in cases)


def _training_provenance(run_dir: Path) -> dict[str, Any] | None:
    """How the run was trained, where its folder still says so."""
    try:
        return json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["provenance"]
    except (OSError, ValueError, KeyError):
        return None


def shown_cases(rows: list[ScoredClass], network: str) -> dict[str, dict[str, Any]]:
    """The median and the worst case by mean Dice over the classes defined there."""
    dice: dict[str, list[float]] = {}
    for row in rows:
        if row.network == network and not math.isnan(row.score.dice):
            dice.setdefault(row.case, []).append(row.score.dice)
    ranked = sorted((sum(values) / len(values), case) for case, values in dice.items())
    if not ranked:
        return {}
    chosen = {"median": ranked[(len(ranked) - 1) // 2], "worst": ranked[0]}
    return {which: {"case": case, "dice": mean} for which, (mean, case) in chosen.items()}


def write_cases(path: Path, rows: list[ScoredClass]) -> None:
    """cases.csv: a row per case, network and class; empty cells are undefined."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "patient", "class", "network", *METRICS, "status"])
        for row in rows:
            values = (getattr(row.score, metric) for metric in METRICS)
            cells = ("" if math.isnan(value) else repr(float(value)) for value in values)
            name, status = row.score.class_name, row.score.status
            writer.writerow([row.case, row.patient, name, row.network, *cells, status])


def _empty_masks(by_network: dict[str, dict[str, Any]]) -> list[str]:
    notes = []
    for status, meaning in (
        ("missed", "absent from the prediction only"),
        ("spurious", "absent from the reference only"),
        ("undefined", "absent from both"),
    ):
        counts = {name: classes[FOREGROUND][f"n_{status}"] for name, classes in by_network.items()}
        if any(counts.values()):
            each = ", ".join(f"{name} {n}" for name, n in counts.items())
            notes.append(f"{status} masks ({meaning}) by network: {each}")
    return notes
