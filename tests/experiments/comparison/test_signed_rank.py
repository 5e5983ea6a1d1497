"""The signed-rank test against all sign patterns counted one by one, and Holm's correction by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dacl.experiments.comparison.signed_rank import holm, signed_rank


def counted(gains):
    """Two-sided exact p: the share of sign patterns whose rank sum is as far from its centre as the one seen."""
    gains = [gain for gain in gains if gain]
    ranks = stats.rankdata(np.abs(gains))
    seen = abs(sum(rank if gain > 0 else -rank for rank, gain in zip(ranks, gains, strict=True)))
    sums = [abs(np.dot(signs, ranks)) for signs in product((-1, 1), repeat=len(ranks))]
    return np.mean([total >= seen - 1e-9 for total in sums])


@pytest.mark.parametrize(
    ("gains", "p"),
    [
        # all of one sign: two patterns of 2^3
        ((1.0, 2.0, 3.0), 0.25),
        # the negative ranks sum to 2; so do at most {}, {1}, {2} of 2^4, on either side
        ((1.0, -2.0, 3.0, 4.0), 6 / 16),
        ((0.5,), 1.0),
    ],
)
def test_small_samples_by_hand(gains, p):
    assert signed_rank(np.array(gains)).p == pytest.approx(p)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_ties_and_zeros_keep_it_exact(gains):
    found = signed_rank(np.array(gains, float))
    n = sum(gain != 0 for gain in gains)
    assert (found.nonzero, found.zeros) == (n, len(gains) - n)
    assert found.p == pytest.approx(counted(gains) if n else 1.0)
    assert found.p >= found.least_p - 1e-12


def test_twenty_patients_are_scipys_exact_test():
    gains = np.random.default_rng(0).normal(0.2, 1.0, 20)
    assert signed_rank(gains).p == stats.wilcoxon(gains, method="exact").pvalue
    assert signed_rank(-gains).p == pytest.approx(signed_rank(gains).p)
    # zeros beside them change nothing but their count
    found = signed_rank(np.concatenate([gains, np.zeros(3)]))
    assert (found.p, found.nonzero, found.zeros) == (signed_rank(gains).p, 20, 3)


def test_no_difference_at_all_is_p_1_and_what_rounding_leaves_is_no_difference():
    assert signed_rank(np.zeros(5)).p == 1.0
    found = signed_rank(np.array([1e-17, -1e-17, 0.1, 0.2, 0.1 + 1e-16]))
    assert (found.nonzero, found.zeros) == (3, 2)
    assert found.p == pytest.approx(0.25)


@pytest.mark.parametrize(("n", "least"), [(0, 1.0), (1, 1.0), (4, 0.125), (6, 0.03125)])
def test_p_cannot_fall_below_two_patterns_of_all(n, least):
    found = signed_rank(np.arange(1.0, n + 1))
    assert found.least_p == least
    assert found.p == pytest.approx(least)


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        # 0.01 * 3; 0.03 * 2; 0.04 * 1, which may not fall below 0.06
        ((0.01, 0.04, 0.03), (0.03, 0.06, 0.06)),
        ((0.5, 0.9), (1.0, 1.0)),
        ((0.02,), (0.02,)),
        ((), ()),
        ((0.2, 0.001, 0.2), (0.4, 0.003, 0.4)),
    ],
)
def test_holm_by_hand(p, adjusted):
    assert holm(p) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.randoms())
def test_holm_does_not_depend_on_the_order_and_never_lowers_p(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    adjusted = holm(p)
    assert holm([p[i] for i in order]) == [adjusted[i] for i in order]
    assert all(p[i] <= adjusted[i] <= 1 for i in order)
