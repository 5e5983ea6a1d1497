import numpy as np
import pytest
import tiny
import torch
from scipy import ndimage

from dacl.config import ImageConfig
from dacl.inference.slices import SLICES_AT_ONCE, predict_volume
from dacl.methods import METHODS, Cps
from dacl.methods.base import Method

CPU = torch.device("cpu")
RESAMPLE = ImageConfig(geometry="resample", patch_size=32, spacing_mm=1.5)
RESIZE = ImageConfig(geometry="resize", patch_size=32)


class Reader(Method):
    """Class of a pixel = its intensity / 100, so that the prediction shows where pixels went."""

    def __init__(self, judged=("a",)):
        super().__init__(tiny.config("supervised"), 1, 4)
        self.shapes, self._judged = [], judged

    @property
    def judged(self):
        return self._judged

    def predict(self, images_BCHW):
        assert not self.training
        self.shapes.append(tuple(images_BCHW.shape))
        distance = (images_BCHW / 100 - torch.arange(4.0)[:, None, None]).abs()
        return {name: (-10 * distance).softmax(dim=1) for name in self._judged}


def blocks(shape, side=8):
    """A label in blocks of `side` pixels, and the image that `Reader` reads it from."""
    _, y, x = np.indices(shape)
    label = ((y // side + 2 * (x // side)) % 4).astype(np.uint8)
    label[0] = (label[0] + 1) % 4  # slices differ
    return label, 100 * label.astype(np.float32)


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("image", [RESAMPLE, RESIZE], ids=["resample", "resize"])
@pytest.mark.parametrize("shape", [(1, 47, 39), (3, 16, 17), (2, 33, 70)])
def test_shapes_of_odd_volumes(method, image, shape):
    built = METHODS[method](tiny.config(method), 1, 4)
    volume = np.random.default_rng(0).random(shape, dtype=np.float32)
    masks = predict_volume(built, volume[None], (10.0, 1.3, 1.7), image, CPU)
    assert tuple(masks) == (("a",) if method == "supervised" else ("a", "b", "mean"))
    for mask in masks.values():
        assert mask.shape == shape
        assert mask.dtype == np.uint8
        assert mask.max() <= 3


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_as_before(training):
    method = Cps(tiny.config("cps"), 1, 4).train(training)
    statistics = {k: v.clone() for k, v in method.state_dict().items()}
    _, volume = blocks((2, 20, 20))
    predict_volume(method, volume[None], None, RESAMPLE, CPU)
    assert {module.training for module in method.modules()} == {training}
    assert tiny.differences(statistics, dict(method.state_dict())) == []
    assert all(p.grad is None for p in method.parameters())


def test_resample_at_its_own_spacing_loses_nothing():
    method, (label, volume) = Reader(), blocks((3, 47, 39))
    masks = predict_volume(method, volume[None], (8.0, 1.5, 1.5), RESAMPLE, CPU)
    np.testing.assert_array_equal(masks["a"], label)
    assert method.shapes == [(3, 1, 48, 48)], "padded to multiples of 16"


def test_unknown_spacing_keeps_the_pixel_grid():
    method, (label, volume) = Reader(), blocks((2, 35, 52))
    masks = predict_volume(method, volume[None], None, RESAMPLE, CPU)
    np.testing.assert_array_equal(masks["a"], label)
    assert method.shapes == [(2, 1, 48, 64)]


def test_resample_brings_both_directions_to_the_spacing():
    method, (label, volume) = Reader(), blocks((2, 40, 48))
    masks = predict_volume(method, volume[None], (5.0, 3.0, 0.75), RESAMPLE, CPU)
    assert method.shapes == [(2, 1, 80, 32)], "40 rows of 3 mm, 48 columns of 0.75 mm"
    inner = (slice(None), slice(2, 6), slice(2, 6))  # away from the edges of blocks
    np.testing.assert_array_equal(masks["a"][inner], label[inner])
    assert (masks["a"] == label).mean() > 0.6


@pytest.mark.parametrize("shape", [(2, 47, 39), (1, 20, 90), (2, 32, 32)])
def test_resize_is_the_published_protocol(shape):
    """Order-0 zoom to the square and back, as the ancestors' test code does with scipy."""
    method, (_, volume) = Reader(), blocks(shape)
    masks = predict_volume(method, volume[None], (5.0, 3.0, 0.75), RESIZE, CPU)
    assert method.shapes == [(shape[0], 1, 32, 32)]
    for native, mask in zip(volume, masks["a"], strict=True):
        height, width = native.shape
        square = ndimage.zoom(native, (32 / height, 32 / width), order=0)
        expected = ndimage.zoom((square / 100).astype(np.uint8), (height / 32, width / 32), order=0)
        np.testing.assert_array_equal(mask, expected)


def test_many_slices_go_in_blocks():
    method, (label, volume) = Reader(), blocks((SLICES_AT_ONCE + 3, 20, 20))
    masks = predict_volume(method, volume[None], None, RESAMPLE, CPU)
    np.testing.assert_array_equal(masks["a"], label)
    assert [shape[0] for shape in method.shapes] == [SLICES_AT_ONCE, 3]


def test_every_judged_name_is_answered():
    _, volume = blocks((1, 20, 20))
    assert list(predict_volume(Reader(("a", "b", "mean")), volume[None], None, RESAMPLE, CPU)) == [
        "a",
        "b",
        "mean",
    ]


def test_mean_is_the_network_of_the_averaged_softmaxes():
    torch.manual_seed(0)
    method = Cps(tiny.config("cps"), 1, 4)
    for network in method.networks.values():  # apart, so that they disagree
        with torch.no_grad():
            network.classifier.weight.normal_(std=2.0)
    volume = np.random.default_rng(1).random((2, 32, 32), dtype=np.float32)
    masks = predict_volume(method, volume[None], None, RESAMPLE, CPU)
    method.eval()
    with torch.no_grad():
        images = torch.from_numpy(volume).unsqueeze(1)
        probs = {k: n(images).logits.softmax(dim=1) for k, n in method.networks.items()}
    np.testing.assert_array_equal(masks["a"], probs["a"].argmax(dim=1).numpy())
    np.testing.assert_array_equal(masks["b"], probs["b"].argmax(dim=1).numpy())
    mean = ((probs["a"] + probs["b"]) / 2).argmax(dim=1).numpy()
    np.testing.assert_array_equal(masks["mean"], mean)
    assert (masks["a"] != masks["b"]).any()
    assert (masks["mean"] != masks["a"]).any()
    assert (masks["mean"] != masks["b"]).any()


def test_the_mode_is_as_before_after_an_error():
    method = Reader().train()
    method.predict = lambda images: 1 / 0
    with pytest.raises(ZeroDivisionError):
        predict_volume(method, blocks((1, 20, 20))[1][None], None, RESAMPLE, CPU)
    assert method.training
