"""lambda_CL(t)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacl.losses.ramps import contrast_weight, gaussian_ramp, scheduled


def weight(step, total=30_000, warmup_fraction=1 / 30):
    return contrast_weight(step, total, ceiling=0.1, warmup_fraction=warmup_fraction)


def test_the_papers_numbers():
    assert weight(0, warmup_fraction=0) == pytest.approx(0.1 * math.exp(-5))
    assert weight(30_000) == pytest.approx(0.1)
    assert weight(15_000) == pytest.approx(0.1 * math.exp(-1.25))


def test_the_warm_up_is_the_first_thousand_of_thirty_thousand_steps():
    assert {weight(step) for step in range(1000)} == {0.0}
    assert weight(1000) == pytest.approx(0.1 * math.exp(-5 * (29 / 30) ** 2))
    assert weight(99, total=3000) == 0 < weight(100, total=3000)


@given(step=st.integers(0, 1000), total=st.integers(1, 1000))
def test_the_ramp_rises_to_one_and_stays_there(step, total):
    assert math.exp(-5) - 1e-9 <= gaussian_ramp(step, total) <= gaussian_ramp(step + 1, total) <= 1
    assert gaussian_ramp(total + step, total) == 1


def test_a_ceiling_of_zero_is_always_zero():
    assert contrast_weight(20, 30, ceiling=0.0, warmup_fraction=0.0) == 0


def test_a_constant_schedule_is_the_ceiling_after_the_warm_up():
    weights = [
        contrast_weight(step, 30, ceiling=0.5, warmup_fraction=0.1, schedule="constant")
        for step in (0, 2, 3, 29)
    ]
    assert weights == [0, 0, 0.5, 0.5]
    assert scheduled("constant", 1.0, 0, 30) == 1.0
    assert scheduled("ramp", 1.0, 0, 30) == pytest.approx(math.exp(-5))
