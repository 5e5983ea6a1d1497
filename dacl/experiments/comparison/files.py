"""A comparison as data and as files: JSON with every number, CSV with a line per side and class, a dot plot."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dacl.analysis.comparison_figure import DifferencePanel, DifferenceRow, draw_comparison
from dacl.analysis.figures import why_no_pictures
from dacl.atomic import write_json
from dacl.experiments.comparison.compared import ClassDifference, Compared, SideDifference
from dacl.experiments.comparison.metric_words import words_of
from dacl.experiments.comparison.notes import FORCED
from dacl.experiments.comparison.sides import Side
from dacl.experiments.comparison.table import differences_table, moved_table, title
from dacl.experiments.paired import Difference
from dacl.experiments.row_files import csv_text
from dacl.metrics.summary import FOREGROUND
from dacl.palette import class_ink
from dacl.protocol import provenance

FORMAT = 1
STEM = "comparison"
FOREGROUND_INK = "#777777"


def write_comparison(compared: Compared, out: Path) -> tuple[Path, ...]:
    """`comparison.md`, `.tex`, `.csv`, `.json`, and `.png`, `.svg` where matplotlib is installed; their paths."""
    out.mkdir(parents=True, exist_ok=True)
    tables = differences_table(compared), moved_table(compared)
    texts = {
        "md": "\n".join(table.markdown() for table in tables),
        "tex": "\n".join(table.latex() for table in tables),
        "csv": csv_text(csv_records(compared)),
    }
    written = [out / f"{STEM}.{kind}" for kind in (*texts, "json")]
    for path, text in zip(written, texts.values(), strict=False):
        path.write_text(text, encoding="utf-8")
    write_json(written[-1], comparison_json(compared))
    if why_no_pictures() is None:
        pictures = [out / f"{STEM}.png", out / f"{STEM}.svg"]
        draw(compared, pictures)
        written += pictures
    return tuple(written)


def comparison_json(compared: Compared) -> dict[str, Any]:
    """The two blocks of a result, sides, and every number; values in the unit of summary.json."""
    first = compared.reference.first.summary
    protocol = {key: value for key, value in first["protocol"].items() if key != "networks"}
    return {
        "format": FORMAT,
        "synthetic": any(side.first.summary["synthetic"] for side in compared.sides),
        "protocol": {**protocol, "network": compared.network, "metric": compared.metric},
        "provenance": provenance(
            runs={side.label: [str(r.path) for r in side.runs.values()] for side in compared.sides},
            seeds={side.label: list(side.runs) for side in compared.sides},
        ),
        "unit": "fraction of 1" if compared.higher_is_better else words_of(compared.metric).unit,
        "higher_is_better": compared.higher_is_better,
        "sides": [_side_json(side) for side in compared.sides],
        "reference": compared.reference.label,
        "differences": [_difference_json(each) for each in compared.differences],
        "notes": list(differences_table(compared).notes),
    }


def _side_json(side: Side) -> dict[str, Any]:
    record = side.first.summary["provenance"]
    return {
        "label": side.label,
        "method": side.method,
        "labeled_patients": list(side.first.summary["protocol"]["labeled_patients"]),
        "networks": list(side.first.summary["protocol"]["networks"]),
        "seeds": list(side.runs),
        "preset": record.get("preset"),
        "steps": record.get("steps"),
        "config_hash": record.get("config_hash"),
    }


def _difference_json(each: SideDifference) -> dict[str, Any]:
    return {
        "side": each.side.label,
        "not_comparable": list(each.mixture),
        "paired_by_seed": each.paired,
        "undefined_cells_left_out": each.undefined,
        "contested_cells": each.contested,
        "unshared_volumes_left_out": each.unshared,
        "classes": {row.name: _row_json(row) for row in each.rows},
        "moved": {
            "better": [asdict(case) for case in each.improved],
            "worse": [asdict(case) for case in each.worsened],
        },
    }


def _row_json(row: ClassDifference) -> dict[str, Any]:
    return {
        "reference_mean": row.reference_mean,
        "side_mean": row.side_mean,
        "difference": None if row.difference is None else _spreads(row.difference),
        "wilcoxon": None if row.test is None else {**asdict(row.test), "least_p": row.test.least_p},
        "p_holm": row.p_holm,
        "wins": row.wins,
        "losses": row.losses,
        "ties": row.ties,
        "claim": row.claim,
        "difference_by_patient": dict(zip(row.patients, row.gain_by_patient, strict=True)),
    }


def _spreads(difference: Difference) -> dict[str, Any]:
    values = asdict(difference)
    # It counts patients of higher values, which for a distance are worse: `wins` says who is better.
    del values["better_patients"]
    return {
        **values,
        "std_over_seeds": difference.std_over_seeds,
        "ci95_over_seeds": difference.ci95_over_seeds,
        "excludes_zero": difference.excludes_zero,
    }


def csv_records(compared: Compared) -> Iterator[dict[str, Any]]:
    """A flat row per side and class in the unit of summary.json; None is an empty cell."""
    for each in compared.differences:
        for row in each.rows:
            found, test = row.difference, row.test
            bounds = {
                f"{name}_{end}": None if found is None else getattr(found, name)[place]
                for name in ("ci95_over_patients", "ci95_over_patients_and_seeds")
                for place, end in enumerate(("low", "high"))
            }
            yield {
                "reference": compared.reference.label,
                "side": each.side.label,
                "metric": compared.metric,
                "network": compared.network,
                "class": row.name,
                "seeds_of_reference": " ".join(map(str, compared.reference.runs)),
                "seeds_of_side": " ".join(map(str, each.side.runs)),
                "paired_by_seed": each.paired,
                "comparable": not each.mixture,
                "patients": len(row.patients),
                "reference_mean": row.reference_mean,
                "side_mean": row.side_mean,
                "difference": None if found is None else found.mean,
                **bounds,
                "std_over_seeds": None if found is None else found.std_over_seeds,
                "p_wilcoxon": None if test is None else test.p,
                "zero_differences": None if test is None else test.zeros,
                "p_holm": row.p_holm,
                "wins": row.wins,
                "losses": row.losses,
                "ties": row.ties,
                "claim": row.claim,
            }


def draw(compared: Compared, paths: list[Path]) -> None:
    """The dot plot, a panel per side."""
    several = any(each.paired and len(each.side.runs) > 1 for each in compared.differences)
    over = "patients and seeds" if several else "patients"
    draw_comparison(
        paths,
        panels(compared),
        title=title(compared),
        unit=f"difference, {words_of(compared.metric).unit}",
        interval=f"95 % interval over {over}",
    )


def panels(compared: Compared) -> list[DifferencePanel]:
    """What the dot plot shows, in the unit of the table."""
    found = []
    for each in compared.differences:
        above, below = each.side.label, compared.reference.label
        if not compared.higher_is_better:
            above, below = below, above
        found.append(
            DifferencePanel(
                title=each.side.label,
                left=f"{below} better",
                right=f"{above} better",
                warning=f"{FORCED} (forced): not measured alike" if each.mixture else None,
                rows=_dots(each, words_of(compared.metric).factor),
            )
        )
    return found


def _dots(each: SideDifference, factor: float) -> tuple[DifferenceRow, ...]:
    """The rows that have a difference."""
    dots = []
    for label, row in enumerate(each.rows, start=1):
        if row.difference is not None:
            mean_of_classes = row.name == FOREGROUND
            low, high = row.difference.ci95_over_patients_and_seeds
            dots.append(
                DifferenceRow(
                    label=f"{row.name} mean" if mean_of_classes else row.name,
                    color=FOREGROUND_INK if mean_of_classes else class_ink(label),
                    patients=tuple(factor * gain for gain in row.gain_by_patient),
                    mean=factor * row.difference.mean,
                    low=factor * low,
                    high=factor * high,
                    claim=row.claim,
                )
            )
    return tuple(dots)
