"""What may be said about differences between rows, and how many seeds it would take to say more."""

from collections.abc import Callable, Iterable, Sequence

from scipy import stats

from dacl.experiments.ablation import ANCHORS
from dacl.experiments.measured import Comparison, Measured
from dacl.experiments.paired import (
    LEAST_PATIENTS,
    LEAST_SEEDS,
    Difference,
    coverage_bound,
    off_zero,
)
from dacl.experiments.power import DIFFERENCES, MOST, PowerStatement, power_statement

SIGN = "*"
"""Marks a difference that may be claimed: `Difference.excludes_zero`."""
BOUND = 6
"""Of fewer seeds or patients, `coverage_bound` is below 95 %."""
ENOUGH = 20
"""From so many seeds or patients on, a bootstrap interval covers 93 % or more of normal values."""


def points(value: float) -> str:
    """A difference of Dice, a fraction of 1, in points with its sign."""
    return f"{100 * value:+.2f}"


def difference_cell(found: Comparison | None, runs: int) -> str | None:
    """`+1.20 [+0.30, +2.10] *`; with the number of pairs where it is not that of the row's runs."""
    if found is None:
        return None
    low, high = found.difference.ci95_over_patients_and_seeds
    text = f"{points(found.difference.mean)} [{points(low)}, {points(high)}]"
    if found.difference.excludes_zero:
        text += f" {SIGN}"
    n = len(found.seeds)
    return text if n == runs else f"{text} ({n} pair{'' if n == 1 else 's'})"


def interval_lines(rows: Sequence[Measured]) -> list[str]:
    """What the numbers in brackets are, and what they are not."""
    found = {f"{row.key} to {x.to}": x for row in rows for x in row.comparisons}
    if not found:
        return []
    comparisons = {name: len(x.seeds) for name, x in found.items()}
    few_patients = few_patients_lines([x.difference.patients for x in found.values()])
    counts = sorted(set(comparisons.values()))
    if counts[-1] == 1:
        return [
            "in brackets: 95 % bootstrap interval of the difference, of one seed and so over patients alone: it says "
            "nothing about other seeds",
            *few_patients,
        ]
    alone = [name for name, n in comparisons.items() if n == 1]
    lines = [
        f"in brackets{', of several seeds' if alone else ''}: 95 % bootstrap interval of the difference, patients and "
        f"seeds both drawn anew (crossed), frames of a patient averaged first; {SIGN}: it excludes zero, as do the "
        f"95 % t intervals over the seeds' and over the patients' differences, from at least {LEAST_SEEDS} seeds and "
        f"{LEAST_PATIENTS} patients, and still with what is painted of absent classes charged. No correction for the "
        "number of comparisons"
    ]
    if alone:
        lines.append(
            f"in brackets, of one seed ({', '.join(alone)}): over patients alone, it says nothing about other seeds"
        )
    return [*lines, *few_seeds_lines(counts), *few_patients]


def few_seeds_lines(counts: Iterable[int]) -> list[str]:
    """What intervals over so many seeds are worth; nothing from enough, and of one seed other lines tell."""
    few = [f"{_coverage(n)} from {n} seeds" for n in sorted(set(counts)) if 1 < n < ENOUGH]
    if not few:
        return []
    return [
        "few seeds make the interval too narrow: where seeds are the larger spread it covers the truth not in 95 % "
        f"of cases but in {', '.join(few)}; a claim from so few waits for more seeds to confirm it"
    ]


def few_patients_lines(counts: Sequence[int]) -> list[str]:
    """What intervals over so many patients are worth, at the least of them; nothing from enough."""
    least = min(counts, default=LEAST_PATIENTS)
    if least == 1:
        return [
            "one patient: there is no other to draw, and the intervals have no width on its account"
        ]
    if least < ENOUGH:
        return [
            f"few patients make the intervals too narrow: from {least} they cover the truth in {_coverage(least)} of "
            "cases"
        ]
    return []


def _coverage(n: int) -> str:
    """What a 95 % bootstrap interval over so few values covers, in words."""
    if n < BOUND:
        return f"at most {100 * coverage_bound(n):.3g} %"
    return f"about {100 * normal_coverage(n):.0f} %"


def normal_coverage(n: int) -> float:
    """What a 95 % bootstrap interval of the mean of `n` normal values covers, about.

    Its half width is 1.96 standard errors with n and not n - 1 in the standard deviation, where Student's t is due:
    0.87 from 6 values, 0.90 from 10, 0.93 from 20.
    """
    return float(1 - 2 * stats.t.sf(stats.norm.ppf(0.975) * ((n - 1) / n) ** 0.5, n - 1))


def claims(rows: Sequence[Measured]) -> list[str]:
    """A sentence for every row that is held against another."""
    lines = []
    for row in rows:
        if row.comparisons:
            lines.append(f"{row.key}: " + "; ".join(map(_claim, row.comparisons)))
    return lines


def _claim(found: Comparison) -> str:
    difference = found.difference
    why = why_no_claim(difference)
    if why is not None:
        return f"nothing may be claimed against {found.to}: {why}"
    side = "above" if difference.mean > 0 else "below"
    same_sign = sum((gain > 0) == (difference.mean > 0) for gain in difference.by_seed)
    return (
        f"{side} {found.to} by {abs(100 * difference.mean):.2f} points of Dice, in {same_sign} of "
        f"{len(found.seeds)} seeds, better for {difference.better_patients} of "
        f"{difference.patients} patients"
    )


def why_no_claim(difference: Difference, shown: Callable[[float], str] = points) -> str | None:
    """None where it may be claimed; `shown` writes a bound of an interval."""
    n, over_seeds = len(difference.by_seed), difference.ci95_over_seeds
    if difference.patients < LEAST_PATIENTS:
        return f"{difference.patients} patient{'' if difference.patients == 1 else 's'} and not {LEAST_PATIENTS}"
    if over_seeds is None:
        return "one seed"
    if n < LEAST_SEEDS:
        return f"{n} seeds and not {LEAST_SEEDS}"
    if not off_zero(difference.ci95_over_patients_and_seeds):
        return "the interval includes zero"
    if not off_zero(over_seeds):
        low, high = over_seeds
        return f"the t interval over seeds includes zero, [{shown(low)}, {shown(high)}]"
    over_patients = difference.t95_over_patients
    if over_patients is not None and not off_zero(over_patients):
        low, high = over_patients
        return f"the t interval over patients includes zero, [{shown(low)}, {shown(high)}]"
    if difference.undone_by_charge:
        return "not so if what is painted of absent classes is charged"
    return None


def left_out_line(
    who: str,
    undefined: int,
    contested: int,
    charged: Difference | None,
    shown: Callable[[float], str],
) -> str:
    """What a difference is not of, and what it would be with the contested cells charged."""
    cells = f"{undefined} cell{'' if undefined == 1 else 's'} (a volume and a class) left out of {who}, undefined in "
    if not contested:
        return f"{cells}every run"
    worth = ""
    if charged is not None:
        worth = (
            "; charged, with the best value for none and its own for painting, the foreground difference is "
            f"{shown(charged.mean)}"
        )
    return (
        f"{cells}a run of either: in {contested} of them the class is absent, and one run painted it where another did "
        f"not{worth}"
    )


def power_of_row(row: Measured) -> dict[str, PowerStatement]:
    """Key of another row -> seeds needed: the row above, and row I for the whole method or where no row is above."""
    return {
        to: power_statement(spread, len(found.seeds))
        for to, found in _asked(row).items()
        if (spread := found.difference.std_over_seeds) is not None
    }


def _asked(row: Measured) -> dict[str, Comparison]:
    to_reference = row.key in ("VI", ANCHORS) or row.above is None
    asked = [row.above, row.reference if to_reference else None]
    return {found.to: found for found in asked if found is not None}


def power_lines(rows: Sequence[Measured]) -> list[str]:
    """How many seeds would resolve half a point, one and two, and what patients leave open."""
    lines = [
        f"{row.key} to {to}: {_power(statement)}; half width over patients, these seeds: "
        f"{100 * _asked(row)[to].difference.half_width_over_patients:.2f}"
        for row in rows
        for to, statement in power_of_row(row).items()
    ]
    if not any(row.comparisons for row in rows):
        return []
    if not lines:
        return [
            "seeds needed to resolve a difference: two seeds at least are needed to say how many"
        ]
    sizes = ", ".join(f"{100 * difference:g}" for difference in DIFFERENCES)
    return [
        f"seeds needed to resolve {sizes} points of Dice on these patients (paired t test over seeds, two-sided 5 %, "
        "power 80 %), at the sd over seeds of the difference that was seen and then at both ends of its 95 % interval; "
        f"{SIGN} needs {LEAST_SEEDS} seeds, {LEAST_PATIENTS} patients and the interval over patients and seeds too. "
        "Each line ends with the half width over patients, seeds averaged (points); more seeds take away from it where "
        "patients are better under one seed and worse under another",
        *lines,
    ]


def _power(statement: PowerStatement) -> str:
    low, high = statement.std_ci95

    def each(seeds: Sequence[int | None]) -> str:
        return ", ".join(f"over {MOST}" if n is None else str(n) for n in seeds)

    return (
        f"{each([n.seeds for n in statement.needed])} "
        f"(sd {100 * statement.std_over_seeds:.2f} from {statement.pairs} seeds); "
        f"{each([n.seeds_at_ci95_of_std[0] for n in statement.needed])} (sd {100 * low:.2f}); "
        f"{each([n.seeds_at_ci95_of_std[1] for n in statement.needed])} (sd {100 * high:.2f})"
    )
