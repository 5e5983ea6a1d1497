"""What stands under a table of rows: how it was measured, which cells are missing, what runs say of themselves."""

from collections.abc import Sequence

from dacl.analysis.ablation_figures import DifferenceDots
from dacl.experiments.ablation import ALL_LABELED
from dacl.experiments.alike import unrecorded
from dacl.experiments.claims import left_out_line, points
from dacl.experiments.measured import Comparison, Measured, RowResult
from dacl.experiments.row_files import first_summary
from dacl.experiments.tables import format_metric, protocol_lines
from dacl.experiments.trained import training_notes

# Notes of a run whose place is its own evaluation.
OWN_NOTES = ("one seed:", "missed masks", "spurious masks", "undefined masks")
# Half of the last decimal shown.
VISIBLE = 0.00005


def protocol_notes(
    results: Sequence[RowResult], rows: Sequence[Measured], network: str
) -> list[str]:
    """Protocol, network, spreads, and notes of the runs."""
    lines = [*protocol_lines(first_summary(rows))]
    for row in rows:
        if row.key == ALL_LABELED:
            lines.append(f"{ALL_LABELED}: {labeled_patients(row)} labelled patients")
    lines += training_notes(results)
    lines.append(f"network {network}, mean over foreground classes")
    most = max(len(row.seeds) for row in rows)
    lines.append(
        "one seed: differences between rows have no spread over seeds to be held against"
        if most == 1
        else "sd over seeds: of the means of the runs of a row"
    )
    lines.append("sd over patients: of the Dice of a patient, frames and then seeds averaged first")
    lines += run_notes(results)
    unknown = unrecorded(results)
    if unknown:
        who = "of every run" if len(unknown) == _n_runs(results) else ", ".join(unknown)
        lines.append(f"configuration not recorded and not compared: {who}")
    lines += _left_out(rows)
    if any(_departs(row, x, rows) for row in rows for x in row.comparisons):
        lines.append(
            "undefined masks leave patients or classes out of the means: a difference here is that of the patients "
            "and not quite that of the Dice column"
        )
    return lines


def labeled_patients(row: Measured) -> int:
    """How many labelled patients its runs had."""
    return len(row.result.first.summary["protocol"]["labeled_patients"])


def missing_notes(results: Sequence[RowResult]) -> list[str]:
    """The cells that are not there, by name."""
    return [
        f"MISSING: {result.row.key} seed {seed}: {why}"
        for result in results
        for seed, why in result.missing.items()
    ]


def number_cells(row: Measured | None, metrics: Sequence[str]) -> list[str | None]:
    """Means over seeds."""
    return [None if row is None else format_metric(row.mean(metric), metric) for metric in metrics]


def spread_cells(row: Measured | None) -> list[str | None]:
    """Dice: standard deviation over seeds, and over patients."""
    if row is None:
        return [None, None]
    spreads = (row.std_over_seeds("dice"), row.dice_std_over_patients)
    return [format_metric(spread, "dice") for spread in spreads]


def runs_cell(result: RowResult) -> str:
    """`3`, or `2 of 3` where cells are missing."""
    here, wanted = len(result.runs), len(result.runs) + len(result.missing)
    return str(here) if here == wanted else f"{here} of {wanted}"


def percent_by_seed(row: Measured) -> tuple[float, ...]:
    """Dice of every run, for a picture."""
    return tuple(100 * value for value in row.by_seed("dice").values() if value is not None)


def difference_dots(found: Comparison) -> DifferenceDots:
    """A difference in points, for a picture."""
    low, high = found.difference.ci95_over_patients_and_seeds
    return DifferenceDots(
        points=100 * found.difference.mean,
        low=100 * low,
        high=100 * high,
        excludes_zero=found.difference.excludes_zero,
    )


def run_notes(results: Sequence[RowResult]) -> list[str]:
    """What runs say of themselves; with their names where not all do."""
    cells: dict[str, list[str]] = {}
    for result in results:
        for seed, run in result.runs.items():
            for note in run.summary["notes"]:
                if not note.startswith(OWN_NOTES):
                    cells.setdefault(note, []).append(f"{result.row.key} seed {seed}")
    n = _n_runs(results)
    return [note if len(who) == n else f"{note}: {', '.join(who)}" for note, who in cells.items()]


def _left_out(rows: Sequence[Measured]) -> list[str]:
    """Cells that a difference is not of, as lines without repetition."""
    found = {f"{row.key} to {x.to}": x for row in rows for x in row.comparisons if x.undefined}
    return [
        left_out_line(name, x.undefined, x.contested, x.difference.charged, points)
        for name, x in found.items()
    ]


def _n_runs(results: Sequence[RowResult]) -> int:
    return sum(len(result.runs) for result in results)


def _departs(row: Measured, found: Comparison, rows: Sequence[Measured]) -> bool:
    """Whether the difference of the patients is not that of the column, over the same seeds."""
    other = next(other for other in rows if other.key == found.to)
    first, second = row.by_seed("dice"), other.by_seed("dice")
    gaps = [
        (first[seed] or 0.0) - (second[seed] or 0.0) - gain
        for seed, gain in zip(found.seeds, found.difference.by_seed, strict=True)
    ]
    return abs(sum(gaps)) / len(gaps) >= VISIBLE
