"""Validation against counting voxel by voxel, from probabilities that are known."""

import numpy as np
import pytest
import tiny
import torch

from dacl.config import ImageConfig
from dacl.data.grid import to_native, to_native_confident
from dacl.data.prepared import PreparedDataset
from dacl.inference.slices import PseudoLabel, predict_pseudo_labels, predict_volume
from dacl.methods import METHODS, Cps
from dacl.training.health import Watch
from dacl.training.records import val_record
from dacl.training.validation import right_said_true, validate

CPU = torch.device("cpu")
RESAMPLE = ImageConfig(geometry="resample", patch_size=32, spacing_mm=1.5)
RESIZE = ImageConfig(geometry="resize", patch_size=32)


@pytest.fixture(scope="module")
def dataset(data):
    return PreparedDataset.open(data)


class Teller(Cps):
    """Probabilities of a pixel are a function of its intensity, another one for each network."""

    def predict(self, images_BCHW):
        levels = torch.tensor([20.0, 140.0, 70.0, 180.0]) / 200
        probs = {}
        for sharpness, (name, shift) in zip((40.0, 15.0), (("a", 0.0), ("b", 0.1)), strict=True):
            distance = (images_BCHW + shift - levels[:, None, None]).abs()
            probs[name] = (-sharpness * distance).softmax(dim=1)
        probs["mean"] = (probs["a"] + probs["b"]) / 2
        return probs


def by_hand(method, dataset, network, phi):
    """Precision and recall of each foreground class, a pixel at a time."""
    right, said, true = (dict.fromkeys((1, 2, 3), 0) for _ in range(3))
    for case in dataset.cases(tiny.VAL):
        images = torch.from_numpy(dataset.read_image(case.id)).transpose(0, 1)
        probs_ZNHW, truth_ZHW = method.predict(images)[network], dataset.read_label(case.id)
        for z, y, x in np.ndindex(truth_ZHW.shape):
            probs, truth = probs_ZNHW[z, :, y, x].tolist(), int(truth_ZHW[z, y, x])
            winner = probs.index(max(probs))
            if truth > 0:
                true[truth] += 1
            if winner > 0 and max(probs) > phi:
                said[winner] += 1
                right[winner] += winner == truth
    return (
        [right[n] / said[n] if said[n] else np.nan for n in right],
        [right[n] / true[n] if true[n] else np.nan for n in right],
    )


@pytest.mark.parametrize("phi", [0.3, 0.6, 0.8, 0.999])
def test_pseudo_labels_are_counted_voxel_by_voxel(phi, dataset):
    method = Teller(tiny.config("cps", contrast={"phi": phi}), 1, 4)
    found = validate(method, dataset, dataset.cases(tiny.VAL), CPU)
    assert set(found.precision) == set(found.recall) == {"a", "b"}, "the mean teaches nobody"
    for network in ("a", "b"):
        precision, recall = by_hand(method, dataset, network, phi)
        np.testing.assert_allclose(found.precision[network], precision, rtol=1e-12)
        np.testing.assert_allclose(found.recall[network], recall, rtol=1e-12)


def agreement_by_hand(method, dataset):
    """2 |A and B| / (|A| + |B|) of each foreground class, a pixel at a time over both volumes."""
    both, held = (dict.fromkeys((1, 2, 3), 0) for _ in range(2))
    for case in dataset.cases(tiny.VAL):
        probs = method.predict(torch.from_numpy(dataset.read_image(case.id)).transpose(0, 1))
        for a, b in zip(*(probs[n].argmax(dim=1).flatten().tolist() for n in "ab"), strict=True):
            for winner in (a, b):
                if winner > 0:
                    held[winner] += 1
            if a == b > 0:
                both[a] += 1
    return [2 * both[n] / held[n] if held[n] else np.nan for n in both]


def test_agreement_is_counted_voxel_by_voxel(dataset):
    method = Teller(tiny.config("cps"), 1, 4)
    found = validate(method, dataset, dataset.cases(tiny.VAL), CPU).agreement
    expected = agreement_by_hand(method, dataset)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert 0 < min(expected) < max(expected) < 1


def test_a_class_that_neither_network_has_is_no_agreement(dataset):
    """Nor a disagreement; where one of them has it, they do not agree."""

    class Sees(Cps):
        def predict(self, images_BCHW):
            probs = {
                name: torch.zeros(len(images_BCHW), 4, *images_BCHW.shape[2:])
                for name in self.judged
            }
            for name, winner in {"a": 1, "b": 1, "mean": 3}.items():
                probs[name][:, winner] = 1.0
            probs["b"][:, 2, :5] = 2.0
            return probs

    method = Sees(tiny.config("cps"), 1, 4)
    rv, myo, lv = validate(method, dataset, dataset.cases(tiny.VAL), CPU).agreement
    assert 0.5 < rv < 1
    assert myo == 0
    assert np.isnan(lv), "the mean is no third network"


def firm(method):
    """A built method whose classifiers are steep enough to give every class some pixels."""
    torch.manual_seed(1)
    built = METHODS[method](tiny.config(method), 1, 4)
    for network in built.networks.values():
        torch.nn.init.normal_(network.classifier.weight, std=3.0)
    return built


def told(built, dataset):
    """What the watch says of two validations in a row, late in the run."""
    found, watch = validate(built, dataset, dataset.cases(tiny.VAL), CPU), Watch(built.config)
    records = [val_record(step, found, dataset.class_names[1:]) for step in (8, 12)]
    return found.agreement, [text for record in records for text in watch(record)]


@pytest.mark.parametrize("method", ["cps", "dacl"])
def test_equal_networks_agree_and_are_told_of(method, dataset):
    """In train mode, too: validation turns the dropout off, under which even these would differ."""
    built = firm(method).train()
    agreement, texts = told(built, dataset)
    assert np.nanmin(agreement) < 0.9
    assert not any("become one" in text for text in texts)

    built.networks["b"].load_state_dict(built.networks["a"].state_dict())
    agreement, texts = told(built, dataset)
    assert np.nanmin(agreement) == 1
    assert sum("become one" in text for text in texts) == 1


def test_the_cases_above_have_something_to_count(dataset):
    method = Teller(tiny.config("cps"), 1, 4)
    low, high = (by_hand(method, dataset, "b", phi) for phi in (0.3, 0.8))
    assert 0 < min(low[0]) < max(low[0]) < 1
    assert sum(high[1]) < sum(low[1]), "fewer pixels are sure"
    assert np.isnan(by_hand(method, dataset, "b", 0.999)[0]).any(), "none is"


def test_one_case():
    """Said with confidence: 1 right, 1 taken for 2, background taken for 1. Unsure: one 1 and one 2."""
    mask = np.array([[[1, 2, 1, 1, 2]]], np.uint8)
    truth = np.array([[[1, 1, 0, 1, 2]]], np.uint8)
    sure = np.array([[[True, True, True, False, False]]])
    right, said, true = right_said_true(PseudoLabel(mask, sure), truth, 4)
    assert right.tolist() == [1, 0, 0]
    assert said.tolist() == [2, 1, 0]
    assert true.tolist() == [3, 1, 0]


@pytest.mark.parametrize("image", [RESAMPLE, RESIZE], ids=["resample", "resize"])
@pytest.mark.parametrize("shape_HW", [(47, 39), (32, 32), (70, 33)])
def test_the_masks_are_the_same_bits_with_their_confidence(image, shape_HW):
    spacing_mm = (8.0, 1.3, 1.7)
    probs = (3 * torch.randn(3, 4, 64, 64, generator=torch.Generator().manual_seed(0))).softmax(1)
    if image is RESIZE:
        probs = probs[..., :32, :32]
    probs[:, :, 5:9] = 0.25  # ties
    masks, confident = to_native_confident(probs, shape_HW, spacing_mm, image, 0.6)
    assert torch.equal(masks, to_native(probs, shape_HW, spacing_mm, image))
    assert 0.1 < confident.float().mean() < 0.9
    # the complement is what a threshold on every class leaves
    every = [to_native_confident(probs, shape_HW, spacing_mm, image, phi)[1] for phi in (0.0, 1.0)]
    assert every[0].all()
    assert not every[1].any()


def test_one_forward_pass_serves_dice_and_pseudo_labels(dataset):
    method, passes = Teller(tiny.config("cps"), 1, 4), []
    before = method.predict
    method.predict = lambda images: passes.append(len(images)) or before(images)
    validate(method, dataset, dataset.cases(tiny.VAL), CPU)
    assert passes == [2, 2], "two volumes of two slices"


@pytest.mark.parametrize("method", list(METHODS))
def test_dice_is_the_mean_over_volumes_on_the_scans_own_grid(method, dataset):
    built = firm(method)
    per_case = []
    for case in dataset.cases(tiny.VAL):
        arguments = (dataset.read_image(case.id), case.spacing_mm, built.config.image)
        masks = predict_volume(built, *arguments, CPU)
        said = predict_pseudo_labels(built, *arguments, CPU, 0.5)
        for name, mask in masks.items():
            np.testing.assert_array_equal(said[name].mask_ZHW, mask)
        truth, row = dataset.read_label(case.id), []
        for n in (1, 2, 3):
            hit, held = ((masks["a"] == n) & (truth == n)).sum(), (masks["a"] == n).sum()
            row.append(2 * hit / (held + (truth == n).sum()))
        per_case.append(row)
    found = validate(built, dataset, dataset.cases(tiny.VAL), CPU)
    assert tuple(found.dice) == built.judged
    np.testing.assert_array_equal(found.dice["a"], np.mean(per_case, axis=0))
    assert found.dice["a"].max() > 0
    assert (found.precision == {}) == (method == "supervised")
    assert (found.agreement is None) == (method == "supervised")
