"""Eq. 10."""

import math

import numpy as np
import pytest
import torch
from contrast import reference
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from dacl.contrast.loss import anchor_losses, contrastive_loss, log_negative_mass
from dacl.contrast.positiveness import log_positiveness


def random_units(seed, *shape):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def loss_of(anchors, centres, negatives, weights, tau, negative_valid=None, active=None):
    valid = torch.ones(negatives.shape[:2], dtype=torch.bool)
    mass = log_negative_mass(
        anchors, negatives, valid if negative_valid is None else negative_valid, tau
    )
    logits = (anchors * centres.unsqueeze(1)).sum(dim=2) / tau
    losses, _ = anchor_losses(
        logits, mass, torch.zeros_like(logits), torch.ones_like(logits).bool()
    )
    active = torch.ones(len(anchors), dtype=torch.bool) if active is None else active
    return contrastive_loss(losses, weights, active)


@given(
    seed=st.integers(0, 10_000),
    negatives=st.integers(1, 6),
    tau=st.floats(0.05, 1),
    identical=st.booleans(),
)
def test_equals_the_reference(seed, negatives, tau, identical):
    classes = 2
    anchors, centres = random_units(seed, classes, 4, 3), random_units(seed + 1, classes, 3)
    if identical:
        anchors = anchors[:, :1].expand(-1, 4, -1)
    out = random_units(seed + 2, classes, 6, 3)
    valid = torch.arange(6).expand(classes, 6) < negatives
    weights = torch.rand(classes, 4, generator=torch.Generator().manual_seed(seed)) + 0.1
    found = loss_of(anchors, centres, out, weights, tau, valid)
    expected = [
        reference.class_loss(
            anchors[n].numpy(),
            centres[n].numpy(),
            out[n, :negatives].numpy(),
            weights[n].tolist(),
            tau,
        )
        for n in range(classes)
    ]
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-4, abs=1e-6)


def test_padding_anchors_and_inactive_classes_do_not_count():
    anchors, centres, out = (
        random_units(0, 2, 4, 3),
        random_units(1, 2, 3),
        random_units(2, 2, 5, 3),
    )
    weights = torch.tensor([[1.0, 2.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    active = torch.tensor([True, False])
    found = loss_of(anchors, centres, out, weights, 0.4, active=active)
    alone = loss_of(anchors[:1, :2], centres[:1], out[:1], weights[:1, :2], 0.4)
    torch.testing.assert_close(found, alone)


def test_uniform_weights_of_any_size_are_the_plain_mean():
    anchors, centres, out = (
        random_units(0, 2, 4, 3),
        random_units(1, 2, 3),
        random_units(2, 2, 5, 3),
    )
    ones = torch.ones(2, 4)
    torch.testing.assert_close(
        loss_of(anchors, centres, out, 7 * ones, 0.4), loss_of(anchors, centres, out, ones, 0.4)
    )


def test_orthogonal_features_by_hand():
    """Cosine 1 to the centre, 0 to three negatives: -log(e^(1/tau) / (e^(1/tau) + 3))."""
    anchor = torch.tensor([[[1.0, 0.0]]])
    out = torch.tensor([[[0.0, 1.0]] * 3])
    found = loss_of(anchor, anchor[:, 0], out, torch.ones(1, 1), 0.4)
    assert found.item() == pytest.approx(math.log1p(3 * math.exp(-2.5)), rel=1e-5)


@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_the_scale_of_features_before_normalisation_does_not_matter(seed, scale):
    features = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(seed))
    centres, out = random_units(seed + 1, 1, 3), random_units(seed + 2, 1, 5, 3)
    first, second = (
        loss_of(normalize(f, dim=-1), centres, out, torch.ones(1, 4), 0.4)
        for f in (features, scale * features)
    )
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_no_active_class_gives_zero_with_a_graph(weight):
    anchors = torch.zeros(2, 3, 4, requires_grad=True)
    loss = loss_of(
        anchors,
        torch.zeros(2, 4),
        torch.zeros(2, 5, 4),
        torch.full((2, 3), weight),
        0.4,
        negative_valid=torch.zeros(2, 5, dtype=torch.bool),
        active=torch.zeros(2, dtype=torch.bool),
    )
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(anchors.grad, torch.zeros_like(anchors))


def test_a_tiny_temperature_neither_overflows_nor_stops_the_gradient():
    anchors = random_units(0, 1, 4, 3).requires_grad_()
    centre = -anchors.detach()[:, 0]
    loss = loss_of(anchors, centre, anchors.detach(), torch.ones(1, 4), 1e-3)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(anchors.grad).all()
    assert anchors.grad.abs().sum() > 0


READINGS = ("none", "outside", "inside_attached", "inside_denominator", "claim1")


def case(seed, sizes, *, spread=1.0):
    """Logits with gradient, the mass of the negatives, log w at tau_w = tau, and which anchors exist."""
    generator = torch.Generator().manual_seed(seed)
    width = max(*sizes, 1)
    cosine = (torch.rand(len(sizes), width, generator=generator) * 2 - 1) * spread
    valid = torch.arange(width) < torch.tensor(sizes).unsqueeze(1)
    cosine.requires_grad_()
    mass = torch.rand(len(sizes), width, generator=generator) + math.log(512)
    return cosine, mass, log_positiveness(cosine, valid, 0.4), valid


def gradient(reading, cosine, mass, log_w, valid, *, decoupled=False, tau=0.4):
    losses, weights = anchor_losses(cosine / tau, mass, log_w, valid, reading, decoupled=decoupled)
    active = valid.any(dim=1)
    return torch.autograd.grad(
        contrastive_loss(losses, weights, active), cosine, retain_graph=True
    )[0]


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("reading", READINGS)
@given(seed=st.integers(0, 10_000), tau=st.floats(0.1, 1), tau_w=st.floats(0.1, 1))
def test_every_reading_equals_the_reference(reading, decoupled, seed, tau, tau_w):
    anchors, centre, out = (
        random_units(seed, 1, 5, 3),
        random_units(seed + 1, 1, 3),
        random_units(seed + 2, 1, 4, 3),
    )
    cosine = (anchors * centre.unsqueeze(1)).sum(dim=2)
    valid = torch.ones(1, 5, dtype=torch.bool)
    mass = log_negative_mass(anchors, out, torch.ones(1, 4, dtype=torch.bool), tau)
    losses, weights = anchor_losses(
        cosine / tau, mass, log_positiveness(cosine, valid, tau_w), valid, reading,
        decoupled=decoupled,
    )  # fmt: skip
    expected, factors = reference.anchor_losses(
        anchors[0].numpy(), centre[0].numpy(), out[0].numpy(), tau, tau_w, reading,
        decoupled=decoupled,
    )  # fmt: skip
    np.testing.assert_allclose(losses[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weights[0], factors, rtol=1e-4)


@given(seed=st.integers(0, 10_000), sizes=st.lists(st.integers(0, 6), min_size=1, max_size=3))
def test_eq_10_as_printed_with_a_constant_w_has_the_gradient_of_no_w_at_all(seed, sizes):
    """log(w e^a / Z) = log w + log(e^a / Z): the finding of docs/positiveness.md."""
    for decoupled in (False, True):
        cosine, mass, log_w, valid = case(seed, sizes)
        printed = gradient(
            "inside_attached", cosine, mass, log_w.detach(), valid, decoupled=decoupled
        )
        plain = gradient("none", cosine, mass, log_w, valid, decoupled=decoupled)
        assert torch.equal(printed, plain)


@given(seed=st.integers(0, 10_000), sizes=st.lists(st.integers(0, 6), min_size=1, max_size=3))
def test_outside_with_uniform_weights_is_no_weight(seed, sizes):
    cosine, mass, log_w, valid = case(seed, sizes)
    uniform = torch.zeros_like(log_w)
    torch.testing.assert_close(
        gradient("outside", cosine, mass, uniform, valid),
        gradient("none", cosine, mass, log_w, valid),
        rtol=0,
        atol=1e-6,
    )


@given(seed=st.integers(0, 10_000), size=st.integers(2, 6))
def test_outside_scales_each_anchors_gradient_by_its_weight(seed, size):
    cosine, mass, log_w, valid = case(seed, [size])
    torch.testing.assert_close(
        gradient("outside", cosine, mass, log_w, valid),
        gradient("none", cosine, mass, log_w, valid) * log_w.detach().exp(),
        rtol=1e-4,
        atol=1e-7,
    )


@given(seed=st.integers(0, 10_000), size=st.integers(2, 6))
def test_inside_and_differentiable_it_only_evens_the_cosines_out(seed, size):
    """Its extra gradient sums to zero, pulls anchors beyond the soft mean and pushes the nearer ones away."""
    cosine, mass, log_w, valid = case(seed, [size])
    extra = gradient("inside_attached", cosine, mass, log_w, valid) - gradient(
        "none", cosine, mass, log_w, valid
    )
    assert extra.sum().item() == pytest.approx(0, abs=1e-5)
    share = log_w.detach().exp() / size
    expected = (size * share - 1) / size / 0.4
    torch.testing.assert_close(extra, expected, rtol=1e-3, atol=1e-5)


def test_in_the_denominator_among_512_negatives_it_does_almost_nothing():
    """And what it does favours the farther anchors: a nearer one's positive is a larger part of its denominator."""
    cosine = torch.linspace(-0.2, 0.9, 40).unsqueeze(0).requires_grad_()
    valid = torch.ones(1, 40, dtype=torch.bool)
    mass = torch.full((1, 40), math.log(512))
    found = gradient(
        "inside_denominator", cosine, mass, log_positiveness(cosine, valid, 0.4), valid
    )
    plain = gradient("none", cosine, mass, log_positiveness(cosine, valid, 0.4), valid)
    ratio = (found / plain)[0]
    assert (ratio - 1).abs().max().item() < 0.05
    assert ratio[0] > 1 > ratio[-1]


def test_claim_1_is_the_minimum_of_its_own_loss():
    """s_i* = w_i / sum w: descending the loss of fixed weights, the softmax over the anchors arrives there."""
    torch.manual_seed(0)
    logits = torch.randn(1, 6, requires_grad=True)
    valid = torch.ones(1, 6, dtype=torch.bool)
    log_w = log_positiveness(torch.rand(1, 6) * 2 - 1, valid, 0.4)
    optimizer = torch.optim.SGD([logits], lr=1.0)
    for _ in range(2000):
        losses, weights = anchor_losses(logits, torch.zeros(1, 6), log_w, valid, "claim1")
        optimizer.zero_grad()
        contrastive_loss(losses, weights, torch.ones(1, dtype=torch.bool)).backward()
        optimizer.step()
    torch.testing.assert_close(
        logits.detach().softmax(dim=1), log_w.exp() / log_w.exp().sum(), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("reading", ["none", "outside", "inside_attached", "inside_denominator"])
def test_claim_1_does_not_hold_for_eq_10(reading):
    """Where s_i = w_i / sum w the loss over negatives has no minimum: unless w is differentiable, all are pulled on."""
    _, mass, log_w, valid = case(3, [6])
    at_claim = (log_w.detach() * 0.4).requires_grad_()  # softmax of it / tau is w / sum w
    pull = gradient(reading, at_claim, mass, log_positiveness(at_claim, valid, 0.4), valid)
    assert pull.abs().min().item() > 1e-3
    assert (pull < 0).all() == (reading != "inside_attached")


@given(seed=st.integers(0, 10_000), sizes=st.lists(st.integers(0, 6), min_size=1, max_size=3))
def test_claim_1_has_no_gradient_when_w_comes_from_the_same_logits(seed, sizes):
    cosine, mass, log_w, valid = case(seed, sizes)
    assert gradient("claim1", cosine, mass, log_w, valid).abs().max().item() < 1e-6
    hotter = gradient("claim1", cosine, mass, log_w, valid, tau=1.0)
    assert (hotter.abs().sum() > 1e-6) == any(size > 1 for size in sizes)


def test_claim_1_sharpened_pulls_the_near_anchors_and_pushes_the_far_ones():
    cosine = torch.linspace(-0.2, 0.9, 20).unsqueeze(0).requires_grad_()
    valid = torch.ones(1, 20, dtype=torch.bool)
    log_w = log_positiveness(cosine, valid, 0.2)
    found = gradient("claim1", cosine, torch.zeros(1, 20), log_w, valid)[0]
    assert found[-1] < 0 < found[0]


def test_inside_the_denominator_and_decoupled_is_no_weight():
    cosine, mass, log_w, valid = case(5, [6])
    found, plain = (
        gradient(reading, cosine, mass, log_w, valid, decoupled=True)
        for reading in ("inside_denominator", "none")
    )
    assert torch.equal(found, plain)


def test_the_sum_of_eq_10_is_the_mean_times_what_was_summed():
    cosine, mass, log_w, valid = case(0, [4, 4])
    losses, weights = anchor_losses(cosine, mass, log_w, valid)
    active = torch.tensor([True, True])
    total, mean = (contrastive_loss(losses, weights, active, how) for how in ("sum", "mean"))
    assert total.item() == pytest.approx(8 * mean.item())
    only = contrastive_loss(losses, weights, torch.tensor([True, False]), "sum")
    assert only.item() == pytest.approx(losses[0].sum().item())
