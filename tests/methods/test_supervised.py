"""Labelled-only training, and what every method shares."""

from pathlib import Path

import pytest
import torch
from methods import tiny_batch as tiny

from dacl.errors import DaclError
from dacl.losses.supervised import supervised_loss
from dacl.methods import METHODS


def test_the_loss_is_that_of_the_labelled_images_alone():
    method = tiny.build(tiny.config("supervised"))
    method.eval()
    batch = tiny.batch()
    terms = method.losses(batch, 0)
    with torch.no_grad():
        logits = method.networks["a"](batch.images[:2]).logits
    torch.testing.assert_close(terms.total.detach(), supervised_loss(logits, batch.labels))
    assert terms.total.requires_grad
    assert terms.parts.keys() == method.weights(0).keys() == {"supervised"}


def test_one_network_is_judged_and_needs_no_unlabelled_slices():
    method = tiny.build(tiny.config("supervised"))
    assert method.judged == ("a",)
    assert not method.uses_unlabeled


@pytest.mark.parametrize(
    ("method", "network", "mean", "there"),
    [
        ("supervised", "b", True, "a"),
        ("supervised", "mean", True, "a"),
        ("cps", "mean", False, "a, b"),
        ("cps", "c", True, "a, b, mean"),
    ],
)
def test_a_network_that_is_not_there_is_refused_with_those_that_are(method, network, mean, there):
    built = tiny.build(tiny.config(method))
    with pytest.raises(DaclError, match=f"^{method} has no network '{network}'") as caught:
        built.require_network(network, mean=mean)
    assert caught.value.hint == f"it has {there}"
    with pytest.raises(DaclError, match=r"^some has no network"):
        built.require_network(network, mean=mean, of=Path("some"))


def test_a_network_that_is_there_is_not_refused():
    built = tiny.build(tiny.config("cps"))
    for network, mean in (("a", False), ("b", False), ("b", True), ("mean", True)):
        built.require_network(network, mean=mean)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_same_seed_same_weights_another_seed_others(name):
    first, second, third = (tiny.build(tiny.config(name, seed=s)).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], third[key]) for key in first)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_building_leaves_the_global_stream_alone(name):
    before = torch.get_rng_state()
    tiny.build(tiny.config(name))
    assert torch.equal(before, torch.get_rng_state())


def test_network_a_starts_alike_under_every_method():
    starts = [tiny.build(tiny.config(n)).networks["a"].state_dict() for n in sorted(METHODS)]
    for other in starts[1:]:
        assert all(torch.equal(starts[0][key], other[key]) for key in starts[0])


@pytest.mark.parametrize("name", sorted(METHODS))
def test_predictions_are_probabilities_of_each_judged_network(name):
    method = tiny.build(tiny.config(name)).eval()
    images = tiny.batch().images
    probs = method.predict(images)
    assert tuple(probs) == method.judged
    for each in probs.values():
        assert each.shape == (4, tiny.N, tiny.SIDE, tiny.SIDE)
        torch.testing.assert_close(each.sum(dim=1), torch.ones(4, tiny.SIDE, tiny.SIDE))
        assert not each.requires_grad
    if "mean" in probs:
        torch.testing.assert_close(probs["mean"], (probs["a"] + probs["b"]) / 2)
    assert method.embed(images).shape == (4, 8, tiny.SIDE // 2, tiny.SIDE // 2)
