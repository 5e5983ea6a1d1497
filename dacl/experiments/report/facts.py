"""What a report says of one run: what it was, what it cost, how it scored."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from dacl.analysis.report import Average, Metric
from dacl.config import settings_of
from dacl.experiments.case_scores import damaged, number, rows_of
from dacl.experiments.tables import COLUMNS, Summary
from dacl.metrics.summary import FOREGROUND
from dacl.training.checkpoint import Trained
from dacl.training.records import Record

METRICS = tuple(
    Metric(key=key, heading=heading, factor=factor, decimals=decimals)
    for key, (heading, factor, decimals) in COLUMNS.items()
)
MEAN = "mean of classes"
UNKNOWN = "not recorded"


def facts(
    trained: Trained, summary: Summary, records: Sequence[Record], network: str
) -> dict[str, str]:
    """Heading -> text, the same headings for every run."""
    config, meta = trained.config, trained.meta
    training = summary["provenance"].get("training") or {}
    git = training.get("git") or {}
    versions = ", ".join(f"{k} {v}" for k, v in (training.get("packages") or {}).items())
    commit = str(git.get("commit", ""))[:12] + (", modified" if git.get("modified") else "")
    machine = [str(training[key]) for key in ("device", "precision") if key in training]
    return {
        "Method": config.method,
        "Preset": config.preset,
        "Seed": str(config.seed),
        "Labelled patients": f"{len(meta.labeled_patients)}: {', '.join(meta.labeled_patients)}",
        "Steps": f"{trained.run_step} of {config.optim.steps}",
        "Judged": f"network {network}, {trained.path.name} ({trained.rule}) of step {trained.step}",
        **cost(records),
        "Trained on": ", ".join(machine) or UNKNOWN,
        "Software": f"dacl {training['dacl']} {commit}".strip() if "dacl" in training else UNKNOWN,
        "Packages": versions or UNKNOWN,
        "Command": training.get("command", UNKNOWN),
    }


def cost(records: Sequence[Record]) -> dict[str, str]:
    """Time in steps, speed and memory out of the journal's `wall`.

    The speed of a record is that since the last validation (or resumption), so the last record before each of them
    says how long these steps took; validations and pauses are not in it.
    """
    since, spans = 0, {0: 0.0}
    speeds, memory = [], []
    for record in records:
        wall = record.get("wall") or {}
        if wall.get("peak_memory_mb") is not None:
            memory.append(wall["peak_memory_mb"])
        speed = wall.get("steps_per_second") or 0.0
        if record["kind"] == "train" and speed > 0:
            speeds.append(speed)
            spans[since] = (record["step"] - since) / speed
        if record["kind"] == "val":
            since = record["step"]
            spans[since] = 0.0
    seconds = sum(spans.values())
    time = f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
    return {
        "Time in steps": f"{time}, without validations" if speeds else UNKNOWN,
        "Speed": f"{median(speeds):.2f} steps/s" if speeds else UNKNOWN,
        "Peak memory": f"{max(memory):,.0f} MB" if memory else UNKNOWN,
    }


def settings(trained: Trained) -> dict[str, Any]:
    """The configuration that the method reads, with dotted keys, and the seed."""
    return {"seed": trained.config.seed, **settings_of(trained.config)}


def averages(summary: Summary, network: str) -> dict[str, dict[str, Average]]:
    """Class -> metric -> mean and interval over patients; the mean of the classes last."""
    found = {}
    for name, scores in summary["networks"][network].items():
        found[MEAN if name == FOREGROUND else name] = {
            metric.key: Average(
                mean=scores[metric.key]["mean"],
                ci95=_interval(scores[metric.key].get("ci95_over_patients")),
            )
            for metric in METRICS
        }
    return found


def _interval(bounds: Sequence[float] | None) -> tuple[float, float] | None:
    return None if bounds is None else (bounds[0], bounds[1])


def scores_by_case(
    cases_csv: Path, network: str, cases: Iterable[str], classes: Iterable[str]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Case -> class -> metrics as numbers or None, and `status`.

    Raises:
        DaclError: the file is missing or damaged, or lacks one of these cases or classes.
    """
    found: dict[str, dict[str, Mapping[str, Any]]] = {case: {} for case in cases}
    keys = [m.key for m in METRICS]
    for row in rows_of(network, cases_csv, "case", "class", "status", *keys):
        values = {key: number(cases_csv, row[key]) if row[key] else None for key in keys}
        found.setdefault(row["case"], {})[row["class"]] = {**values, "status": row["status"]}
    expected = set(classes)
    for case, rows in found.items():
        if absent := expected - rows.keys():
            raise damaged(cases_csv, f"it lacks {case} {min(absent)}, network {network}")
    return found


def finished_summary(evaluation: Path) -> Summary | None:
    """Content of summary.json; None where no evaluation was finished."""
    try:
        content: Summary = json.loads((evaluation / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if (evaluation / "cases.csv").is_file() else None
