"""Volumes to the network's grid and probabilities back, against torch's own trilinear interpolation."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dacl.config import ImageConfig
from dacl.data import volume_grid
from dacl.data.volume_grid import image_to_network, label_to_network, native_slabs, network_shape

RESIZE = ImageConfig(dims=3, geometry="resize", volume_shape=(16, 20, 24))
RESAMPLE = ImageConfig(dims=3, geometry="resample", spacing_mm=2.0, slice_spacing_mm=4.0)


def volume(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def test_shapes():
    assert network_shape((10, 30, 40), (8.0, 1.0, 3.0), RESIZE) == (16, 20, 24)
    assert network_shape((10, 30, 40), (8.0, 1.0, 3.0), RESAMPLE) == (20, 15, 60)
    assert network_shape((10, 30, 40), None, RESAMPLE) == (10, 30, 40)
    assert network_shape((1, 1, 1), (0.1, 0.1, 0.1), RESAMPLE) == (1, 1, 1), "never nothing"


def test_resize_is_the_published_trilinear_zoom():
    image = volume(2, 9, 33, 17)
    found = image_to_network(image, (5.0, 1.0, 1.0), RESIZE)
    expected = F.interpolate(
        torch.from_numpy(image)[None], size=(16, 20, 24), mode="trilinear", align_corners=False
    )[0]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("spacing_mm", [(4.0, 2.0, 2.0), None])
def test_a_scan_on_the_networks_grid_is_not_touched(spacing_mm):
    image, label = volume(2, 5, 8, 6), np.random.default_rng(1).integers(0, 4, (5, 8, 6), np.uint8)
    np.testing.assert_array_equal(image_to_network(image, spacing_mm, RESAMPLE), image)
    np.testing.assert_array_equal(label_to_network(label, spacing_mm, RESAMPLE), label)


def test_resampling_upwards_is_trilinear():
    image = volume(1, 4, 6, 5)
    found = image_to_network(image, (8.0, 4.0, 4.0), RESAMPLE)
    expected = F.interpolate(torch.from_numpy(image)[None], scale_factor=2, mode="trilinear")[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_resampling_downwards_averages_along_all_three_axes():
    """A grid of alternating voxels becomes grey; without antialias every fourth voxel would be taken as it is."""
    for axis in range(3):
        image = np.zeros((1, 32, 32, 32), np.float32)
        np.moveaxis(image, axis + 1, 0)[::4] = 1
        found = image_to_network(image, (1.0, 0.5, 0.5), RESAMPLE)
        assert found.shape == (1, 8, 8, 8)
        inner = found[0, 2:-2, 2:-2, 2:-2]
        torch.testing.assert_close(inner, torch.full_like(inner, 0.25), rtol=0, atol=0.02)


def test_labels_take_the_nearest_voxel():
    label = np.arange(4, dtype=np.uint8).repeat(4)[None, None].repeat(4, 0).repeat(2, 1)
    found = label_to_network(label, (4.0, 2.0, 0.5), RESAMPLE)
    assert found.dtype == torch.uint8
    assert found[0, 0].tolist() == [0, 1, 2, 3]


def slabs_of(probs, cuts):
    """One dictionary of two networks per slab between the cuts."""
    edges = [0, *cuts, probs.shape[1]]
    for low, high in pairwise(edges):
        yield {"a": probs[:, low:high], "b": 1 - probs[:, low:high]}


@pytest.mark.parametrize("slab_bytes", [1, 64 << 20], ids=["slice by slice", "at once"])
@pytest.mark.parametrize("cuts", [(), (1, 2, 5), (3,)])
@pytest.mark.parametrize("native", [(7, 9, 11), (3, 20, 6), (1, 5, 5), (29, 9, 11), (8, 4, 3)])
def test_slabs_come_back_as_the_whole_would(native, cuts, slab_bytes, monkeypatch):
    monkeypatch.setattr(volume_grid, "SLAB_BYTES", slab_bytes)
    probs = torch.from_numpy(volume(3, 7, 9, 11))
    expected = F.interpolate(probs[None], size=native, mode="trilinear", align_corners=False)[0]
    covered = []
    for z, found in native_slabs(slabs_of(probs, cuts), 7, native):
        assert list(found) == ["a", "b"]
        torch.testing.assert_close(found["a"], expected[:, z], rtol=0, atol=1e-6)
        torch.testing.assert_close(found["b"], 1 - expected[:, z], rtol=0, atol=1e-6)
        if slab_bytes == 1:
            assert found["a"].shape[1] == 1
        covered += list(range(z.start, z.stop))
    assert covered == list(range(native[0])), "every slice once, in order"


def test_on_the_same_grid_slabs_come_back_to_the_bit():
    probs = torch.from_numpy(volume(3, 7, 9, 11))
    for z, found in native_slabs(slabs_of(probs, (2, 3)), 7, (7, 9, 11)):
        assert torch.equal(found["a"], probs[:, z])


def test_little_is_held():
    """Of network slices that lie before the next slice of the scan nothing is kept."""
    held = []

    def slabs():
        for z in range(50):
            held.append(z)
            yield {"a": torch.full((1, 1, 2, 2), float(z))}

    for z, found in native_slabs(slabs(), 50, (25, 2, 2)):
        assert found["a"][0, 0, 0, 0] == 2 * z.start + 0.5
        assert held[-1] <= 2 * z.start + 1, "read no further than needed"
