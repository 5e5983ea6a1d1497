"""Cross pseudo supervision."""

import torch
from methods import tiny_batch as tiny

from dacl.config import merge, resolve
from dacl.losses.consistency import cross_pseudo_supervision
from dacl.losses.supervised import supervised_loss
from dacl.methods import Batch


def outputs(method, batch):
    method.eval()
    return [method.networks[name](batch.images_BCHW).logits_BCHW for name in "ab"]


def with_cross(**cross):
    base = tiny.config("cps").model_dump()
    return tiny.build(resolve("paper", merge(base, {"cross": cross})))


def test_total_is_both_supervised_losses_and_the_weighted_cross_loss():
    method, batch = with_cross(weight=0.7), tiny.batch()
    a, b = outputs(method, batch)
    supervised = sum(supervised_loss(logits[:2], batch.labels_AHW) for logits in (a, b))
    cross = cross_pseudo_supervision(a, b)
    terms = method.losses(batch, 0)
    torch.testing.assert_close(terms.total, supervised + 0.7 * cross)
    torch.testing.assert_close(terms.parts["supervised"], supervised.detach())
    torch.testing.assert_close(terms.parts["cross"], cross.detach())
    assert terms.weights == {"supervised": 1.0, "cross": 0.7}


def test_cross_supervision_of_the_unlabelled_samples_alone():
    method, batch = with_cross(samples="unlabeled"), tiny.batch()
    a, b = outputs(method, batch)
    expected = cross_pseudo_supervision(a[2:], b[2:]).detach()
    torch.testing.assert_close(method.losses(batch, 0).parts["cross"], expected)


def test_without_unlabelled_samples_their_loss_is_zero_not_nan():
    terms = with_cross(samples="unlabeled").losses(tiny.batch(unlabeled=0), 0)
    assert terms.parts["cross"] == 0
    assert torch.isfinite(terms.total)


def test_the_networks_differ_by_their_initial_draw():
    a, b = (tiny.build(tiny.config("cps")).networks[name].state_dict() for name in "ab")
    weights = [key for key in a if key.endswith("0.weight")]
    assert weights
    assert not any(torch.equal(a[key], b[key]) for key in weights)


def test_a_networks_gradient_ignores_how_its_partner_was_computed():
    """Targets carry no gradient: freezing b leaves a's gradient as it is, bit for bit."""
    gradients = []
    for frozen in (False, True):
        method = tiny.build(tiny.config("cps"))
        method.networks["b"].requires_grad_(not frozen)
        torch.manual_seed(0)
        method.losses(tiny.batch(), 0).total.backward()
        gradients.append([p.grad for p in method.networks["a"].parameters()])
    assert all(torch.equal(x, y) for x, y in zip(*gradients, strict=True))


def test_a_batch_has_no_place_for_labels_of_unlabelled_images():
    batch = tiny.batch(labeled=2, unlabeled=3)
    assert set(Batch.__slots__) == {"images_BCHW", "labels_AHW"}
    assert batch.labeled == len(batch.labels_AHW) == 2
    assert len(batch.images_BCHW) == 5
