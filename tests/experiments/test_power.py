"""Seeds that a difference takes, against simulated experiments and a textbook interval."""

import numpy as np
import pytest
from scipy import stats

from dacl.experiments.power import (
    DIFFERENCES,
    MOST,
    POWER,
    power_of,
    power_statement,
    seeds_needed,
    std_interval,
)


def simulated_power(seeds: int, difference: float, std: float, trials: int = 20_000) -> float:
    """Share of simulated experiments in which scipy's own paired test finds the difference, with its sign."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(trials, seeds))
    other = common + rng.normal(difference, std, size=(trials, seeds))
    found = stats.ttest_rel(other, common, axis=1)
    return float(np.mean((found.pvalue < 0.05) & (found.statistic > 0)))


@pytest.mark.parametrize(
    ("seeds", "difference", "std"),
    [(2, 0.02, 0.004), (3, 0.01, 0.01), (5, 0.02, 0.01), (10, 0.01, 0.01), (34, 0.005, 0.01)],
)
def test_power_is_the_share_of_simulated_experiments_that_find_it(seeds, difference, std):
    # the standard error of a share of 20,000 is at most 0.0035
    expected = simulated_power(seeds, difference, std)
    assert power_of(seeds, difference, std) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(("difference", "std"), [(0.02, 0.01), (0.01, 0.01), (0.01, 0.02)])
def test_one_seed_fewer_would_not_do_in_simulated_experiments(difference, std):
    n = seeds_needed(difference, std)
    assert n is not None
    assert simulated_power(n, difference, std) > POWER - 0.012
    assert simulated_power(n - 1, difference, std) < POWER


def test_known_numbers():
    # the effect size d = difference / std; textbook sizes of a paired t test at 5 % and 80 %
    assert [seeds_needed(d, 1.0) for d in (0.2, 0.5, 0.8, 1.0)] == [199, 34, 15, 10]


@pytest.mark.parametrize("std", [0.0, 1e-12, 1e-6])
def test_no_spread_needs_the_two_seeds_that_a_spread_needs(std):
    assert seeds_needed(0.005, std) == 2


def test_more_than_a_thousand_is_none():
    assert seeds_needed(0.005, 0.1) is None
    largest = seeds_needed(0.005, 0.05)
    assert largest is not None
    assert largest < MOST


def test_the_interval_of_a_standard_deviation_covers_it_in_19_of_20_samples():
    sample = np.random.default_rng(0).normal(0, 2.0, size=(20_000, 3)).std(axis=1, ddof=1)
    low, high = std_interval(1.0, 3)
    assert np.mean((sample * low <= 2.0) & (sample * high >= 2.0)) == pytest.approx(0.95, abs=0.005)
    # 3 seeds: the true one may be 6 times as large
    assert (low, high) == pytest.approx((0.5207, 6.2847), abs=1e-4)


def test_a_statement_has_the_answer_at_both_ends_of_the_interval():
    found = power_statement(0.01, 3)
    assert [needed.difference for needed in found.needed] == list(DIFFERENCES)
    half, one, two = found.needed
    assert (half.seeds, one.seeds, two.seeds) == (34, 10, 5)
    low, high = found.std_ci95
    assert one.seeds_at_ci95_of_std == (seeds_needed(0.01, low), seeds_needed(0.01, high))
    assert half.seeds_at_ci95_of_std[1] is None
    assert two.seeds_at_ci95_of_std[0] <= two.seeds <= two.seeds_at_ci95_of_std[1]
