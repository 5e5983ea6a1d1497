"""Intervals over patients, means over seeds, and differences that are taken pairwise."""

import numpy as np
import pytest

from dacl.analysis.clusters.bootstrap import (
    RESAMPLES,
    Estimate,
    estimate,
    patient_weights,
    seed_difference,
    seed_mean,
)


def test_the_first_row_is_the_patients_as_they_are_and_the_others_draw_as_many():
    weights = patient_weights(6, 0)
    assert weights.shape == (RESAMPLES + 1, 6)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 6).all()
    # Of n patients one is drawn Binomial(n, 1/n) times: mean 1, variance 1 - 1/n.
    assert weights[1:].mean() == pytest.approx(1)
    assert weights[1:].var() == pytest.approx(5 / 6, rel=0.05)
    np.testing.assert_array_equal(weights, patient_weights(6, 0))
    assert (weights != patient_weights(6, 1)).any()


def test_one_patient_is_not_resampled():
    assert patient_weights(1, 0).tolist() == [[1]]
    assert estimate(np.array([0.5])) == Estimate(value=0.5, ci95_over_patients=None)


def test_the_interval_of_a_mean_is_that_of_the_bootstrap():
    values = np.array([0.2, 0.5, 0.6, 0.9, 0.4, 0.7])
    found = estimate(patient_weights(6, 0) @ values / 6)
    assert found.value == pytest.approx(0.55)
    half = 1.96 * values.std() / 6**0.5
    assert found.ci95_over_patients == pytest.approx((0.55 - half, 0.55 + half), abs=0.02)


def test_resamples_without_a_value_are_left_out_unless_most_are():
    values = np.array([1.0, 0, 2, np.nan, np.nan])
    assert estimate(values).ci95_over_patients == pytest.approx((0.05, 1.95))
    assert estimate(np.array([1.0, 0, np.nan, np.nan])).ci95_over_patients is None
    assert estimate(np.array([np.nan, 1, 1])) == Estimate(value=None, ci95_over_patients=None)
    assert estimate(np.array([np.inf, 1, 1])).value is None


def test_seeds_are_averaged_within_each_resample():
    first, second = np.array([0.2, 0.0, 0.4]), np.array([0.4, 0.6, 0.2])
    found = seed_mean({0: first, 1: second})
    assert found.estimate.value == pytest.approx(0.3)
    assert found.estimate.ci95_over_patients == pytest.approx((0.3, 0.3))
    assert found.by_seed == pytest.approx({0: 0.2, 1: 0.4})
    assert found.std_over_seeds == pytest.approx(0.02**0.5)
    # t of one degree of freedom at 97.5 % is 12.706; sd / sqrt(2) is 0.1.
    assert found.ci95_over_seeds == pytest.approx((0.3 - 1.2706, 0.3 + 1.2706), abs=1e-4)


def test_differences_are_taken_seed_by_seed_and_resample_by_resample():
    shared = np.array([0.0, 5, -5, 3])  # what patients do to both sides drops out
    ours = {2: 0.4 + shared, 0: 0.3 + shared, 7: 9 + shared}
    theirs = {0: 0.1 + shared, 2: 0.1 + shared}
    found = seed_difference(ours, theirs)
    assert found.by_seed == pytest.approx({0: 0.2, 2: 0.3})
    assert found.estimate.value == pytest.approx(0.25)
    assert found.estimate.ci95_over_patients == pytest.approx((0.25, 0.25))


def test_sides_without_a_common_seed_are_held_against_each_other_as_means():
    found = seed_difference({0: np.array([0.5, 0.5]), 1: np.array([0.7, 0.7])}, {2: np.zeros(2)})
    assert found.estimate.value == pytest.approx(0.6)
    assert found.by_seed == {}
    assert found.std_over_seeds is None
    assert found.ci95_over_seeds is None


def test_a_seed_without_a_value_has_no_spread():
    found = seed_mean({0: np.array([np.nan, 1]), 1: np.array([0.4, 1])})
    assert found.estimate.value is None
    assert found.by_seed == {0: None, 1: 0.4}
    assert found.std_over_seeds is None
    assert seed_mean({0: np.array([0.4, 1])}).std_over_seeds is None
