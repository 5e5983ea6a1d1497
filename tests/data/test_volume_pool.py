"""Patches of the volume pool against the volumes they are cut from."""

import h5py
import numpy as np
import pytest
import torch
from made_pool import write_dataset

from dacl.config import ImageConfig
from dacl.data import paging
from dacl.data.casefile import case_path
from dacl.data.crops import Crop, draw_crops
from dacl.data.volume_pool import VolumePool
from dacl.errors import DaclError

CPU = torch.device("cpu")
PATCH = (16, 32, 32)
IMAGE = ImageConfig(
    dims=3, geometry="resample", patch_depth=16, patch_size=32, spacing_mm=1.5, slice_spacing_mm=5.0
)
ALWAYS = IMAGE.model_copy(update={"foreground_fraction": 1.0})
NEVER = IMAGE.model_copy(update={"foreground_fraction": 0.0})
SHAPES = {"p1_f1": (20, 40, 36), "p1_f2": (3, 50, 20), "p2_f1": (17, 32, 33)}


@pytest.fixture
def dataset(tmp_path):
    """Three cases of two channels, at the spacing that `resample` wants: larger and smaller than a patch."""
    random = np.random.default_rng(0)
    volumes = {}
    for case_id, shape in SHAPES.items():
        label = np.zeros(shape, np.uint8)
        if case_id != "p2_f1":
            label[1, 5:9, 7:9] = 1
            label[-1, -1, -1] = 3
        volumes[case_id] = random.integers(1, 500, (2, *shape)).astype(np.int16), label
    return write_dataset(tmp_path, volumes, spacing_mm=(5.0, 1.5, 1.5), channels=("T1", "T2"))


def pool_of(dataset, image=IMAGE, *, labels=True):
    return VolumePool(dataset, dataset.cases(["p1", "p2"]), image, labels=labels, device=CPU)


def start_of(extent, patch, shift, centre=None):
    if extent < patch:
        return -int(shift * (patch - extent + 1))
    if centre is not None:
        return int(np.clip(centre - patch // 2, 0, extent - patch))
    return int(shift * (extent - patch + 1))


def by_hand(volume, start, mirrored):
    """A patch voxel by voxel: the volume in a sea of zeros, cut, then mirrored."""
    sea = np.zeros(
        [n + 2 * side for n, side in zip(volume.shape, PATCH, strict=True)], volume.dtype
    )
    sea[tuple(slice(side, side + n) for n, side in zip(volume.shape, PATCH, strict=True))] = volume
    cut = sea[tuple(slice(side + at, 2 * side + at) for at, side in zip(start, PATCH, strict=True))]
    flips = tuple(axis for axis, flip in zip((1, 2), mirrored, strict=True) if flip)
    return np.flip(cut, flips)


def test_patches_equal_cutting_each_volume(dataset):
    pool = pool_of(dataset, NEVER)
    assert len(pool) == 3
    index = torch.tensor([2, 0, 1, 0, 1, 1, 2])
    crops = draw_crops(len(index), 5)
    patches = pool.patches(index, crops)
    assert patches.images.shape == (7, 2, *PATCH)
    assert (patches.images.dtype, patches.labels.dtype) == (torch.float32, torch.int64)
    for b, (i, crop) in enumerate(zip(index.tolist(), crops, strict=True)):
        case_id = list(SHAPES)[i]
        start = [start_of(*each) for each in zip(SHAPES[case_id], PATCH, crop.shift, strict=True)]
        volumes = (*dataset.read_image(case_id), dataset.read_label(case_id))
        found = (*patches.images[b], patches.labels[b])
        for part, volume in zip(found, volumes, strict=True):
            np.testing.assert_array_equal(part, by_hand(volume, start, crop.mirrored))


def test_a_centred_patch_shows_its_voxel_in_the_middle(dataset):
    """Half of the patches of the first volume are around class 1, half around the one voxel of class 3."""
    pool = pool_of(dataset, ALWAYS)
    where = {1: [(1, y, x) for y in range(5, 9) for x in (7, 8)], 3: [(19, 39, 35)]}
    for of_class, label in ((0.0, 1), (0.49, 1), (0.5, 3), (0.99, 3)):
        for at_voxel in (0.0, 0.3, 0.7, 0.99):
            crop = Crop(0.999, of_class, at_voxel, (0.5, 0.5, 0.5), (False, False))
            voxel = where[label][int(at_voxel * len(where[label]))]
            start = [
                start_of(n, side, 0.5, at)
                for n, side, at in zip(SHAPES["p1_f1"], PATCH, voxel, strict=True)
            ]
            found = pool.patches(torch.tensor([0]), [crop]).labels[0]
            expected = by_hand(dataset.read_label("p1_f1"), start, (False, False))
            np.testing.assert_array_equal(found, expected)
            assert (found == label).any()


def test_the_share_of_centred_patches_is_the_foregrounds(dataset):
    pool = pool_of(dataset)
    crops = draw_crops(300, 1)
    centred = [pool._centre(0, crop) != (None, None, None) for crop in crops]
    assert centred == [crop.centred < IMAGE.foreground_fraction for crop in crops]
    assert sum(centred) == pytest.approx(100, abs=20)


def test_a_volume_without_foreground_gives_random_patches(dataset):
    at_random, centred = pool_of(dataset, NEVER), pool_of(dataset, ALWAYS)
    index, crops = torch.tensor([2, 2, 2]), draw_crops(3, 2)
    assert torch.equal(at_random.patches(index, crops).images, centred.patches(index, crops).images)


def test_image_and_label_are_cut_in_the_same_place(dataset):
    pool = pool_of(dataset)
    pool.pixels_CP = pool.mask_P.float().expand(2, -1)
    patches = pool.patches(torch.arange(3).repeat(10), draw_crops(30, 0))
    assert torch.equal(patches.images[:, 1].long(), patches.labels)
    assert patches.labels.any()


def test_resize_stores_every_volume_in_one_shape(dataset):
    image = ImageConfig(
        dims=3, geometry="resize", patch_depth=16, patch_size=32, volume_shape=(16, 32, 32)
    )
    pool = pool_of(dataset, image)
    assert pool.shapes == [(16, 32, 32)] * 3
    crop = Crop(0.9, 0.0, 0.0, (0.0, 0.0, 0.0), (False, False))
    whole = pool.patches(torch.tensor([1]), [crop]).images[0]
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(dataset.read_image("p1_f2"))[None], size=(16, 32, 32), mode="trilinear"
    )
    assert torch.equal(whole, expected[0])


def test_a_pool_in_a_file_gives_the_same_patches(dataset, monkeypatch):
    in_memory = pool_of(dataset)
    monkeypatch.setattr(paging, "_free_memory", lambda: 0)
    opened, real = [], torch.from_file
    monkeypatch.setattr(
        torch, "from_file", lambda *args, **kw: opened.append(1) or real(*args, **kw)
    )
    in_file = pool_of(dataset)
    assert len(opened) == 2
    index, crops = torch.arange(3), draw_crops(3, 4)
    for first, second in zip(
        in_memory.patches(index, crops), in_file.patches(index, crops), strict=True
    ):
        assert torch.equal(first, second)


def test_without_labels_none_is_opened_and_none_comes_out(dataset):
    index, crops = torch.arange(3), draw_crops(3, 2)
    before = pool_of(dataset, NEVER).patches(index, crops)
    for case_id in SHAPES:
        with h5py.File(case_path(dataset.root, case_id), "r+") as file:
            del file["label"]
    patches = pool_of(dataset, labels=False).patches(index, crops)
    assert patches.labels is None
    assert torch.equal(patches.images, before.images), "without labels nothing to be centred on"
    with pytest.raises(DaclError, match="label"):
        pool_of(dataset)


def test_no_case_is_an_error_that_says_so(dataset):
    with pytest.raises(DaclError, match="no labelled case"):
        VolumePool(dataset, [], IMAGE, labels=True, device=CPU)
