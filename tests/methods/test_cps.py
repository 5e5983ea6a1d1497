"""Cross pseudo supervision."""

import math

import pytest
import torch
from methods import tiny_batch as tiny

from dacl.config import merge, resolve
from dacl.losses.consistency import cross_pseudo_supervision
from dacl.losses.supervised import supervised_loss
from dacl.methods import Batch
from dacl.networks.transposed_convolution import TransposedConv2x2
from dacl.networks.upsampling import BilinearUpsample


def outputs(method, batch):
    method.eval()
    return [method.networks[name](batch.images).logits for name in "ab"]


def with_cross(**cross):
    base = tiny.config("cps").model_dump()
    return tiny.build(resolve("paper", merge(base, {"cross": cross})))


def test_total_is_both_supervised_losses_and_the_weighted_cross_loss():
    method, batch = with_cross(weight=0.7), tiny.batch()
    a, b = outputs(method, batch)
    supervised = sum(supervised_loss(logits[:2], batch.labels) for logits in (a, b))
    cross = cross_pseudo_supervision(a, b)
    terms = method.losses(batch, 0)
    torch.testing.assert_close(terms.total, supervised + 0.7 * cross)
    torch.testing.assert_close(terms.parts["supervised"], supervised.detach())
    torch.testing.assert_close(terms.parts["cross"], cross.detach())
    assert method.weights(0) == {"supervised": 1.0, "cross": 0.7}


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
    assert set(Batch.__slots__) == {"images", "labels"}
    assert batch.labeled == len(batch.labels) == 2
    assert len(batch.images) == 5


@pytest.mark.parametrize(("schedule", "share"), [("constant", 1.0), ("ramp", math.exp(-1.25))])
def test_the_weight_of_the_cross_loss_follows_its_schedule(schedule, share):
    method = with_cross(weight=0.7, schedule=schedule)
    terms = method.losses(tiny.batch(), 15)  # half of the run
    weight = method.weights(15)["cross"]
    assert weight == pytest.approx(0.7 * share)
    torch.testing.assert_close(
        terms.total.detach(), terms.parts["supervised"] + weight * terms.parts["cross"]
    )


def test_confidence_and_agreement_equal_a_count_of_pixels():
    settings = tiny.config("cps", phi=0.4)
    method, batch = tiny.build(settings).eval(), tiny.batch()
    for network in method.networks.values():
        network.classifier.weight.data *= 100  # else each is a little sure of one class everywhere
    found = method.losses(batch, 29).diagnostics
    probs = [method.predict(batch.images)[name][2:] for name in "ab"]
    for n in (1, 2, 3):
        confident, sets = [], []
        for p_BNHW in probs:
            pixels = p_BNHW.movedim(1, -1).reshape(-1, 4).tolist()
            own = [max(p) for p in pixels if p.index(max(p)) == n]
            sets.append({i for i, p in enumerate(pixels) if p.index(max(p)) == n})
            confident.append(sum(x > 0.4 for x in own) / len(own) if own else math.nan)
        both = len(sets[0]) + len(sets[1])
        dice = 2 * len(sets[0] & sets[1]) / both if both else math.nan
        assert found["agreement"][n - 1].item() == pytest.approx(dice, nan_ok=True)
        assert found["confident"][n - 1].item() == pytest.approx(sum(confident) / 2, nan_ok=True)
    assert found["agreement"].isfinite().any()


@pytest.mark.parametrize("method_name", ["cps", "dacl"])
def test_with_a_shared_encoder_there_is_one_and_both_losses_train_it(method_name):
    base = tiny.config(method_name, warmup_fraction=0.0).model_dump()
    settings = resolve("paper", merge(base, {"network": {"shared_encoder": True}}))
    method = tiny.build(settings)
    a, b = (method.networks[name] for name in "ab")
    assert a.encoder is b.encoder
    kinds = [{type(up.upsample) for up in network.decoder} for network in (a, b)]
    assert kinds == [{BilinearUpsample}, {TransposedConv2x2}]  # MC-Net's two decoders

    passes = []
    a.encoder[0].register_forward_hook(lambda *_: passes.append(1))
    terms = method.losses(tiny.batch(), 29)
    assert len(passes) == 1
    terms.total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())
    assert len(list(method.parameters())) < len(list(tiny.build(tiny.config()).parameters()))

    resumed = tiny.build(settings)
    resumed.load_state_dict(method.state_dict())
    for key, value in tiny.network_weights(method).items():
        assert torch.equal(value, tiny.network_weights(resumed)[key])


def test_separate_encoders_are_the_default():
    method = tiny.build(tiny.config("cps"))
    assert method.networks["a"].encoder is not method.networks["b"].encoder
