"""The largest component of every class."""

import numpy as np

from dacl.inference.postprocess import largest_component


def test_only_the_largest_component_of_each_class_stays() -> None:
    mask = np.zeros((3, 8, 8), np.uint8)
    mask[1, 1:4, 1:4] = 1
    mask[0, 7, 7] = 1
    mask[1, 5:7, 5:7] = 2
    mask[2, 0, 0] = 2
    want = mask.copy()
    want[0, 7, 7] = want[2, 0, 0] = 0
    np.testing.assert_array_equal(largest_component(mask, 4), want)


def test_corners_connect_across_slices() -> None:
    mask = np.zeros((2, 4, 4), np.uint8)
    mask[0, 1, 1] = mask[1, 2, 2] = 1
    np.testing.assert_array_equal(largest_component(mask, 2), mask)


def test_an_empty_mask_stays_empty_and_the_input_is_not_changed() -> None:
    mask = np.zeros((2, 4, 4), np.uint8)
    assert not largest_component(mask, 3).any()
    mask[0, 0, 0] = mask[0, 3, 3] = mask[0, 3, 2] = 1
    before = mask.copy()
    assert largest_component(mask, 3).sum() == 2
    np.testing.assert_array_equal(mask, before)
