"""How many seeds it takes to resolve a difference, from the spread over seeds that was seen.

A paired t test over seeds: the patients are the same on both sides of a pair and in every pair, so their spread is not
in it. It answers for these patients and this split; what other patients would change no number of seeds tells.
"""

from bisect import bisect_left
from dataclasses import dataclass
from math import sqrt

from scipy import stats

ALPHA, POWER = 0.05, 0.80
MOST = 1000
"""Beyond this many seeds the answer is None."""
# Dice as a fraction of 1: half a point, one point, two points.
DIFFERENCES = (0.005, 0.01, 0.02)
# Two seeds have a power of 0.98 there; far beyond it the noncentral t is not computed.
LARGEST_NONCENTRALITY = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Seeds that resolve one difference; None: more than `MOST`."""

    difference: float
    """In the unit of the standard deviation."""
    seeds: int | None
    """If the standard deviation is what was seen."""
    seeds_at_ci95_of_std: tuple[int | None, int | None]
    """If it is the lower, and if it is the upper bound of its interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerStatement:
    """What a standard deviation over a few seeds says about how many are needed."""

    std_over_seeds: float
    """Of the paired difference."""
    std_ci95: tuple[float, float]
    pairs: int
    """Seeds that it comes from."""
    needed: tuple[Needed, ...]


def power_of(seeds: int, difference: float, std: float) -> float:
    """Probability that a two-sided paired t test at `ALPHA` finds `difference`, with its sign (0 to 1).

    Args:
        seeds: pairs, at least 2.
        difference: true mean of the pairs' differences.
        std: their true standard deviation, above 0.
    """
    noncentrality = min(abs(difference) / std * sqrt(seeds), LARGEST_NONCENTRALITY)
    critical = stats.t.ppf(1 - ALPHA / 2, seeds - 1)
    return float(stats.nct.sf(critical, seeds - 1, noncentrality))


def seeds_needed(difference: float, std: float) -> int | None:
    """The fewest seeds, at least 2, with which the test has `POWER`; None above `MOST`."""
    if std == 0:
        return 2
    counts = range(2, MOST + 1)
    place = bisect_left(counts, POWER, key=lambda seeds: power_of(seeds, difference, std))
    return counts[place] if place < len(counts) else None


def std_interval(std: float, n: int) -> tuple[float, float]:
    """95 % interval of the standard deviation of a normal variable, by chi-square, from a sample of `n`."""
    largest, smallest = stats.chi2.ppf(1 - ALPHA / 2, n - 1), stats.chi2.ppf(ALPHA / 2, n - 1)
    return float(std * sqrt((n - 1) / largest)), float(std * sqrt((n - 1) / smallest))


def power_statement(std: float, pairs: int) -> PowerStatement:
    """Seeds for `DIFFERENCES`, at the standard deviation seen and at both ends of its interval.

    Args:
        std: standard deviation over seeds of a paired difference in Dice, a fraction of 1.
        pairs: seeds that it comes from, at least 2.
    """
    interval = std_interval(std, pairs)
    return PowerStatement(
        std_over_seeds=std,
        std_ci95=interval,
        pairs=pairs,
        needed=tuple(
            Needed(
                difference=difference,
                seeds=seeds_needed(difference, std),
                seeds_at_ci95_of_std=(
                    seeds_needed(difference, interval[0]),
                    seeds_needed(difference, interval[1]),
                ),
            )
            for difference in DIFFERENCES
        ),
    )
