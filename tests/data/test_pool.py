"""Patches of the pool against the slices they are cut from."""

import h5py
import numpy as np
import pytest
import torch
from made_pool import write_dataset

from dacl.config import ImageConfig
from dacl.data import paging as module
from dacl.data.augment import Placement, draw_placements, source_pixels
from dacl.data.casefile import case_path
from dacl.data.pool import SlicePool
from dacl.errors import DaclError

RESIZE = ImageConfig(geometry="resize", patch_size=32)
CROP = ImageConfig(geometry="resample", patch_size=32, spacing_mm=1.5)
CPU = torch.device("cpu")
SHAPES = {"p1_f1": (2, 40, 34), "p1_f2": (3, 36, 50), "p2_f1": (1, 24, 24)}


@pytest.fixture
def dataset(tmp_path):
    """Three cases of different sizes, at the spacing that `resample` wants."""
    random = np.random.default_rng(0)
    volumes = {
        case_id: (
            random.integers(1, 500, (1, *shape)).astype(np.int16),
            random.integers(0, 4, shape).astype(np.uint8),
        )
        for case_id, shape in SHAPES.items()
    }
    return write_dataset(tmp_path, volumes, spacing_mm=(10.0, 1.5, 1.5))


def pool_of(dataset, image, *, labels=True):
    return SlicePool(dataset, dataset.cases(["p1", "p2"]), image, labels=labels, device=CPU)


def slices(read):
    """Every slice in the order of the pool."""
    return [slice_HW for case_id in SHAPES for slice_HW in read(case_id)]


@pytest.mark.parametrize("image", [RESIZE, CROP], ids=["resize", "crop"])
def test_patches_equal_indexing_each_slice(dataset, image):
    pool = pool_of(dataset, image)
    images = slices(lambda case_id: dataset.read_image(case_id)[0])
    labels = slices(dataset.read_label)
    assert len(pool) == len(images) == 6
    index = torch.tensor([5, 0, 3, 2, 5, 1, 4])
    placement = draw_placements(len(index), 1)
    patches = pool.patches(index, placement)
    assert patches.images_BCHW.shape == (7, 1, 32, 32)
    assert patches.images_BCHW.dtype == torch.float32
    assert patches.labels_BHW.dtype == torch.int64
    for b, i in enumerate(index.tolist()):
        one = Placement(*(getattr(placement, name)[b : b + 1] for name in Placement.__slots__))
        size = torch.tensor([images[i].shape])
        pixels = source_pixels(one, size, image)[0]
        for found, stored in (
            (patches.images_BCHW[b, 0], images[i]),
            (patches.labels_BHW[b], labels[i]),
        ):
            expected = np.append(stored.dtype.type(0), stored)[pixels]
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("image", [RESIZE, CROP], ids=["resize", "crop"])
@pytest.mark.parametrize("labels", [True, False])
def test_a_gpu_which_looks_a_batch_up_at_once_sees_the_same(dataset, image, labels):
    pool = pool_of(dataset, image, labels=labels)
    index, placement = torch.tensor([5, 0, 3, 2, 5, 1, 4]), draw_placements(7, 5)
    by_slice, at_once = pool.patches(index, placement), pool._all_at_once(index, placement)
    assert torch.equal(by_slice.images_BCHW, at_once.images_BCHW)
    assert at_once.images_BCHW.dtype == torch.float32
    if labels:
        assert torch.equal(by_slice.labels_BHW, at_once.labels_BHW)
        assert at_once.labels_BHW.dtype == torch.int64
    else:
        assert by_slice.labels_BHW is at_once.labels_BHW is None


def test_image_and_label_are_looked_up_in_the_same_place(dataset):
    """Where the image is the label, so are the patches."""
    pool = pool_of(dataset, RESIZE)
    pool.pixels_CP = pool.mask_pixels.float().unsqueeze(0)
    patches = pool.patches(torch.arange(6), draw_placements(6, 0))
    assert torch.equal(patches.images_BCHW[:, 0].long(), patches.labels_BHW)


@pytest.mark.parametrize("image", [RESIZE, CROP], ids=["resize", "crop"])
def test_a_pool_in_a_file_gives_the_same_patches(dataset, image, monkeypatch):
    in_memory = pool_of(dataset, image)
    monkeypatch.setattr(module, "_free_memory", lambda: 0)
    opened = []
    real = torch.from_file
    monkeypatch.setattr(
        torch, "from_file", lambda *args, **kw: opened.append(1) or real(*args, **kw)
    )
    in_file = pool_of(dataset, image)
    assert len(opened) == 2
    index, placement = torch.arange(6), draw_placements(6, 2)
    for first, second in zip(
        in_memory.patches(index, placement), in_file.patches(index, placement), strict=True
    ):
        assert torch.equal(first, second)


def test_a_full_temporary_folder_is_an_error_that_says_so(dataset, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_free_memory", lambda: 0)
    monkeypatch.setattr(module.os, "posix_fallocate", full, raising=False)
    with pytest.raises(DaclError, match="not enough disk in the temporary folder") as caught:
        pool_of(dataset, RESIZE)
    assert "set TMPDIR to a folder with 1 MB free" in caught.value.hint


def test_without_labels_none_is_opened_and_none_comes_out(dataset):
    before = pool_of(dataset, RESIZE).patches(torch.arange(6), draw_placements(6, 2))
    for case_id in SHAPES:
        with h5py.File(case_path(dataset.root, case_id), "r+") as file:
            del file["label"]
    patches = pool_of(dataset, RESIZE, labels=False).patches(torch.arange(6), draw_placements(6, 2))
    assert patches.labels_BHW is None
    assert torch.equal(patches.images_BCHW, before.images_BCHW)
    with pytest.raises(DaclError, match="label"):
        pool_of(dataset, RESIZE, labels=True)


def test_no_case_is_an_error_that_says_so(dataset):
    with pytest.raises(DaclError, match="no labelled case"):
        SlicePool(dataset, [], RESIZE, labels=True, device=CPU)
