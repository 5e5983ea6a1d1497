"""Results of runs that never were: summaries, scores of patients and folders of them, from a few numbers."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from dacl.config import Config, config_hash, recipe, resolve
from dacl.experiments.ablation import ALL_LABELED, Row
from dacl.experiments.case_scores import CaseScores
from dacl.experiments.measured import RowResult, RunResult

PATIENTS = tuple(f"p{n}" for n in range(1, 9))
JUDGED = {"supervised": ("a",), "cps": ("a", "b", "mean"), "dacl": ("a", "b", "mean")}


def base(**settings: Any) -> Config:
    return resolve("small", {"labeled": 3, **settings})


def run(
    config: Config,
    dice: dict[str, float],
    *,
    dataset: str = "acdc",
    synthetic: bool = False,
    notes: tuple[str, ...] = (),
    labeled: int | None = None,
    training: dict[str, Any] | None = None,
    **protocol: Any,
) -> RunResult:
    """One run, of whom the patients' Dice is known; its other metrics follow from it."""
    mean = float(np.mean(list(dice.values())))
    metrics = {"dice": mean, "jc": mean / (2 - mean), "asd_vox": 10 * (1 - mean), "hd95_vox": 4.0}
    scores = {name: {"mean": value} for name, value in metrics.items()}
    networks = JUDGED[config.method]
    summary = {
        "synthetic": synthetic,
        "protocol": {
            "dataset": dataset, "dataset_fingerprint": "f" * 64, "synthetic": synthetic,
            "intensity": "minmax", "split": "fixed", "split_hash": "e" * 64, "evaluated_on": "test",
            "labeled_patients": [f"t{n}" for n in range(labeled or config.labeled)],
            "networks": list(networks), "checkpoint_rule": "best", "resolution": "native",
            "distance_unit": "voxels and mm", "empty_rule": "strict", "averaging": "patients",
            "post_processing": "none", **protocol,
        },
        "provenance": {
            "method": config.method, "preset": config.preset, "seed": config.seed,
            "steps": config.optim.steps, "config_hash": config_hash(config), "training": training,
        },
        "n_patients": len(dice), "n_volumes": 2 * len(dice),
        "networks": {name: {"foreground": scores} for name in networks},
        "notes": ["one seed: the interval is over patients", *notes],
    }  # fmt: skip
    return RunResult(summary=summary, dice=scores_of(dice), recipe=recipe(config))


def scores_of(dice: dict[str, float]) -> CaseScores:
    """A volume and a class of every patient; NaN is an undefined one."""
    return CaseScores(
        cases=tuple(dice),
        patients=tuple(dice),
        classes=("LV",),
        values_VC=np.array([[value] for value in dice.values()], dtype=float),
    )


def row(
    row: Row,
    dice_SP: Any,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    missing: dict[int, str] | None = None,
    config: Config | None = None,
    **options: Any,
) -> RowResult:
    """A row from its Dice by seed and patient."""
    runs = {}
    for seed, dice_P in zip(seeds, dice_SP, strict=True):
        of_cell = row.config(
            config or base(), seed, patients=70 if row.key == ALL_LABELED else None
        )
        runs[seed] = run(of_cell, dict(zip(PATIENTS, map(float, dice_P), strict=False)), **options)
    return RowResult(row=row, runs=runs, missing=missing or {})


def write_run(folder: Path, result: RunResult, config: Config) -> Path:
    """A run's folder with an evaluation that `read_run` reads; the evaluation's folder."""
    evaluation = folder / "evaluation" / "test-best"
    evaluation.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"config": config.model_dump(mode="json")}))
    (evaluation / "summary.json").write_text(json.dumps(result.summary))
    with (evaluation / "cases.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "patient", "class", "network", "dice"])
        for patient, dice in result.dice_by_patient.items():
            for frame, shift in (("ED", 0.01), ("ES", -0.01)):
                writer.writerow([f"{patient}_{frame}", patient, "LV", "a", dice + shift])
    return evaluation
