"""The scan's grid and the network's, there and back."""

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch

from dacl.config import ImageConfig
from dacl.data.grid import (
    nearest_index,
    resampled_size,
    to_native,
    to_network,
    training_slices,
)

RESIZE = ImageConfig(geometry="resize", patch_size=64)
RESAMPLE = ImageConfig(geometry="resample", patch_size=64, spacing_mm=1.5)
SPACING_MM = (10.0, 0.9, 2.0)
SHAPE_HW = (44, 37)


def volume(shape_HW=SHAPE_HW, seed=0):
    return np.random.default_rng(seed).random((3, *shape_HW), dtype=np.float32)


def one_hot(labels_ZHW):
    return torch.nn.functional.one_hot(torch.as_tensor(labels_ZHW).long(), 4).movedim(-1, 1).float()


@pytest.mark.parametrize("patch", [64, 128, 256])
def test_nearest_index_is_scipys_zoom_to_the_patch(patch):
    for size in range(30, 400, 7):
        expected = ndi.zoom(np.arange(size), patch / size, order=0)
        np.testing.assert_array_equal(nearest_index(size, patch), expected)


def test_nearest_index_of_one_pixel_and_to_one_pixel():
    assert nearest_index(1, 3).tolist() == [0, 0, 0]
    assert nearest_index(9, 1).tolist() == [0]


def test_resize_feeds_scipys_zoom_of_order_zero():
    image_CZHW = np.stack([volume(), -volume()])
    fed = to_network(image_CZHW, SPACING_MM, RESIZE, stride=16)
    for channel, image_ZHW in enumerate(image_CZHW):
        expected = [ndi.zoom(z, (64 / 44, 64 / 37), order=0) for z in image_ZHW]
        np.testing.assert_array_equal(fed[:, channel], np.stack(expected))


def test_resize_comes_back_by_nearest():
    labels_Zhw = np.random.default_rng(0).integers(0, 4, (3, 64, 64))
    back = to_native(one_hot(labels_Zhw), (44, 38), SPACING_MM, RESIZE)
    assert back.dtype == torch.uint8
    expected = [ndi.zoom(z, (44 / 64, 38 / 64), order=0) for z in labels_Zhw]
    np.testing.assert_array_equal(back, np.stack(expected))


def test_resize_to_a_finer_grid_and_back_is_the_identity():
    labels_ZHW = np.random.default_rng(0).integers(0, 4, (2, *SHAPE_HW))
    fed = to_network(labels_ZHW[None].astype(np.float32), None, RESIZE, stride=16)[:, 0]
    np.testing.assert_array_equal(to_native(one_hot(fed), SHAPE_HW, None, RESIZE), labels_ZHW)


def test_resampled_size_keeps_the_proportions_in_mm():
    assert resampled_size((100, 60), (8.0, 0.75, 3.0), RESAMPLE) == (50, 120)
    assert resampled_size((1, 60), (8.0, 0.1, 1.5), RESAMPLE) == (1, 60)
    assert resampled_size((100, 60), None, RESAMPLE) == (100, 60)


def test_resample_at_the_same_spacing_is_the_identity():
    image_ZHW = volume((48, 32))
    spacing_mm = (10.0, 1.5, 1.5)
    fed = to_network(image_ZHW[None], spacing_mm, RESAMPLE, stride=16)
    np.testing.assert_array_equal(fed[:, 0], image_ZHW)
    labels_ZHW = np.random.default_rng(0).integers(0, 4, (3, 48, 32), dtype=np.uint8)
    back = to_native(one_hot(labels_ZHW), (48, 32), spacing_mm, RESAMPLE)
    np.testing.assert_array_equal(back, labels_ZHW)
    stored, mask = training_slices(image_ZHW[None], labels_ZHW, spacing_mm, RESAMPLE)
    np.testing.assert_array_equal(stored[0], image_ZHW)
    np.testing.assert_array_equal(mask, labels_ZHW)


@pytest.mark.parametrize("spacing_mm", [SPACING_MM, (5.0, 1.6, 0.7), None])
def test_resample_keeps_constants_pads_below_and_right_and_gives_the_native_grid(spacing_mm):
    fed = to_network(np.full((1, 2, *SHAPE_HW), 3.0, np.float32), spacing_mm, RESAMPLE, stride=16)
    height, width = resampled_size(SHAPE_HW, spacing_mm, RESAMPLE)
    assert fed.shape == (2, 1, height + -height % 16, width + -width % 16)
    torch.testing.assert_close(fed[:, 0, :height, :width], torch.full((2, height, width), 3.0))
    assert not fed[:, 0, height:].any()
    assert not fed[:, 0, :, width:].any()

    constant = torch.zeros(2, 4, *fed.shape[2:])
    constant[:, 2, :height, :width] = 1  # the padding says class 0
    constant[:, 0, height:], constant[:, 0, :, width:] = 1, 1
    back = to_native(constant, SHAPE_HW, spacing_mm, RESAMPLE)
    np.testing.assert_array_equal(back, np.full((2, *SHAPE_HW), 2))


def test_resample_does_not_shift_the_image():
    """A block comes back where it was, to within a pixel of its border."""
    labels_ZHW = np.zeros((1, 60, 60), np.uint8)
    labels_ZHW[:, 12:30, 20:48] = 1
    spacing_mm = (10.0, 0.9, 1.1)
    _, mask = training_slices(volume((60, 60))[None, :1], labels_ZHW, spacing_mm, RESAMPLE)
    assert mask.dtype == torch.uint8
    back = to_native(one_hot(mask), (60, 60), spacing_mm, RESAMPLE).numpy()
    inner, outer = ndi.binary_erosion(labels_ZHW[0]), ndi.binary_dilation(labels_ZHW[0])
    assert (back[0] >= inner).all()
    assert (back[0] <= outer).all()


def test_a_finer_scan_is_averaged_not_decimated():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (1, 40, 20))
    stored, _ = training_slices(stripes[None], None, (10.0, 0.75, 0.75), RESAMPLE)
    assert stored.shape == (1, 1, 20, 20)
    assert (stored[..., 2:-2] - 0.5).abs().max() < 0.01
    third, _ = training_slices(stripes[None], None, (10.0, 0.5, 0.5), RESAMPLE)
    assert third.std() < 0.2


def test_training_stores_the_same_resampled_image_that_inference_feeds():
    image_ZHW = volume()
    stored, mask = training_slices(image_ZHW[None], None, SPACING_MM, RESAMPLE)
    fed = to_network(image_ZHW[None], SPACING_MM, RESAMPLE, stride=16)
    assert mask is None
    torch.testing.assert_close(stored[0], fed[:, 0, : stored.shape[2], : stored.shape[3]])


def test_training_under_resize_stores_the_scans_own_grid():
    image_ZHW = volume()
    labels_ZHW = np.zeros(image_ZHW.shape, np.uint8)
    stored, mask = training_slices(image_ZHW[None], labels_ZHW, SPACING_MM, RESIZE)
    np.testing.assert_array_equal(stored[0], image_ZHW)
    assert mask.shape == stored.shape[1:]
