"""The table of an ablation: rows with their spreads, their differences, and what those allow to be said."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dacl.analysis.ablation_figures import RowDots, draw_rows
from dacl.experiments.ablation import ALL_LABELED, LABELED_ONLY
from dacl.experiments.alike import check_alike
from dacl.experiments.claims import claims, difference_cell, interval_lines, power_lines
from dacl.experiments.measured import Measured, RowResult, measure
from dacl.experiments.published import paper_cell, paper_heading, paper_lines, printed_row
from dacl.experiments.row_files import (
    csv_text,
    first_summary,
    result_json,
    row_csv,
    row_json,
    write_files,
)
from dacl.experiments.table_notes import (
    difference_dots,
    labeled_patients,
    missing_notes,
    number_cells,
    percent_by_seed,
    protocol_notes,
    runs_cell,
    spread_cells,
)
from dacl.experiments.tables import title_of
from dacl.table import Table

REFERENCE = "I"
"""Cross pseudo supervision, which the paper's components are added to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationTable:
    """What was found, as a table for reading and as data."""

    table: Table
    results: tuple[RowResult, ...]
    """Every row, with and without cells."""
    measured: tuple[Measured, ...]
    """Those with a cell."""
    network: str

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return str(first_summary(self.measured)["protocol"]["dataset"])

    def json(self) -> dict[str, Any]:
        """`protocol`, `provenance` and every number by row and seed; fractions of 1, voxels."""
        rows = []
        for result, row in self._rows():
            printed = printed_row(result.row.key, self.dataset)
            paper = None if printed is None else {
                "dice_percent": printed.dice_percent[0],
                "plus_minus": printed.dice_percent[1],
                "source": printed.source,
                "labeled": printed.labeled,
                "remarks": list(printed.remarks),
            }  # fmt: skip
            rows.append({**row_json(result, row), "paper": paper})
        head = result_json(
            self.results, self.measured, network=self.network, notes=self.table.notes
        )
        return {**head, "rows": rows}

    def csv(self) -> str:
        """A line per row, units in the names, full precision."""
        records = []
        for result, row in self._rows():
            printed = printed_row(result.row.key, self.dataset)
            paper = {
                "paper_dice_percent_mean": printed and printed.dice_percent[0],
                "paper_dice_percent_plus_minus": printed and printed.dice_percent[1],
                "paper_labeled": printed and printed.labeled,
                "paper_source": printed and printed.source,
            }
            records.append({**row_csv(result, row), **paper})
        return csv_text(records)

    def _rows(self) -> list[tuple[RowResult, Measured | None]]:
        measured = {row.key: row for row in self.measured}
        return [(result, measured.get(result.row.key)) for result in self.results]


def ablation_table(
    results: Sequence[RowResult], *, network: str = "a", force: bool = False
) -> AblationTable:
    """The table of an ablation.

    Differences are taken patient by patient over the seeds that both rows have, to the row that a row is one step away
    from and to row I. The printed numbers stand beside ours where the paper has the dataset.

    Args:
        results: every row in order, those without a cell too.
        network: the network judged in every row.
        force: make a table of runs that were not measured alike, and say so in it.

    Raises:
        DaclError: nothing was run, or the runs differ in more than their rows and seeds.
    """
    unlike = check_alike(results, network=network, force=force)
    measured = measure(results, network=network, reference=REFERENCE)
    summary = first_summary(measured)
    dataset = summary["protocol"]["dataset"]
    found = {row.key: row for row in measured}
    cells = [_cells(result, found.get(result.row.key), dataset) for result in results]
    headings = _headings(results, dataset)
    # What no row has, such as a printed number for a dataset of one's own, takes no column.
    shown = [n for n in range(len(headings)) if n < 3 or any(line[n] for line in cells)]
    columns = tuple(headings[n] for n in shown)
    table = Table(
        title=title_of(summary, "ablation"),
        columns=columns,
        rows=tuple(tuple(line[n] for n in shown) for line in cells),
        notes=(
            *missing_notes(results),
            *protocol_notes(results, measured, network),
            *interval_lines(measured),
            *claims(measured),
            *power_lines(measured),
            *paper_lines(
                [result.row.key for result in results],
                dataset,
                len(summary["protocol"]["labeled_patients"]),
            ),
            *(f"NOT COMPARABLE, forced: {line}" for line in unlike),
        ),
        numbers=frozenset(columns[2:]),
    )
    return AblationTable(table=table, results=tuple(results), measured=measured, network=network)


def write_ablation(out: Path, stem: str, found: AblationTable) -> tuple[Path, ...]:
    """`<stem>.md`, `.tex`, `.csv`, `.json`, and `.png` where matplotlib is installed; the paths written."""
    return write_files(
        out, stem, found.table, found.csv(), found.json(), lambda path: _draw(path, found)
    )


def _headings(results: Sequence[RowResult], dataset: str) -> list[str]:
    above = {result.row.above for result in results if result.row.above is not None}
    # One row that all others are one step away from, unless it has a column of its own.
    [only] = above if len(above) == 1 else [REFERENCE]
    to_above = "to row above" if only == REFERENCE else f"to {only}"
    return [
        "row", "adds", "runs", "Dice %", "sd over seeds", "sd over patients", to_above,
        f"to {REFERENCE}", "JC %", "ASD vox", "HD95 vox", paper_heading(dataset),
    ]  # fmt: skip


def _cells(result: RowResult, row: Measured | None, dataset: str) -> list[str | None]:
    n = len(result.runs)
    return [
        result.row.key,
        result.row.title,
        runs_cell(result),
        *number_cells(row, ["dice"]),
        *spread_cells(row),
        difference_cell(row.above if row else None, n),
        difference_cell(row.reference if row else None, n),
        *number_cells(row, ["jc", "asd_vox", "hd95_vox"]),
        paper_cell(result.row.key, dataset),
    ]


def _draw(path: Path, found: AblationTable) -> None:
    """Rows with a cell: every seed, the mean, and the difference to row I, or without it to the row above."""
    has_reference = any(row.reference for row in found.measured)
    dots, others = [], set()
    for row in found.measured:
        against = row.reference if has_reference else row.above
        printed = printed_row(row.key, found.dataset)
        if printed is not None and printed.labeled != labeled_patients(row):
            printed = None
        dots.append(
            RowDots(
                label=f"{row.key}: {row.result.row.title}",
                dice_percent_by_seed=percent_by_seed(row),
                difference=None if against is None else difference_dots(against),
                printed_percent=None if printed is None else printed.dice_percent[0],
                apart=row.key in (LABELED_ONLY, ALL_LABELED),
            )
        )
        others |= set() if against is None else {against.to}
    to = others.pop() if len(others) == 1 else "the row above"
    draw_rows(path, dots, title=found.table.title, difference_to=to)
