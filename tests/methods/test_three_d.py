"""Methods on volumes: the same losses and the same contrast, whatever the number of spatial axes."""

import pytest
import torch
from methods import tiny_batch as tiny

from dacl.config import Config, resolve
from dacl.contrast.compactness import labeled_compactness_and_density
from dacl.contrast.draws import Draws
from dacl.contrast.prototypes import (
    at_stride,
    certain_classes,
    masked_average_pool,
    reliable_classes,
)
from dacl.contrast.units import class_units, pixel_units
from dacl.losses.consistency import cross_pseudo_supervision
from dacl.losses.supervised import supervised_loss
from dacl.methods import METHODS, Batch
from dacl.networks.heads import NoProjection
from dacl.networks.vnet import VNet

PATCH = (16, 32, 32)
N = tiny.N


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def config(method="dacl", **contrast) -> Config:
    over = {"dims": 3, "patch_depth": PATCH[0], "patch_size": PATCH[1]}
    values = tiny.config(method, **contrast).model_dump(mode="json")
    return resolve("paper", values, {"image": over})


def batch(seed=0, *, labeled=2, unlabeled=2) -> Batch:
    """Classes that the images show."""
    labels = torch.randint(0, N, (labeled + unlabeled, *PATCH), generator=draw(seed))
    images = labels.float() + 0.1 * torch.randn(labels.shape, generator=draw(seed + 100))
    return Batch(images.unsqueeze(1), labels[:labeled])


def step(method, step=20):
    terms = method.losses(batch(step), step)
    terms.total.backward()
    method.after_step(step)
    return terms


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_step_reaches_every_weight_of_every_network(name):
    torch.manual_seed(0)
    method = METHODS[name](config(name), 1, N).train()
    assert all(type(network) is VNet for network in method.networks.values())
    terms = step(method)
    assert terms.total.isfinite()
    assert all(part.isfinite() for part in terms.parts.values())
    for parameter_name, parameter in method.networks.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    assert method.embed(batch().images).shape == (4, 8, 8, 16, 16)


def test_a_patch_of_nothing_but_zeros_has_moderate_gradients_in_bf16():
    """As of air, or around a head whose skull was taken away: a run of one patch a step meets it sooner or later."""
    torch.manual_seed(0)
    whole = config("supervised").model_dump(mode="json")
    method = METHODS["supervised"](resolve("paper", whole, {"network": {"width": 16}}), 1, N)
    method.train().bf16 = True
    shape = (1, 64, 32, 32)
    nothing = Batch(torch.zeros(1, *shape), torch.zeros(shape, dtype=torch.int64))
    method.losses(nothing, 0).total.backward()
    for name, parameter in method.networks.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() < 1e4, name  # in bf16 1e15 and more, up to infinity


@pytest.mark.parametrize("contrast", [{}, {"unit": "class"}, {"negatives_from": "pixels"},
                                      {"reliability": "entropy"}])  # fmt: skip
def test_the_contrast_of_volumes_has_anchors_and_feeds_the_banks(contrast):
    torch.manual_seed(0)
    method = METHODS["dacl"](config(**contrast), 1, N).train()
    step(method)
    terms = step(method, 29)  # the last step is logged
    assert terms.parts["contrast"] > 0
    assert (terms.diagnostics["anchors"] > 0).any()
    assert terms.diagnostics["feature_density"].isfinite().all()
    for contrast_of in method.contrast.values():
        assert contrast_of.bank.valid_CL.any(dim=1).all()
        assert all(p.grad.abs().sum() > 0 for p in contrast_of.head.parameters() if p.ndim > 1)


def test_bf16_serves_volumes():
    torch.manual_seed(0)
    method = METHODS["dacl"](config(), 1, N).train()
    method.bf16 = True
    assert step(method).total.dtype == torch.float32
    assert method.forward_networks(batch().images)["a"].features.dtype == torch.bfloat16


def test_pixels_of_a_decoder_map_are_judged_at_every_second_voxel():
    torch.manual_seed(0)
    method = METHODS["dacl"](config(phi=0.0), 1, N).eval()
    seen = batch()
    outputs = method.forward_networks(seen.images)
    classes = method.reliable("a", outputs, seen, 0)
    assert torch.equal(classes[:2], seen.labels[:, ::2, ::2, ::2])
    partner = outputs["b"].logits[2:, :, ::2, ::2, ::2].argmax(dim=1)
    assert torch.equal(classes[2:], partner)


def test_at_stride_takes_the_last_axes_alone():
    values = torch.arange(6 * 6 * 6).view(6, 6, 6)
    assert torch.equal(at_stride(values, 2, 2), values[:, ::2, ::2])
    assert torch.equal(at_stride(values, 3, 3), values[::3, ::3, ::3])
    assert torch.equal(at_stride(values, 1, 3), values)


class TestOnlyTheShapeDiffers:
    """A volume of D slices and an image of D times the rows hold the same voxels in the same order."""

    @staticmethod
    def flat(volume):
        return volume.flatten(-3, -2)

    @pytest.fixture
    def maps(self):
        logits_a, logits_b = torch.randn(2, 3, N, 4, 6, 5, generator=draw())
        labels = torch.randint(-1, N, (3, 4, 6, 5), generator=draw(1))
        features = torch.randn(3, 7, 4, 6, 5, generator=draw(2))
        return logits_a, logits_b, labels, features

    def test_losses(self, maps):
        a, b, labels, _ = maps
        labels = labels.clamp(min=0)
        volume, image = supervised_loss(a, labels), supervised_loss(self.flat(a), self.flat(labels))
        torch.testing.assert_close(volume, image)
        volume = cross_pseudo_supervision(a, b)
        image = cross_pseudo_supervision(self.flat(a), self.flat(b))
        torch.testing.assert_close(volume, image)

    def test_reliable_pixels(self, maps):
        a, _, labels, _ = maps
        probs = a.softmax(dim=1)
        for judge, limit in ((reliable_classes, 0.4), (certain_classes, 0.3)):
            volume = judge(labels[:2], probs, limit)
            assert torch.equal(
                self.flat(volume), judge(self.flat(labels[:2]), self.flat(probs), limit)
            )
            assert (volume[2] == -1).any()

    def test_averages_over_a_class(self, maps):
        _, _, labels, features = maps
        volume = masked_average_pool(features, labels, N)
        image = masked_average_pool(self.flat(features), self.flat(labels), N)
        torch.testing.assert_close(volume[0], image[0])
        assert torch.equal(volume[1], image[1])

    def test_units(self, maps):
        _, _, labels, features = maps
        options = {"dim": 7, "n_classes": N, "cap": 9, "others": 11, "out_of_class": False}
        identity = NoProjection()
        draws = Draws(*torch.rand(2, labels.numel(), generator=draw()), *[torch.zeros(0)] * 4)
        volume = pixel_units(identity, features, labels, draws, **options)
        image = pixel_units(identity, self.flat(features), self.flat(labels), draws, **options)
        assert all(torch.equal(x, y) for x, y in zip(volume, image, strict=True))
        options = {"n_classes": N, "out_of_class": True}
        volume = class_units(identity, features, labels, **options)
        image = class_units(identity, self.flat(features), self.flat(labels), **options)
        for x, y in zip(volume, image, strict=True):
            torch.testing.assert_close(x, y)

    def test_feature_health(self, maps):
        *_, features = maps
        # one axis alone cannot be joined with another once it is subsampled: here the map has the labels' grid
        labels = torch.randint(0, N, (3, 4, 6, 5), generator=draw(1))
        options = {"n_classes": N, "cap": 20, "scales": (2, 4)}
        scores = torch.rand(labels.numel(), generator=draw())
        volume = labeled_compactness_and_density(features, labels, scores, **options)
        image = labeled_compactness_and_density(
            self.flat(features), self.flat(labels), scores, **options
        )
        assert all(torch.equal(x, y) for x, y in zip(volume, image, strict=True))
