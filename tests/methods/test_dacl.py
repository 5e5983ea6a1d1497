"""What DACL adds to CPS: its terms, its banks, whose pseudo-labels it trusts, and what it writes down."""

import math
from types import SimpleNamespace

import pytest
import torch
from methods import tiny_batch as tiny

from dacl.config import resolve
from dacl.contrast.prototypes import UNRELIABLE


def test_a_contrast_reads_the_bank_of_the_step_before_and_feeds_it_after():
    method = tiny.build(tiny.config(bank_insert=7, warmup_fraction=0.0))
    banks = [method.contrast[name].bank for name in "ab"]
    for step in range(2):
        method.losses(tiny.batch(step), step)
        assert all(bank.written_C.tolist() == [7 * step] * 3 for bank in banks)
        method.after_step(step)
    assert not torch.equal(banks[0].features_CLD, banks[1].features_CLD)


@pytest.mark.parametrize("unit", ["pixel", "class"])
def test_total_is_cps_plus_the_weighted_contrast(unit):
    method, cps = (
        tiny.build(tiny.config(warmup_fraction=0.0, unit=unit)),
        tiny.build(tiny.config("cps")),
    )
    torch.manual_seed(0)
    terms = method.losses(tiny.batch(), 0)
    torch.manual_seed(0)
    base = cps.losses(tiny.batch(), 0)
    weight = 0.1 * math.exp(-5)
    assert method.weights(0)["contrast"] == pytest.approx(weight)
    assert terms.parts["contrast"] > 0
    torch.testing.assert_close(
        terms.total.detach() - base.total.detach(),
        weight * terms.parts["contrast"],
        rtol=0.02,
        atol=1e-6,
    )
    terms.total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("whose", ["partner", "own", "mean"])
def test_whose_pseudo_label_it_is(monkeypatch, whose):
    """Each network's contrast gets the annotation, and below it the class that the one(s) asked are sure of."""
    method = tiny.build(tiny.config(phi=0.5, pseudo_label=whose)).eval()
    for network in method.networks.values():
        network.classifier.weight.data *= 300  # else each is a little sure of one class everywhere
    seen = {}
    for name in "ab":

        def record(_features, classes_BHW, _draws, _shares, measure, name=name):
            seen[name] = classes_BHW
            return SimpleNamespace(
                loss=torch.zeros(()), insertion=(torch.zeros(0),) * 3, diagnostics={}
            )

        monkeypatch.setattr(method.contrast[name], "forward", record)
    batch = tiny.batch()
    method.losses(batch, 0)
    probs = method.predict(batch.images)
    assert torch.equal(seen["a"][2:], seen["b"][2:]) == (whose == "mean")
    for name, partner in ("ab", "ba"):
        assert torch.equal(seen[name][:2], batch.labels[:, ::2, ::2])
        source = {"partner": partner, "own": name, "mean": "mean"}[whose]
        confidence, winner = probs[source][2:, :, ::2, ::2].max(dim=1)
        assert torch.equal(seen[name][2:], winner.masked_fill(confidence <= 0.5, UNRELIABLE))


@pytest.mark.parametrize("bf16", [False, True])
def test_contrast_of_weight_zero_is_cps_to_the_last_bit(bf16):
    """Losses and weights of several optimiser steps."""
    results = []
    for settings in (tiny.config("cps"), tiny.config("dacl", weight=0.0)):
        method = tiny.build(settings)
        method.bf16 = bf16
        history = tiny.train(method, 4)
        losses = [(h["supervised"], h["cross"]) for h in history]
        results.append((losses, tiny.network_weights(method)))
    (cps_losses, cps_weights), (dacl_losses, dacl_weights) = results
    assert cps_losses == dacl_losses
    assert all(torch.equal(cps_weights[key], dacl_weights[key]) for key in cps_weights)


def test_contrast_of_its_own_weight_does_change_the_networks():
    weights = []
    for weight in (0.0, 50.0):
        method = tiny.build(tiny.config(weight=weight))
        tiny.train(method, 3)
        weights.append(tiny.network_weights(method))
    assert not all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_the_state_dict_goes_on_to_the_same_bits():
    straight = tiny.build(tiny.config(warmup_fraction=0.0))
    tiny.train(straight, 2)
    resumed = tiny.build(tiny.config(warmup_fraction=0.0, seed=0))
    resumed.load_state_dict(straight.state_dict())
    assert tiny.train(straight, 2, first=2) == tiny.train(resumed, 2, first=2)
    for key, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key])


def test_a_shared_bank_is_one_bank_that_both_networks_fill():
    method = tiny.build(tiny.config(bank="shared", bank_insert=7, warmup_fraction=0.0))
    a, b = (method.contrast[name].bank for name in "ab")
    assert a is b
    tiny.train(method, 1)
    assert a.written_C.tolist() == [14, 14, 14]
    resumed = tiny.build(tiny.config(bank="shared", bank_insert=7, warmup_fraction=0.0))
    resumed.load_state_dict(method.state_dict())
    assert tiny.train(method, 2, first=1) == tiny.train(resumed, 2, first=1)


@pytest.mark.parametrize("schedule", ["constant", "ramp"])
def test_the_schedule_of_the_contrast(schedule):
    method = tiny.build(tiny.config(schedule=schedule, weight=0.3, warmup_fraction=0.1))
    weights = [method.weights(step)["contrast"] for step in (2, 3, 29)]
    ramp = [0.3 * math.exp(-5 * (1 - step / 30) ** 2) for step in (3, 29)]
    assert weights == pytest.approx([0, *(ramp if schedule == "ramp" else [0.3, 0.3])])


def test_the_entropy_rule_takes_the_most_certain_share():
    """At the start of the run a fifth of the unlabelled pixels is kept, at its end nine tenths."""
    method = tiny.build(tiny.config(reliability="entropy")).eval()
    batch = tiny.batch()
    outputs = method.forward_networks(batch.images)
    for step, kept in ((0, 0.2), (15, 0.6), (29, 0.9)):
        classes = method.reliable("a", outputs, batch, step)
        assert torch.equal(classes[:2], batch.labels[:, ::2, ::2])
        found = (classes[2:] >= 0).float().mean().item()
        assert kept - 0.01 < found < kept + 0.05  # pixels as uncertain as the last go with it


def test_diagnostics_come_on_the_steps_that_are_logged_and_change_nothing():
    settings = tiny.config(warmup_fraction=0.0)
    every = settings.model_copy(
        update={"journal": settings.journal.model_copy(update={"log_every": 1})}
    )
    sparse, dense = tiny.build(settings), tiny.build(every)
    assert sparse.losses(tiny.batch(), 0).diagnostics == {}
    assert sparse.losses(tiny.batch(), 29).diagnostics != {}  # the last step of the run
    found = dense.losses(tiny.batch(), 0).diagnostics
    assert 0 < found["gradient_share"].item() < 1
    assert all(value.shape == (3,) for key, value in found.items() if key != "gradient_share")
    runs = [tiny.build(which) for which in (settings, every)]
    assert tiny.train(runs[0], 3) == tiny.train(runs[1], 3)
    first, second = (tiny.network_weights(run) for run in runs)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_gradient_share_is_that_of_the_two_terms_at_the_decoder_maps():
    method = tiny.build(tiny.config(warmup_fraction=0.0, weight=0.7)).eval()
    batch, step = tiny.batch(), 29
    share = method.losses(batch, step).diagnostics["gradient_share"].item()

    kept = {}
    forward = method.forward_networks
    method.forward_networks = lambda images: kept.setdefault("out", forward(images))
    total = method.losses(batch, step).total
    features = [output.features for output in kept["out"].values()]
    both = torch.autograd.grad(total, features, retain_graph=True)
    alone = torch.autograd.grad(
        method.co_training(kept["out"], batch, method.moment(batch, step)).total, features
    )
    contrast = torch.stack([(b - a).norm() for a, b in zip(alone, both, strict=True)]).norm()
    rest = torch.stack([a.norm() for a in alone]).norm()
    assert share == pytest.approx((contrast / (contrast + rest)).item(), rel=1e-3)


def test_outside_with_uniform_weights_equals_none():
    """A very high tau_w makes every w_i 1: the loss and its gradient are those of row V."""
    gradients = []
    for values in ({"positiveness": "none"}, {"positiveness": "outside", "tau_w": 1e9}):
        method = tiny.build(tiny.config(warmup_fraction=0.0, weight=5.0, **values)).eval()
        terms = method.losses(tiny.batch(), 10)
        terms.total.backward()
        gradients.append((terms.total.detach(), [p.grad for p in method.parameters()]))
    (total, first), (other, second) = gradients
    torch.testing.assert_close(total, other, rtol=0, atol=1e-6)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("preset", ["literal", "dgcl"])
def test_the_readings_that_are_presets_train(preset):
    small = tiny.config(phi=0.3).model_dump(mode="json", exclude={"preset", "contrast"})
    method = tiny.build(resolve(preset, small | {"contrast": {"warmup_fraction": 0.0}}))
    history = tiny.train(method, 3)
    assert all(math.isfinite(value) for parts in history for value in parts.values())
    assert history[-1]["contrast"] != 0


def test_without_positiveness_its_spread_is_undefined():
    settings = tiny.config(warmup_fraction=0.0, positiveness="none")
    found = tiny.build(settings).losses(tiny.batch(), 29).diagnostics
    assert found["weight_spread"].isnan().all()
    assert found["anchors"].sum() > 0
