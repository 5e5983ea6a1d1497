"""Eq. 9."""

import numpy as np
import torch
from contrast import reference
from hypothesis import given
from hypothesis import strategies as st

from dacl.contrast.positiveness import log_positiveness

SIZES = st.lists(st.integers(0, 7), min_size=1, max_size=3)


def positiveness(cosine, valid, tau_w):
    return log_positiveness(cosine, valid, tau_w).exp() * valid


def case(seed, sizes):
    cosine = torch.rand(len(sizes), 7, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return cosine, torch.tensor([[i < size for i in range(7)] for size in sizes])


@given(seed=st.integers(0, 10_000), sizes=SIZES, tau_w=st.floats(0.05, 2))
def test_equals_the_reference(seed, sizes, tau_w):
    cosine, valid = case(seed, sizes)
    weights = positiveness(cosine, valid, tau_w)
    for n, size in enumerate(sizes):
        expected = reference.positiveness(cosine[n, :size].tolist(), tau_w)
        np.testing.assert_allclose(weights[n, :size], expected, rtol=1e-4, atol=1e-6)
        assert not weights[n, size:].any()


@given(seed=st.integers(0, 10_000), sizes=SIZES)
def test_the_mean_over_the_anchors_is_one(seed, sizes):
    cosine, valid = case(seed, sizes)
    weights = positiveness(cosine, valid, 0.4)
    torch.testing.assert_close(weights.sum(dim=1), valid.sum(dim=1).float(), rtol=1e-5, atol=1e-5)


def test_equal_cosines_weigh_one_and_nearer_anchors_weigh_more():
    cosine = torch.tensor([[0.3, 0.3, 0.3], [0.9, 0.1, -0.5]])
    weights = positiveness(cosine, torch.ones(2, 3, dtype=torch.bool), 0.4)
    torch.testing.assert_close(weights[0], torch.ones(3))
    assert weights[1, 0] > 1 > weights[1, 1] > weights[1, 2] > 0


def test_a_class_without_anchors_and_one_anchor():
    weights = positiveness(
        torch.tensor([[0.5, 0.5], [0.5, 0.5]]), torch.tensor([[False, False], [True, False]]), 0.4
    )
    assert weights.tolist() == [[0, 0], [1, 0]]


def test_padding_and_a_class_without_anchors_have_finite_gradients():
    cosine = torch.zeros(2, 3, requires_grad=True)
    valid = torch.tensor([[True, True, False], [False, False, False]])
    log_positiveness(cosine, valid, 0.4).sum().backward()
    assert torch.isfinite(cosine.grad).all()
    assert not cosine.grad[~valid].any()
