"""Sliding windows: weights, what they average, and that nothing moves on the way to the network's grid and back."""

import numpy as np
import pytest
import tiny
import torch

from dacl.config import ImageConfig
from dacl.data import volume_grid
from dacl.inference import windows
from dacl.inference.volumes import predict_pseudo_labels, predict_volume, probabilities
from dacl.inference.windows import window_slabs, windows_along
from dacl.methods import METHODS
from dacl.methods.base import Method

CPU = torch.device("cpu")
IMAGE = ImageConfig(
    dims=3, geometry="resample", patch_size=32, patch_depth=16, spacing_mm=1.5, slice_spacing_mm=3.0
)
RESIZE = ImageConfig(
    dims=3, geometry="resize", patch_size=32, patch_depth=16, volume_shape=(20, 40, 48)
)
OWN = (3.0, 1.5, 1.5)
SHAPES = [(1, 20, 20), (16, 32, 32), (20, 40, 50), (37, 33, 12)]


def config(method="supervised"):
    return tiny.config(
        method, image={"dims": 3, "patch_size": 32, "patch_depth": 16}, network={"width": 4}
    )


class Reader(Method):
    """Class of a voxel = its intensity / 100, so that the prediction shows where voxels went."""

    def __init__(self, judged=("a",)):
        super().__init__(config(), 1, 4)
        self.shapes, self._judged = [], judged

    @property
    def judged(self):
        return self._judged

    def predict(self, images):
        assert not self.training
        self.shapes.append(tuple(images.shape))
        distance = (images / 100 - torch.arange(4.0)[:, None, None, None]).abs()
        return {name: (-10 * distance).softmax(dim=1) for name in self._judged}


class PlaceTeller(Reader):
    """The probability of class 1 is the place in the window, another function of it for each network."""

    def predict(self, images):
        grids = torch.meshgrid(*(torch.linspace(0, 1, n) for n in images.shape[2:]), indexing="ij")
        a, b = (grids[0] + 2 * grids[1]) / 3 * (0.5 + 0.5 * images[:, 0]), grids[2] * images[:, 0]
        found = {
            name: torch.stack([1 - p, p, 0 * p, 0 * p], dim=1) for name, p in (("a", a), ("b", b))
        }
        return found | {"mean": (found["a"] + found["b"]) / 2}


def blocks(shape, side=8):
    z, y, x = np.indices(shape)
    label = ((z // side + y // side + 2 * (x // side)) % 4).astype(np.uint8)
    return label, 100 * label[None].astype(np.float32)


def bell(side):
    return np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (side / 8)) ** 2)


# Along one axis


@pytest.mark.parametrize(
    ("extent", "overlap", "starts"),
    [(16, 0.5, [0]), (17, 0.5, [0, 1]), (24, 0.5, [0, 8]), (25, 0.5, [0, 4, 9]),
     (40, 0.5, [0, 8, 16, 24]), (40, 0.0, [0, 12, 24]), (48, 0.0, [0, 16, 32])],
)  # fmt: skip
def test_windows_cover_the_axis_evenly(extent, overlap, starts):
    found = windows_along(extent, 16, overlap)
    assert [start for start, _ in found] == starts


@pytest.mark.parametrize("extent", [16, 17, 25, 40, 203])
def test_weights_add_up_to_one_and_follow_the_bell(extent):
    total, plain = np.zeros(extent), np.zeros(extent)
    for start, weight in windows_along(extent, 16, 0.5):
        total[start : start + 16] += weight.numpy()
        plain[start : start + 16] += bell(16)
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    for start, weight in windows_along(extent, 16, 0.5):
        np.testing.assert_allclose(weight, bell(16) / plain[start : start + 16], rtol=1e-6)


# What is averaged


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_slabs_equal_a_weighted_mean_over_all_windows(shape, at_once, monkeypatch):
    """Window by window over the whole volume, with a sum of weights, as one would write it down."""
    monkeypatch.setattr(windows, "WINDOWS_AT_ONCE", {"cpu": at_once})
    patch = (16, 32, 32)
    method = PlaceTeller(("a", "b", "mean"))
    volume = torch.rand((1, *shape), generator=torch.Generator().manual_seed(0))
    slabs = list(window_slabs(method, volume, IMAGE, CPU))
    found = {name: torch.cat([slab[name] for slab in slabs], dim=1) for name in slabs[0]}

    before = [max(0, side - n) // 2 for n, side in zip(shape, patch, strict=True)]
    whole = [max(n, side) for n, side in zip(shape, patch, strict=True)]
    inner = tuple(slice(b, b + n) for b, n in zip(before, shape, strict=True))
    padded = torch.zeros((1, *whole))
    padded[:, *inner] = volume
    weight = torch.from_numpy(np.einsum("i,j,k->ijk", *map(bell, patch)))
    sums = {name: torch.zeros((4, *whole), dtype=torch.float64) for name in ("a", "b")}
    weights = torch.zeros(whole, dtype=torch.float64)
    starts = [
        [start for start, _ in windows_along(n, side, 0.5)]
        for n, side in zip(whole, patch, strict=True)
    ]
    for corner in np.array(np.meshgrid(*starts)).reshape(3, -1).T:
        at = tuple(slice(c, c + side) for c, side in zip(corner, patch, strict=True))
        method.eval()
        probs = method.predict(padded[:, *at][None])
        weights[at] += weight
        for name, total in sums.items():
            total[:, *at] += weight * probs[name][0]
    expected = {name: (total / weights)[:, *inner] for name, total in sums.items()}
    expected["mean"] = (expected["a"] + expected["b"]) / 2
    assert list(found) == ["a", "b", "mean"]
    for name, probs in found.items():
        assert probs.dtype == torch.float32
        torch.testing.assert_close(probs.double(), expected[name], rtol=0, atol=1e-6)


def test_a_volume_of_one_window_gets_what_the_network_says():
    torch.manual_seed(0)
    method = METHODS["cps"](config("cps"), 1, 4).eval()
    volume = torch.rand((1, 16, 32, 32))
    said = method.predict(volume[None])
    slabs = list(window_slabs(method, volume, IMAGE, CPU))
    for name in ("a", "b", "mean"):
        assert torch.equal(torch.cat([slab[name] for slab in slabs], dim=1), said[name][0])


# There and back


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spacing_mm", [OWN, None], ids=["its own", "unknown"])
def test_on_its_own_grid_nothing_is_lost(shape, spacing_mm):
    method, (label, volume) = Reader(), blocks(shape)
    masks = predict_volume(method, volume, spacing_mm, IMAGE, CPU)
    np.testing.assert_array_equal(masks["a"], label)
    assert masks["a"].dtype == np.uint8
    assert {shape[1:] for shape in method.shapes} == {(1, 16, 32, 32)}


@pytest.mark.parametrize("spacing_mm", [(1.5, 3.0, 0.75), (12.0, 1.0, 2.0)])
def test_another_spacing_comes_back_to_its_place(spacing_mm):
    method, (label, volume) = Reader(), blocks((24, 24, 40))
    found = predict_volume(method, volume, spacing_mm, IMAGE, CPU)["a"]
    centres = np.array([(n % 8) in (3, 4) for n in range(40)])
    inner = np.ix_(centres[:24], centres[:24], centres)
    np.testing.assert_array_equal(found[inner], label[inner])
    assert (found == label).mean() > 0.6


def test_resize_comes_back_to_its_place():
    method, (label, volume) = Reader(), blocks((24, 56, 40))
    found = predict_volume(method, volume, (1.0, 1.0, 1.0), RESIZE, CPU)["a"]
    assert found.shape == label.shape
    centres = np.array([(n % 8) in (3, 4) for n in range(56)])
    inner = np.ix_(centres[:24], centres, centres[:40])
    np.testing.assert_array_equal(found[inner], label[inner])


def test_a_constant_volume_is_one_class():
    for level in (0.0, 200.0):
        volume = np.full((1, 5, 40, 20), level, np.float32)
        found = predict_volume(Reader(), volume, (5.0, 1.0, 1.0), RESIZE, CPU)["a"]
        assert (found == level / 100).all()


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("image", [IMAGE, RESIZE], ids=["resample", "resize"])
@pytest.mark.parametrize("shape", [(1, 47, 39), (21, 16, 17)])
def test_every_method_segments_odd_volumes(method, image, shape):
    built = METHODS[method](config(method), 1, 4)
    volume = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    masks = predict_volume(built, volume, (4.0, 1.3, 1.7), image, CPU)
    assert tuple(masks) == built.judged
    for mask in masks.values():
        assert (mask.shape, mask.dtype) == (shape, np.uint8)
        assert mask.max() <= 3


@pytest.mark.parametrize("spacing_mm", [OWN, (7.0, 1.1, 2.0)])
def test_masks_pseudo_labels_and_probabilities_are_one(spacing_mm, monkeypatch):
    monkeypatch.setattr(volume_grid, "SLAB_BYTES", 5 * 4 * 4 * 40 * 20)
    torch.manual_seed(0)
    method = METHODS["cps"](config("cps"), 1, 4)
    volume = np.random.default_rng(1).random((1, 22, 40, 20), dtype=np.float32)
    masks = predict_volume(method, volume, spacing_mm, IMAGE, CPU)
    sure = [p["a"].amax(dim=0) for _, p in probabilities(method, volume, spacing_mm, IMAGE, CPU)]
    phi = float(torch.cat(sure).median())
    labels = predict_pseudo_labels(method, volume, spacing_mm, IMAGE, CPU, phi)
    seen = []
    for z, probs in probabilities(method, volume, spacing_mm, IMAGE, CPU):
        assert list(probs) == ["a", "b", "mean"]
        for name, probs_NzHW in probs.items():
            assert probs_NzHW.shape == (4, z.stop - z.start, 40, 20)
            torch.testing.assert_close(probs_NzHW.sum(dim=0), torch.ones(probs_NzHW.shape[1:]))
            winner, sure = probs_NzHW.argmax(dim=0), probs_NzHW.amax(dim=0) > phi
            np.testing.assert_array_equal(masks[name][z], winner)
            np.testing.assert_array_equal(labels[name].mask_ZHW[z], winner)
            np.testing.assert_array_equal(labels[name].confident_ZHW[z], sure)
        assert z.stop - z.start <= 5
        seen += list(range(z.start, z.stop))
    assert seen == list(range(22))
    assert labels["a"].confident_ZHW.mean() == pytest.approx(0.5, abs=0.01)


# Modes and memory


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_as_before(training):
    method = METHODS["cps"](config("cps"), 1, 4).train(training)
    statistics = {k: v.clone() for k, v in method.state_dict().items()}
    predict_volume(method, blocks((2, 20, 20))[1], None, IMAGE, CPU)
    assert {module.training for module in method.modules()} == {training}
    assert tiny.differences(statistics, dict(method.state_dict())) == []
    assert all(p.grad is None for p in method.parameters())


def test_the_mode_is_as_before_after_an_error_and_when_nobody_wants_the_rest():
    method = Reader().train()
    volume = blocks((40, 20, 20))[1]
    some = probabilities(method, volume, None, IMAGE, CPU)
    next(some)
    assert not method.training
    some.close()
    assert method.training
    method.predict = lambda images: 1 / 0
    with pytest.raises(ZeroDivisionError):
        predict_volume(method, volume, None, IMAGE, CPU)
    assert method.training


def test_what_is_held_does_not_grow_with_the_volume(monkeypatch):
    """Sums of one window's depth, and copies of a few slices: counted in every tensor that the sums are made of."""
    held = []
    before = windows._Sums.advance
    monkeypatch.setattr(
        windows._Sums, "advance",
        lambda self, count: held.append(sum(t.numel() for t in self.sums.values())) or before(self, count),
    )  # fmt: skip
    largest = 0
    for slab in window_slabs(Reader(), torch.zeros((1, 100, 40, 32)), IMAGE, CPU):
        largest = max(largest, slab["a"].shape[1])
    assert set(held) == {4 * 16 * 40 * 32}
    assert largest <= windows.SLICES_AT_ONCE
