"""Class colours: told apart by everybody, readable where they are used."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dacl.palette import BACKGROUND_INK, CLASS_COLORS, CLASS_INKS, class_color, class_ink


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(color):
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(("palette", "first"), [(CLASS_COLORS, 7), (CLASS_INKS, 5)])
def test_colours_differ_also_without_red_or_green(palette, first):
    """Viénot's simplified simulation of deuteranopia leaves the first ones apart in every pair."""
    rgb = np.array([to_rgb(color) for color in palette[:first]]) ** 2.2
    seen = rgb @ np.array([[0.2928, 0.2928, -0.0223], [0.7072, 0.7072, 0.0223], [0, 0, 1]])
    apart = np.abs(seen[:, None] - seen[None]).sum(axis=2)
    assert apart[~np.eye(first, dtype=bool)].min() > 0.1


def test_an_ink_is_its_colour_darkened_to_a_contrast_of_three():
    for color, ink in zip(CLASS_COLORS, CLASS_INKS, strict=True):
        expected = linear(color) * min(1.0, 0.3 / luminance(color))
        np.testing.assert_allclose(linear(ink), expected, atol=0.006)  # one step of eight bits
        assert 1.05 / (luminance(ink) + 0.05) > 2.97


def test_colours_repeat_after_the_last():
    assert class_color(1) == class_color(len(CLASS_COLORS) + 1) == CLASS_COLORS[0]
    assert class_ink(2) == class_ink(len(CLASS_INKS) + 2) == CLASS_INKS[1]


def test_the_background_is_lighter_than_every_ink_and_seen_on_white():
    assert max(map(luminance, CLASS_INKS)) + 0.1 < luminance(BACKGROUND_INK) < 0.6
