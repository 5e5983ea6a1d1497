"""Draws of 3D patches: frequencies, and where a patch may lie."""

from collections import Counter

import pytest

from dacl.data.crops import draw_crops, first_voxel


def test_a_batch_is_a_function_of_its_key():
    assert draw_crops(5, 0, "augment", 7) == draw_crops(5, 0, "augment", 7)
    assert draw_crops(5, 0, "augment", 7) != draw_crops(5, 0, "augment", 8)
    assert draw_crops(3, 1) == draw_crops(5, 1)[:3], "each crop consumes the same number of draws"


def test_each_axis_is_mirrored_half_of_the_time_and_independently():
    seen = Counter(crop.mirrored for crop in draw_crops(4000, 0))
    assert len(seen) == 4
    assert all(count == pytest.approx(1000, abs=100) for count in seen.values())


def test_all_draws_lie_in_the_unit_interval():
    for crop in draw_crops(500, 3):
        assert all(0 <= x < 1 for x in (crop.centred, crop.of_class, crop.at_voxel, *crop.shift))


@pytest.mark.parametrize(
    ("extent", "patch", "starts"),
    [(20, 16, range(5)), (16, 16, range(1)), (13, 16, range(-3, 1)), (1, 16, range(-15, 1))],
)
def test_every_place_is_taken_equally_often(extent, patch, starts):
    """A larger volume holds the whole patch, and a patch holds the whole of a smaller volume."""
    seen = Counter(first_voxel(extent, patch, i / 1000) for i in range(1000))
    assert sorted(seen) == list(starts)
    assert max(seen.values()) - min(seen.values()) <= 1


@pytest.mark.parametrize(
    ("centre", "first"), [(0, 0), (7, 0), (8, 0), (9, 1), (12, 4), (13, 4), (19, 4)]
)
def test_a_centred_patch_stays_inside_the_volume(centre, first):
    assert first_voxel(20, 16, 0.99, centre) == first
    assert first <= centre < first + 16


def test_a_volume_smaller_than_the_patch_slides_whatever_the_centre():
    assert {first_voxel(13, 16, i / 10, 5) for i in range(10)} == {-3, -2, -1, 0}
