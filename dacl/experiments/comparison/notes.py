"""What stands under the table of a comparison: how it was measured, what the intervals and p values are, claims."""

from collections.abc import Iterator

from dacl.config import with_unsaid
from dacl.experiments.ablation import Row
from dacl.experiments.claims import (
    SIGN,
    few_patients_lines,
    few_seeds_lines,
    left_out_line,
    why_no_claim,
)
from dacl.experiments.comparison.compared import ClassDifference, Compared, SideDifference
from dacl.experiments.comparison.metric_words import MetricWords, words_of
from dacl.experiments.comparison.sides import Side
from dacl.experiments.measured import RowResult, RunResult
from dacl.experiments.paired import LEAST_PATIENTS, LEAST_SEEDS
from dacl.experiments.table_notes import run_notes
from dacl.experiments.tables import NOTED, protocol_lines
from dacl.experiments.trained import training_notes

FORCED = "NOT COMPARABLE"


def notes(compared: Compared) -> Iterator[str]:
    """The lines in their order; what makes the sides incomparable comes first."""
    sides = compared.sides
    for each in compared.differences:
        who = f"{compared.reference.label} and {each.side.label}"
        yield from (f"{FORCED}, forced: {who} differ in {line}" for line in each.mixture)
    if any(each.mixture for each in compared.differences):
        yield f"the protocol of {compared.reference.label}:"
    yield from protocol_lines(compared.reference.first.summary)
    yield (
        f"network {compared.network}; side minus reference, {words_of(compared.metric).unit}; "
        f"better is {'higher' if compared.higher_is_better else 'lower'}"
    )
    yield "runs: " + "; ".join(
        f"{side.label}: seed{'s' if len(side.runs) > 1 else ''} {', '.join(map(str, side.runs))}"
        for side in sides
    )
    yield from _recipes(compared)
    yield from _pairing(compared)
    yield from _intervals(compared)
    yield from _tests(compared)
    yield from _left_out(compared)
    yield from claim_lines(compared)
    results = [_as_row(side) for side in sides]
    yield from training_notes(results)
    yield from run_notes(results)


def _recipes(compared: Compared) -> Iterator[str]:
    """Settings that differ from the reference's, beyond the method and what only one method reads."""
    reference = compared.reference
    for each in compared.differences:
        side = each.side
        first, second = reference.first.recipe, side.first.recipe
        if first is None or second is None:
            records = [x.first.summary["provenance"] for x in (reference, side)]
            pairs = {key: [str(record.get(key)) for record in records] for key in NOTED}
        else:
            first, second = with_unsaid(first), with_unsaid(second)
            shared = [key for key in first if key in second and key != "method"]
            pairs = {key: [str(first[key]), str(second[key])] for key in shared}
        differing = [f"{key} {two} ({one})" for key, (one, two) in pairs.items() if one != two]
        if differing:
            yield f"set otherwise in {side.label} than in {reference.label}: {', '.join(differing)}"
    unknown = [side.label for side in compared.sides if side.first.recipe is None]
    if unknown:
        yield f"configuration not recorded, only {' and '.join(NOTED)} compared: {'; '.join(unknown)}"


def _pairing(compared: Compared) -> Iterator[str]:
    yield (
        "paired by patient: frames of a patient averaged first, then classes for the foreground mean, then seeds, "
        "whatever the averages of a run's own table are"
    )
    apart = [each.side.label for each in compared.differences if not each.paired]
    if apart:
        yield (
            f"other seeds than {compared.reference.label}: {'; '.join(apart)}; seeds are averaged on each side, so "
            "both intervals are over patients alone and say nothing about other seeds"
        )


def _intervals(compared: Compared) -> Iterator[str]:
    counts = sorted({len(each.side.runs) for each in compared.differences if each.paired})
    yield (
        "intervals: 95 % bootstrap of the mean difference; over patients: these seeds, other patients; over patients "
        "and seeds: both drawn anew (crossed)"
    )
    if 1 in counts:
        yield "one seed: both intervals are over patients alone and say nothing about other seeds"
    if counts and counts[-1] > 1:
        yield (
            f"{SIGN}: a claim: the interval over patients and seeds excludes zero, as do the 95 % t intervals over the "
            f"seeds' and over the patients' differences, from at least {LEAST_SEEDS} seeds and {LEAST_PATIENTS} "
            "patients, and still with what is painted of absent classes charged. No correction for the number of lines"
        )
    yield from few_seeds_lines(counts)


def _tests(compared: Compared) -> Iterator[str]:
    n_classes = max(len(each.rows) for each in compared.differences) - 1
    yield (
        "p: two-sided Wilcoxon signed-rank test of the patients' differences, seeds averaged: these seeds, other "
        "patients; differences of zero are left out, and p is 1 where all are zero. p Holm: corrected over the "
        f"{n_classes} class{'es' if n_classes > 1 else ''} of a side; the foreground mean is the mean of these classes "
        "and no part of that family, and several sides are not corrected for"
    )
    few: dict[int, list[str]] = {}
    for each in compared.differences:
        for row in each.rows:
            if row.test is not None and 0 < row.test.nonzero < LEAST_PATIENTS:
                few.setdefault(row.test.nonzero, []).append(f"{each.side.label} {row.name}")
    for n, who in sorted(few.items()):
        yield (
            f"{n} patient{'s' if n > 1 else ''} with a difference ({', '.join(who)}): p cannot fall below "
            f"{2.0 ** (1 - n):.4g}"
        )
    yield from few_patients_lines(
        [len(row.patients) for each in compared.differences for row in each.rows if row.patients]
    )


def _left_out(compared: Compared) -> Iterator[str]:
    for each in compared.differences:
        who = f"{each.side.label} and {compared.reference.label}"
        if each.undefined:
            foreground = each.rows[-1].difference
            charged = None if foreground is None else foreground.charged
            words = words_of(compared.metric)
            yield left_out_line(who, each.undefined, each.contested, charged, words.difference)
        if each.unshared:
            yield f"{each.unshared} volumes left out, not in every run of {who}"
        empty = [row.name for row in each.rows if not row.patients]
        if empty:
            yield f"no patient with a value in every run of {who}: {', '.join(empty)}"
    counts = {
        side.label: [
            sum(run.summary["networks"][compared.network]["foreground"].get(f"n_{status}", 0)
                for run in side.runs.values())
            for status in ("missed", "spurious")
        ]
        for side in compared.sides
    }  # fmt: skip
    if any(n for pair in counts.values() for n in pair):
        each_side = "; ".join(f"{label} {m} and {s}" for label, (m, s) in counts.items())
        yield f"missed and spurious masks, over classes and seeds: {each_side}"


def claim_lines(compared: Compared) -> Iterator[str]:
    """A sentence for the foreground mean of every side."""
    words = words_of(compared.metric)
    for each in compared.differences:
        row = each.rows[-1]
        if row.difference is None:
            continue
        against = f"foreground mean, {each.side.label} against {compared.reference.label}"
        why = _why_not(each, row, words)
        if why is None:
            side = "above" if row.difference.mean > 0 else "below"
            sign = row.difference.mean > 0
            same = sum((gain > 0) == sign for gain in row.difference.by_seed)
            yield (
                f"{against}: {side} by {words.value(abs(row.difference.mean))} {words.unit}, in {same} of "
                f"{len(row.difference.by_seed)} seeds, better for {row.wins} of {len(row.patients)} patients"
            )
        else:
            yield f"{against}: nothing may be claimed: {why}"


def _why_not(each: SideDifference, row: ClassDifference, words: MetricWords) -> str | None:
    if row.claim or row.difference is None:
        return None
    if each.mixture:
        return "not measured alike" if each.paired else "not measured alike, and seeds not paired"
    return why_no_claim(row.difference, words.difference)


def _as_row(side: Side) -> RowResult:
    """A side as the notes of other tables know it."""
    return RowResult(
        row=Row(key=side.label, title=side.label, settings={}),
        runs={
            seed: RunResult(summary=run.summary, dice=None, recipe=run.recipe)
            for seed, run in side.runs.items()
        },
    )
