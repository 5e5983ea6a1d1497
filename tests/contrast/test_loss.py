"""Eq. 10."""

import math

import numpy as np
import pytest
import torch
from contrast import reference
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from dacl.contrast.loss import anchor_losses, contrastive_loss


def random_units(seed, *shape):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def loss_of(anchors, centres, negatives, weights, tau, negative_valid=None, active=None):
    valid = torch.ones(negatives.shape[:2], dtype=torch.bool)
    losses = anchor_losses(
        (anchors * centres.unsqueeze(1)).sum(dim=2),
        anchors,
        negatives,
        valid if negative_valid is None else negative_valid,
        tau,
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
