import numpy as np
import pytest

from dacl.data import intensity
from dacl.errors import DaclError

IMAGE = np.array([[[3, 5], [7, 103]]], np.int16)


def test_minmax_is_the_published_protocol():
    expected = (IMAGE - 3) / 100
    np.testing.assert_allclose(intensity.apply("minmax", IMAGE), expected, rtol=1e-6)


def test_minmax_does_nothing_to_an_image_that_has_been_through_it():
    once = intensity.apply("minmax", IMAGE)
    np.testing.assert_array_equal(intensity.apply("minmax", once), once)


def test_minmax_spans_the_whole_range_of_int16():
    image = np.array([[[-32768, 0, 32767]]], np.int16)
    np.testing.assert_allclose(intensity.apply("minmax", image), [[[0, 0.5, 1]]], atol=1e-5)


def test_percentile_clips_the_tails():
    image = np.arange(1001.0)
    scaled = intensity.apply("percentile", image)
    np.testing.assert_allclose(scaled, np.clip((image - 5) / 990, 0, 1), atol=1e-6)


def test_zscore_has_mean_0_and_deviation_1():
    scaled = intensity.apply("zscore", IMAGE)
    assert abs(scaled.mean()) < 1e-6
    assert scaled.std() == pytest.approx(1)


@pytest.mark.parametrize("rule", intensity.RULES)
def test_a_constant_image_becomes_0(rule):
    scaled = intensity.apply(rule, np.full((2, 3, 4), 7, np.uint8))
    assert scaled.dtype == np.float32
    assert not scaled.any()


def test_an_unknown_rule_names_the_known():
    with pytest.raises(DaclError, match="minmax, percentile, zscore"):
        intensity.apply("histogram", IMAGE)
