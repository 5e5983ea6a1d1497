"""Rows as data: JSON with every number, CSV with a line per row, and the files that a table is written to."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dacl.analysis.figures import why_no_pictures
from dacl.atomic import write_json
from dacl.experiments.claims import power_of_row
from dacl.experiments.measured import METRICS, Comparison, Measured, RowResult
from dacl.protocol import provenance
from dacl.table import Table

FORMAT = 1
UNITS = {
    "dice": "fraction of 1",
    "jc": "fraction of 1",
    "asd_vox": "voxels",
    "hd95_vox": "voxels",
    "difference": "Dice, fraction of 1",
}
# Metric -> name and factor in the CSV.
CSV_METRICS = {
    "dice": ("dice_percent", 100.0),
    "jc": ("jc_percent", 100.0),
    "asd_vox": ("asd_vox", 1.0),
    "hd95_vox": ("hd95_vox", 1.0),
}


def result_json(
    results: Sequence[RowResult], rows: Sequence[Measured], *, network: str, notes: Sequence[str]
) -> dict[str, Any]:
    """The two blocks of a result, units and notes; the rows are added by the table.

    Args:
        results: of every row, measured or not.
        rows: the measured ones.
        network: judged.
        notes: of the table.
    """
    first = first_summary(rows)
    protocol = {key: value for key, value in first["protocol"].items() if key != "networks"}
    hashes = {row.key: row.result.first.summary["provenance"].get("config_hash") for row in rows}
    return {
        "format": FORMAT,
        "synthetic": first["synthetic"],
        "protocol": {**protocol, "network": network},
        "provenance": provenance(
            seeds=sorted({seed for r in results for seed in (*r.runs, *r.missing)}),
            preset=first["provenance"]["preset"],
            steps=first["provenance"]["steps"],
            config_hash=hashes,
        ),
        "units": UNITS,
        "notes": list(notes),
    }


def first_summary(rows: Sequence[Measured]) -> dict[str, Any]:
    """Of the first row with the fewest labelled patients: as many as every row has but the one with all labels."""
    summaries = [row.result.first.summary for row in rows]
    return min(summaries, key=lambda summary: len(summary["protocol"]["labeled_patients"]))


def row_json(result: RowResult, row: Measured | None) -> dict[str, Any]:
    """Every number of a row; without a cell, who is missing."""
    record: dict[str, Any] = {
        "row": result.row.key,
        "title": result.row.title,
        "settings": dict(result.row.settings),
        "seeds": list(result.runs),
        "missing": {str(seed): why for seed, why in result.missing.items()},
    }
    if row is None:
        return record
    protocol = result.first.summary["protocol"]
    record |= {
        "networks": list(protocol["networks"]),
        "n_labeled_patients": len(protocol["labeled_patients"]),
        "dice_std_over_patients": row.dice_std_over_patients,
    }
    for metric in METRICS:
        record[metric] = {
            "mean": row.mean(metric),
            "std_over_seeds": row.std_over_seeds(metric),
            "by_seed": {str(seed): value for seed, value in row.by_seed(metric).items()},
        }
    record["difference_to_row_above"] = _difference_json(row.above)
    record["difference_to_reference"] = _difference_json(row.reference)
    record["seeds_needed"] = {to: asdict(found) for to, found in power_of_row(row).items()}
    return record


def _difference_json(found: Comparison | None) -> dict[str, Any] | None:
    if found is None:
        return None
    difference = found.difference
    return {
        "to": found.to,
        "seeds": list(found.seeds),
        **asdict(difference),
        "undefined_cells_left_out": found.undefined,
        "contested_cells": found.contested,
        "std_over_seeds": difference.std_over_seeds,
        "ci95_over_seeds": difference.ci95_over_seeds,
        "excludes_zero": difference.excludes_zero,
    }


def row_csv(result: RowResult, row: Measured | None) -> dict[str, Any]:
    """A flat row with units in its names; None is an empty cell."""
    record: dict[str, Any] = {
        "row": result.row.key,
        "adds": result.row.title,
        "runs": len(result.runs),
        "seeds": " ".join(map(str, result.runs)),
        "missing_seeds": " ".join(map(str, result.missing)),
    }
    for metric, (name, factor) in CSV_METRICS.items():
        mean = None if row is None else row.mean(metric)
        std = None if row is None else row.std_over_seeds(metric)
        record[f"{name}_mean"] = _scaled(mean, factor)
        record[f"{name}_std_over_seeds"] = _scaled(std, factor)
        if metric == "dice":
            over_patients = None if row is None else row.dice_std_over_patients
            record[f"{name}_std_over_patients"] = _scaled(over_patients, factor)
    for name in ("above", "reference"):
        found = None if row is None else getattr(row, name)
        record |= _difference_csv(name, found)
    return record


def _difference_csv(name: str, found: Comparison | None) -> dict[str, Any]:
    """In points of Dice; the same names with nothing under them where there is no such row."""
    intervals = ("ci95_over_patients_and_seeds", "ci95_over_patients", "ci95_over_seeds")
    points = f"to_{name}_dice_points"
    names = [
        f"to_{name}_row", f"to_{name}_pairs", f"{points}_mean", f"{points}_std_over_seeds",
        *(f"{points}_{interval}_{end}" for interval in intervals for end in ("low", "high")),
        f"to_{name}_excludes_zero",
    ]  # fmt: skip
    if found is None:
        return dict.fromkeys(names)
    difference = found.difference
    bounds = [
        bound
        for interval in intervals
        for bound in getattr(difference, interval) or (None, None)  # over one seed there is none
    ]
    values = [
        found.to, len(found.seeds), 100 * difference.mean, _scaled(difference.std_over_seeds, 100),
        *(_scaled(bound, 100) for bound in bounds), difference.excludes_zero,
    ]  # fmt: skip
    return dict(zip(names, values, strict=True))


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def csv_text(records: Iterable[dict[str, Any]]) -> str:
    """Records with the same names as CSV; floats in full, None empty."""
    records = list(records)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, records[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue()


def write_files(
    out: Path, stem: str, table: Table, csv_of: str, json_of: dict[str, Any],
    draw: Callable[[Path], None],
) -> tuple[Path, ...]:  # fmt: skip
    """`<stem>.md`, `.tex`, `.csv`, `.json`, and `.png` where matplotlib is installed; the paths written."""
    out.mkdir(parents=True, exist_ok=True)
    texts = {"md": table.markdown(), "tex": table.latex(), "csv": csv_of}
    written = [out / f"{stem}.{kind}" for kind in (*texts, "json")]
    for path, text in zip(written, texts.values(), strict=False):
        path.write_text(text, encoding="utf-8")
    write_json(written[-1], json_of)
    if why_no_pictures() is None:
        written.append(out / f"{stem}.png")
        draw(written[-1])
    return tuple(written)
