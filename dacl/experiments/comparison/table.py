"""The tables of a comparison: differences per side and class, and the cases that moved."""

from collections.abc import Sequence

from dacl.experiments.claims import SIGN
from dacl.experiments.comparison.compared import ClassDifference, Compared, SideDifference
from dacl.experiments.comparison.metric_words import MetricWords, words_of
from dacl.experiments.comparison.notes import FORCED, notes
from dacl.experiments.tables import title_of
from dacl.table import Table

LONGEST_HEADING = 24
"""Characters of a label in a heading."""


def differences_table(compared: Compared) -> Table:
    """A line per side and class: both means, the difference with two intervals, p, and who won."""
    words = words_of(compared.metric)
    forced = any(each.mixture for each in compared.differences)
    last = ("measured alike?",) if forced else ()
    rows = []
    for each in compared.differences:
        mark = (FORCED if each.mixture else "yes",) if forced else ()
        rows += [(*_cells(each, row, words), *mark) for row in each.rows]
    columns = (
        "side", "class", f"{_short_label(compared)} {words.heading}", f"side {words.heading}",
        "difference", "95 % over patients", "95 % over patients and seeds", "p", "p Holm", "won/lost/tied",
    )  # fmt: skip
    return Table(
        title=title(compared),
        columns=(*columns, *last),
        rows=tuple(rows),
        notes=tuple(notes(compared)),
        numbers=frozenset(columns[2:]),
    )


def moved_table(compared: Compared) -> Table:
    """The volumes that differ most, in either direction."""
    words = words_of(compared.metric)
    rows = []
    for each in compared.differences:
        for way, cases in (("better", each.improved), ("worse", each.worsened)):
            for case in cases:
                change = words.difference(case.side - case.reference)
                of_class = f"{case.class_name}: {words.value(case.class_reference)} to {words.value(case.class_side)}"
                rows.append(
                    (each.side.label, way, case.case, words.value(case.reference), words.value(case.side),
                     change, of_class)
                )  # fmt: skip
    columns = (
        "side", "", "case", f"{_short_label(compared)} {words.heading}", f"side {words.heading}",
        "difference", "most in class",
    )  # fmt: skip
    return Table(
        title=f"{title(compared)}: cases that moved most (mean over classes and seeds)",
        columns=columns,
        rows=tuple(rows),
        numbers=frozenset(columns[3:6]),
    )


def _short_label(compared: Compared) -> str:
    """Of the reference, for a heading; the title has it whole."""
    label = compared.reference.label
    return label if len(label) <= LONGEST_HEADING else "reference"


def title(compared: Compared) -> str:
    """Dataset, what it was judged on, and what is held against what."""
    of_metric = f"{words_of(compared.metric).name}, network {compared.network}"
    if len(compared.differences) == 1:
        what = f"{compared.differences[0].side.label} minus {compared.reference.label}"
    else:
        what = f"differences to {compared.reference.label}"
    return title_of(compared.reference.first.summary, f"{what}, {of_metric}")


def _cells(each: SideDifference, row: ClassDifference, words: MetricWords) -> Sequence[str | None]:
    difference, test = row.difference, row.test
    if difference is None or test is None:
        return (each.side.label, row.name, *(None,) * 7, "0/0/0")
    return (
        each.side.label,
        row.name,
        words.value(row.reference_mean),
        words.value(row.side_mean),
        words.difference(difference.mean),
        words.interval(difference.ci95_over_patients),
        words.interval(difference.ci95_over_patients_and_seeds) + (f" {SIGN}" if row.claim else ""),
        _p(test.p),
        None if row.p_holm is None else _p(row.p_holm),
        f"{row.wins}/{row.losses}/{row.ties}",
    )


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
