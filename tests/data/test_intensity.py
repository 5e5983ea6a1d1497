import numpy as np
import pytest

from dacl.data import intensity
from dacl.errors import DaclError

IMAGE = np.array([[[[3, 5], [7, 103]]]], np.int16)


def test_minmax_is_the_published_protocol():
    expected = (IMAGE - 3) / 100
    np.testing.assert_allclose(intensity.apply("minmax", IMAGE), expected, rtol=1e-6)


def test_minmax_does_nothing_to_an_image_that_has_been_through_it():
    once = intensity.apply("minmax", IMAGE)
    np.testing.assert_array_equal(intensity.apply("minmax", once), once)


def test_minmax_spans_the_whole_range_of_int16():
    image = np.array([[[[-32768, 0, 32767]]]], np.int16)
    np.testing.assert_allclose(intensity.apply("minmax", image), [[[[0, 0.5, 1]]]], atol=1e-5)


def test_percentile_clips_the_tails():
    image = np.arange(1001.0).reshape(1, 1, 1, 1001)
    scaled = intensity.apply("percentile", image)
    np.testing.assert_allclose(scaled, np.clip((image - 5) / 990, 0, 1), atol=1e-6)


def test_percentiles_that_are_one_value_leave_the_image_its_contrast():
    image = np.zeros((1, 1, 1, 1000), np.int16)
    image[..., 100:103] = (10, 20, 40)
    scaled = intensity.apply("percentile", image)
    np.testing.assert_allclose(scaled, image / 40, rtol=1e-6)


def test_zscore_has_mean_0_and_deviation_1():
    scaled = intensity.apply("zscore", IMAGE)
    assert abs(scaled.mean()) < 1e-6
    assert scaled.std() == pytest.approx(1)


@pytest.mark.parametrize("rule", [*intensity.RULES, "hu:7:9"])
def test_a_constant_image_becomes_0(rule):
    scaled = intensity.apply(rule, np.full((1, 2, 3, 4), 7, np.uint8))
    assert scaled.dtype == np.float32
    assert not scaled.any()


def test_an_unknown_rule_names_the_known():
    with pytest.raises(DaclError, match="minmax, percentile, zscore"):
        intensity.apply("histogram", IMAGE)


def test_a_window_is_the_same_for_every_volume_and_channel():
    image_CZHW = np.array([[[[-1000, -75, 100]]], [[[275, 3000, 12.5]]]], np.float32)
    expected = [[[[0, 0, 0.5]]], [[[1, 1, 0.25]]]]
    np.testing.assert_allclose(intensity.apply("hu:-75:275", image_CZHW), expected)


def test_every_channel_has_its_own_range():
    image_CZHW = np.array([[[[0, 4]]], [[[100, 300]]]])
    np.testing.assert_array_equal(intensity.apply("minmax", image_CZHW), [[[[0, 1]]], [[[0, 1]]]])


def test_slope_and_inter_come_first():
    stored = np.array([[[[0, 1175, 1350]]]], np.int16)
    scaled = intensity.apply("hu:-75:275", stored, slope=0.5, inter=-400.0)
    np.testing.assert_allclose(scaled, [[[[0, (187.5 + 75) / 350, 1]]]], rtol=1e-6)


@pytest.mark.parametrize("rule", ["hu:5:5", "hu:9:1"])
def test_an_empty_window_is_refused(rule):
    with pytest.raises(DaclError, match="window is empty"):
        intensity.check_rule(rule)
