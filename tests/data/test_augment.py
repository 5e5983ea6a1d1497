"""The lookup against scipy.ndimage doing the same to one array after the other."""

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch

from dacl.config import ImageConfig
from dacl.data import augment as module
from dacl.data.augment import Placement, draw_placements, lookups, source_pixels

RESIZE = ImageConfig(geometry="resize", patch_size=64)
CROP = ImageConfig(geometry="resample", patch_size=32)


def look_up(array_HW, image, *, turns=0, axis=-1, degrees=0.0, shift=(0.0, 0.0)):
    placement = Placement(
        torch.tensor([turns]),
        torch.tensor([axis]),
        torch.tensor([float(degrees)]),
        torch.tensor([shift]),
    )
    size = torch.tensor([array_HW.shape])
    index = source_pixels(placement, size, image)[0]
    assert index.dtype == torch.int32
    assert torch.equal(next(lookups(placement, size, image)), index.flatten())
    return np.append(0, array_HW)[index]


def zoomed(array_HW, side=64):
    return ndi.zoom(array_HW, (side / array_HW.shape[0], side / array_HW.shape[1]), order=0)


def arrays():
    random = np.random.default_rng(0)
    for _ in range(12):
        shape = random.integers(40, 90, 2)
        yield random.random(shape) + 0.1  # no pixel is 0, so that the border is seen


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("axis", [0, 1])
def test_turn_and_flip_then_zoom_equal_scipy_exactly(turns, axis):
    for array_HW in arrays():
        expected = zoomed(np.flip(np.rot90(array_HW, turns), axis))
        found = look_up(array_HW, RESIZE, turns=turns, axis=axis)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("degrees", [-20, -13, -1, 0, 7, 19])
def test_rotation_then_zoom_equal_scipy_exactly(degrees):
    for array_HW in arrays():
        expected = zoomed(ndi.rotate(array_HW, degrees, order=0, reshape=False))
        np.testing.assert_array_equal(look_up(array_HW, RESIZE, degrees=degrees), expected)


@pytest.mark.parametrize(("turns", "axis", "degrees"), [(0, -1, 11), (1, 0, 0), (3, 1, 0)])
def test_a_crop_is_cut_from_the_turned_slice(turns, axis, degrees):
    for array_HW in arrays():
        turned = ndi.rotate(array_HW, degrees, order=0, reshape=False) if degrees else array_HW
        turned = np.rot90(turned, turns)
        first = [int(s * (n - 32 + 1)) for s, n in zip((0.3, 0.9), turned.shape, strict=True)]
        window = (slice(first[0], first[0] + 32), slice(first[1], first[1] + 32))
        # the flip mirrors the slice, and the crop lies on the mirrored one
        expected = (np.flip(turned, axis) if axis >= 0 else turned)[window]
        found = look_up(array_HW, CROP, turns=turns, axis=axis, degrees=degrees, shift=(0.3, 0.9))
        np.testing.assert_array_equal(found, expected)


def test_crops_lie_on_the_slice_and_reach_both_ends():
    size, count = torch.tensor([[40, 33]]).repeat(400, 1), 400
    placement = draw_placements(count, 0)
    still = Placement(
        placement.quarter_turns_B * 0,
        placement.flip_axis_B * 0 - 1,
        placement.degrees_B * 0,
        placement.shift_B2,
    )
    index_BSS = source_pixels(still, size, CROP) - 1
    assert (index_BSS >= 0).all()
    rows, columns = index_BSS // 33, index_BSS % 33
    assert set(rows[:, 0, 0].tolist()) == set(range(9))
    assert set(columns[:, 0, 0].tolist()) == {0, 1}
    assert (rows[:, -1, 0] - rows[:, 0, 0] == 31).all()


def test_a_small_slice_lies_whole_in_the_patch_and_is_padded():
    array_HW = np.arange(1.0, 20 * 27 + 1).reshape(20, 27)
    places = set()
    for shift in (0.0, 0.25, 0.5, 0.999):
        patch = look_up(array_HW, CROP, shift=(shift, shift))
        rows, columns = patch.any(axis=1), patch.any(axis=0)
        np.testing.assert_array_equal(patch[rows][:, columns], array_HW)
        places.add((int(rows.argmax()), int(columns.argmax())))
    assert {(0, 0), (12, 5)} <= places
    assert len(places) == 4


def test_draws_are_the_published_ones():
    placement = draw_placements(4000, 0, "augment", 1)
    turned = placement.flip_axis_B >= 0
    assert 0.46 < turned.float().mean() < 0.54
    assert set(placement.quarter_turns_B[turned].tolist()) == {0, 1, 2, 3}
    assert set(placement.flip_axis_B[turned].tolist()) == {0, 1}
    assert not placement.degrees_B[turned].any()
    assert not placement.quarter_turns_B[~turned].any()
    assert set(placement.degrees_B[~turned].tolist()) == set(range(-20, 20))
    assert placement.shift_B2.min() >= 0
    assert placement.shift_B2.max() < 1


def test_draws_are_a_function_of_the_key_and_the_first_do_not_depend_on_how_many():
    def draw(count, *key):
        placement = draw_placements(count, *key)
        return torch.stack([placement.quarter_turns_B, placement.degrees_B]), placement.shift_B2

    for few, many in zip(draw(3, 0, "x"), draw(9, 0, "x"), strict=True):
        assert torch.equal(few, many[..., :3] if few.shape[0] == 2 else many[:3])
    assert not torch.equal(draw(9, 0, "x")[1], draw(9, 0, "y")[1])


def test_without_mirroring_every_slice_is_rotated_and_none_turned_or_flipped():
    with_it, without = draw_placements(200, 3), draw_placements(200, 3, mirror=False)
    assert with_it.quarter_turns_B.any()
    assert not without.quarter_turns_B.any()
    assert (without.flip_axis_B == -1).all()
    assert without.degrees_B.min() == -20
    assert without.degrees_B.max() == 19
    assert torch.equal(with_it.shift_B2, without.shift_B2)


def test_kept_lookups_are_those_of_each_slice_and_no_more_than_so_many():
    """Sizes, turns and geometry that share a batch do not share a lookup."""
    size = torch.tensor([[40, 50], [50, 40], [40, 50]])
    placement = Placement(
        torch.tensor([0, 0, 1]),
        torch.tensor([-1, -1, 0]),
        torch.tensor([5.0, 5.0, 0.0]),
        torch.rand(3, 2),
    )
    for image in (RESIZE, CROP, RESIZE.model_copy(update={"patch_size": 32}), RESIZE):
        expected = source_pixels(placement, size, image)
        for found, index in zip(lookups(placement, size, image), expected, strict=True):
            assert torch.equal(found, index.flatten())
    assert module._lookup_of_whole.cache_info().maxsize == module.KEPT_LOOKUPS
