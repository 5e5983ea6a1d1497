"""The table of a sweep: a row for each value, held against the full method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dacl.analysis.ablation_figures import SweepDots, draw_sweep
from dacl.errors import DaclError
from dacl.experiments.alike import check_alike
from dacl.experiments.claims import claims, difference_cell, interval_lines
from dacl.experiments.measured import Measured, RowResult, measure
from dacl.experiments.row_files import (
    csv_text,
    first_summary,
    result_json,
    row_csv,
    row_json,
    write_files,
)
from dacl.experiments.sweep_grid import Panel
from dacl.experiments.table_notes import (
    missing_notes,
    number_cells,
    percent_by_seed,
    protocol_notes,
    runs_cell,
    spread_cells,
)
from dacl.experiments.tables import title_of
from dacl.table import Table

HEADINGS = (
    "parameter", "value", "runs", "Dice %", "sd over seeds", "sd over patients", "to full method"
)  # fmt: skip
FULL, PAPERS = "full method", "the paper's"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTable:
    """What was found, as a table for reading and as data."""

    table: Table
    csv: str
    """A line per value, units in the names, full precision."""
    json: dict[str, Any]
    """`protocol`, `provenance` and every number by value and seed; fractions of 1, voxels."""
    dots: tuple[SweepDots, ...]
    """The picture's panels."""


def sweep_table(
    panels: Sequence[Panel],
    results: Mapping[str, RowResult],
    *,
    network: str = "a",
    force: bool = False,
) -> SweepTable:
    """The table of a sweep; differences are to the full method.

    Args:
        panels: what was swept.
        results: key of a row -> its cells, for every row of the panels.
        network: the network judged.
        force: make a table of runs that were not measured alike, and say so in it.

    Raises:
        DaclError: nothing was run, a row without a result, or runs that differ in more than the swept values and seeds.
    """
    rows = {row.key: row for panel in panels for row in panel.rows}
    unknown = [key for key in rows if key not in results]
    if unknown:
        raise DaclError(f"no result of {', '.join(unknown)}", "run every row of the sweep")
    ordered = [results[key] for key in rows]
    unlike = check_alike(ordered, network=network, force=force)
    [full] = [key for key, row in rows.items() if not row.settings]
    measured = measure(ordered, network=network, reference=full)
    found = {row.key: row for row in measured}
    places = [(p, x, row.key) for p in panels for x, row in zip(p.labels, p.rows, strict=True)]
    table = Table(
        title=title_of(first_summary(measured), "sweep"),
        columns=HEADINGS,
        rows=tuple(
            _cells(panel, label, results[key], found.get(key)) for panel, label, key in places
        ),
        notes=(
            *missing_notes(ordered),
            f"one value at a time, all else as in the full method ({full}), which is in every panel",
            *protocol_notes(ordered, measured, network),
            *interval_lines(measured),
            *claims(measured),
            *(f"NOT COMPARABLE, forced: {line}" for line in unlike),
        ),
        numbers=frozenset(HEADINGS[2:]),
    )

    def records(of: Any) -> list[dict[str, Any]]:
        return [
            {
                "parameter": panel.parameter,
                "value": label,
                "is_full_method": label == panel.full_label,
                "is_papers_value": label == panel.paper_label,
                **of(results[key], found.get(key)),
            }
            for panel, label, key in places
        ]

    head = result_json(ordered, measured, network=network, notes=table.notes)
    return SweepTable(
        table=table,
        csv=csv_text(records(row_csv)),
        json={**head, "rows": records(row_json)},
        dots=tuple(_dots(panel, found) for panel in panels),
    )


def write_sweep(out: Path, found: SweepTable) -> tuple[Path, ...]:
    """`sweep.md`, `.tex`, `.csv`, `.json`, and `.png` where matplotlib is installed; the paths written."""
    return write_files(
        out, "sweep", found.table, found.csv, found.json,
        lambda path: draw_sweep(path, found.dots, title=found.table.title),
    )  # fmt: skip


def _dots(panel: Panel, found: Mapping[str, Measured]) -> SweepDots:
    """A panel of the picture; rows without a cell have no dots."""
    return SweepDots(
        parameter=panel.parameter,
        labels=panel.labels,
        dice_percent_by_seed=tuple(
            percent_by_seed(found[row.key]) if row.key in found else () for row in panel.rows
        ),
        full=panel.full_label,
        paper=panel.paper_label,
    )


def _cells(
    panel: Panel, label: str, result: RowResult, row: Measured | None
) -> tuple[str | None, ...]:
    marks = [
        mark
        for mark, place in ((FULL, panel.full_label), (PAPERS, panel.paper_label))
        if place == label
    ]
    return (
        panel.parameter,
        f"{label} ({', '.join(marks)})" if marks else label,
        runs_cell(result),
        *number_cells(row, ["dice"]),
        *spread_cells(row),
        difference_cell(row.reference if row else None, len(result.runs)),
    )
