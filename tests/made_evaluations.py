"""Folders of evaluated runs that never were, from the value of every volume and class."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import made_results

from dacl.config import Config

Values = Mapping[str, Mapping[str, float | None]]
"""Case (`p1_ED`) -> class -> value; None is an undefined one."""


def write(
    run_dir: Path,
    config: Config,
    values: Values,
    *,
    metric: str = "dice",
    network: str = "a",
    name: str = "test-best",
    apart: bool = False,
    provenance: Mapping[str, Any] | None = None,
    **protocol: Any,
) -> Path:
    """A run's folder with one evaluation, or an evaluation alone; the folder to compare.

    Args:
        run_dir: to be made, or made by an earlier evaluation of the same run.
        config: of the run.
        values: of `metric` and `network`.
        metric: column of cases.csv; there is no other.
        network: of every line.
        name: of the evaluation's folder.
        apart: write `run_dir` as an evaluation without its run.
        provenance: laid over that of the summary; None deletes a key.
        protocol: fields that depart from the usual ones.
    """
    evaluation = run_dir if apart else run_dir / "evaluation" / name
    evaluation.mkdir(parents=True)
    result = made_results.run(config, {"p": 0.5}, **protocol)
    result.summary["n_volumes"] = len(values)
    record = {**result.summary["provenance"], "checkpoint": "best.pt", **(provenance or {})}
    result.summary["provenance"] = {key: x for key, x in record.items() if x is not None}
    (evaluation / "summary.json").write_text(json.dumps(result.summary))
    with (evaluation / "cases.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "patient", "class", "network", metric])
        for case, classes in values.items():
            for label, value in classes.items():
                cell = "" if value is None else repr(float(value))
                writer.writerow([case, case.partition("_")[0], label, network, cell])
    if not apart:
        (run_dir / "run.json").write_text(json.dumps({"config": config.model_dump(mode="json")}))
    return run_dir


def frames(
    by_patient: Mapping[str, Mapping[str, float | None]],
) -> dict[str, dict[str, float | None]]:
    """ED and ES of every patient, 0.125 above and below the value, so that their mean is it to the bit."""
    return {
        f"{patient}_{frame}": {
            label: None if value is None else value + shift for label, value in classes.items()
        }
        for patient, classes in by_patient.items()
        for frame, shift in (("ED", 0.125), ("ES", -0.125))
    }
