"""Eq. 2 and its mask T_n."""

import numpy as np
import pytest
import torch
from contrast import reference
from hypothesis import given
from hypothesis import strategies as st

from dacl.contrast.prototypes import (
    UNRELIABLE,
    certain_classes,
    dropped_share,
    masked_average_pool,
    reliable_classes,
)

N = 4


def batch(seed, *, images=3, labeled=1, side=5, sharpness=4.0):
    random = np.random.default_rng(seed)
    logits = sharpness * random.normal(size=(images, N, side, side))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = random.integers(0, N, (labeled, side, side))
    features = random.normal(size=(images, 3, side, side))
    return labels, probs, features


def classes_of(labels, probs, phi):
    return reliable_classes(torch.from_numpy(labels), torch.from_numpy(probs), phi)


@given(seed=st.integers(0, 10_000), labeled=st.integers(0, 3), phi=st.floats(0.3, 0.99))
def test_masks_equal_the_reference(seed, labeled, phi):
    labels, probs, _ = batch(seed, labeled=labeled)
    classes = classes_of(labels, probs, phi).numpy()
    for b in range(3):
        source = {"label_HW": labels[b]} if b < labeled else {"probs_NHW": probs[b]}
        for n in range(N):
            expected = reference.reliability_mask(n, phi, **source)
            np.testing.assert_array_equal(classes[b] == n, expected)


@given(seed=st.integers(0, 10_000), phi=st.floats(0.3, 0.99))
def test_prototypes_equal_the_reference(seed, phi):
    labels, probs, features = batch(seed)
    classes = classes_of(labels, probs, phi)
    pooled_NBD, present_NB = masked_average_pool(torch.from_numpy(features), classes, N)
    for n in range(N):
        for b in range(3):
            expected = reference.prototype((classes[b] == n).numpy(), features[b])
            assert bool(present_NB[n, b]) == (expected is not None)
            if expected is not None:
                np.testing.assert_allclose(pooled_NBD[n, b], expected, rtol=1e-5, atol=1e-6)


def test_pixels_at_or_below_phi_do_not_count():
    probs = torch.tensor([0.9, 0.95, 0.5]).reshape(1, 1, 1, 3)
    probs = torch.cat([1 - probs, probs], dim=1)
    nothing = torch.zeros(0, 1, 3, dtype=torch.long)
    classes = reliable_classes(nothing, probs, 0.9)
    assert classes.tolist() == [[[UNRELIABLE, 1, UNRELIABLE]]]
    features = torch.tensor([[[[5.0, 7.0, 100.0]]]])
    pooled, _ = masked_average_pool(features, classes, 2)
    assert pooled[1, 0].item() == pytest.approx(7.0, rel=1e-5)
    features[..., [0, 2]] = -1e6
    again, _ = masked_average_pool(features, classes, 2)
    assert torch.equal(pooled, again)


def test_labelled_images_use_their_annotation_whatever_the_network_says():
    probs = torch.full((1, 2, 1, 2), 0.5)
    classes = reliable_classes(torch.tensor([[[1, 0]]]), probs, 0.9)
    assert classes.tolist() == [[[1, 0]]]


def test_one_pixel_is_its_own_prototype_and_an_absent_class_is_absent():
    classes = torch.full((1, 4, 4), UNRELIABLE)
    classes[0, 1, 2] = 2
    features = torch.randn(1, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    pooled, present = masked_average_pool(features, classes, N)
    assert present[:, 0].tolist() == [False, False, True, False]
    torch.testing.assert_close(pooled[2, 0], features[0, :, 1, 2], rtol=1e-5, atol=1e-6)
    assert torch.equal(pooled[[0, 1, 3]], torch.zeros(3, 1, 6))


def test_the_denominator_is_the_classs_own_count():
    classes = torch.tensor([[[0, 0, 0, 1]]])
    pooled, _ = masked_average_pool(torch.ones(1, 1, 1, 4), classes, 2)
    torch.testing.assert_close(pooled, torch.ones(2, 1, 1), rtol=1e-5, atol=0)


@given(seed=st.integers(0, 10_000), dropped=st.floats(0, 0.95), labeled=st.integers(0, 2))
def test_the_most_uncertain_share_is_left_out(seed, dropped, labeled):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(3), size=(2 + labeled, 4, 5)).transpose(0, 3, 1, 2)
    labels = torch.from_numpy(rng.integers(0, 3, (labeled, 4, 5)))
    classes = certain_classes(labels, torch.from_numpy(probs), dropped)
    assert torch.equal(classes[:labeled], labels)
    entropies = [
        (-sum(p * np.log(p) for p in probs[b, :, y, x]), b, y, x)
        for b in range(labeled, 2 + labeled)
        for y in range(4)
        for x in range(5)
    ]
    kept = max(int((1 - dropped) * len(entropies)), 1)
    for rank, (_, b, y, x) in enumerate(sorted(entropies)):
        expected = int(probs[b, :, y, x].argmax()) if rank < kept else UNRELIABLE
        assert classes[b, y, x] == expected


def test_without_unlabelled_images_nothing_is_ranked():
    labels = torch.tensor([[[1, 0]]])
    assert torch.equal(certain_classes(labels, torch.rand(1, 3, 1, 2), 0.5), labels)


def test_dgcls_schedule():
    assert [dropped_share(x) for x in (0, 0.5, 0.875, 1)] == pytest.approx([0.8, 0.4, 0.1, 0.1])
