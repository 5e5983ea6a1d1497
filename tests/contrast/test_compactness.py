"""Mean resultant length, and the two numbers of a labelled decoder map, against loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dacl.contrast.compactness import compactness, labeled_compactness_and_density
from dacl.seeding import stream


def unit(angle: float) -> list[float]:
    return [math.cos(angle), math.sin(angle)]


def test_worked_examples():
    same, opposite, right_angle = [0.3, 0.3, 0.3], [0, math.pi, 0], [0, math.pi / 2, 0]
    units = torch.tensor([[unit(a) for a in row] for row in (same, opposite, right_angle)])
    valid = torch.tensor([[True, True, True], [True, True, False], [True, True, False]])
    found = compactness(units, valid)
    assert found.tolist() == pytest.approx([1, 0, math.sqrt(0.5)], abs=1e-6)


def test_a_class_without_members_is_undefined_and_one_member_is_compact():
    units = torch.tensor([[unit(1.0), unit(2.0)]] * 2)
    found = compactness(units, torch.tensor([[False, False], [True, False]]))
    assert found[0].isnan()
    assert found[1] == pytest.approx(1)


@given(seed=st.integers(0, 1000), size=st.integers(2, 12))
def test_is_the_mean_cosine_to_the_mean_direction(seed, size):
    rng = np.random.default_rng(seed)
    units = rng.normal(size=(size, 5))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    centre = units.mean(axis=0) / np.linalg.norm(units.mean(axis=0))
    found = compactness(torch.tensor(units[None]), torch.ones(1, size, dtype=torch.bool))
    assert found.item() == pytest.approx(float((units @ centre).mean()), abs=1e-9)


def decoder_map(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 6, 5, 5, generator=generator)
    labels = torch.randint(0, 3, (2, 10, 10), generator=generator)
    return features, labels


def scores(seed: int = 0) -> torch.Tensor:
    return torch.rand(2 * 5 * 5, generator=stream(seed, "test"))


def test_a_labelled_map_equals_the_loop():
    features, labels = decoder_map()
    tightness, density = labeled_compactness_and_density(
        features, labels, scores(), n_classes=4, cap=1000, scales=(2, 4)
    )
    for n in (1, 2):
        own = np.array([
            (features[b, :, y, x] / features[b, :, y, x].norm()).tolist()
            for b in range(2) for y in range(5) for x in range(5) if labels[b, 2 * y, 2 * x] == n
        ])  # fmt: skip
        assert tightness[n - 1] == pytest.approx(np.linalg.norm(own.mean(axis=0)), abs=1e-5)
        each = []
        for i, v in enumerate(own):
            cosines = sorted((float(v @ w) for j, w in enumerate(own) if j != i), reverse=True)
            each.append(np.mean([np.mean(cosines[:k]) for k in (2, 4)]))
        assert density[n - 1] == pytest.approx(np.mean(each), abs=1e-5)
    assert tightness[2].isnan()
    assert density[2].isnan()


def test_one_pixel_has_no_density():
    features, labels = decoder_map()
    labels[:] = 0
    labels[0, 0, 0] = 1
    tightness, density = labeled_compactness_and_density(
        features, labels, scores(), n_classes=2, cap=10, scales=(2,)
    )
    assert tightness[0] == pytest.approx(1)
    assert density[0].isnan()


def test_the_cap_draws_that_many_and_the_same_for_a_seed():
    features, labels = decoder_map(3)
    options = {"n_classes": 3, "cap": 4, "scales": (2,)}
    first, again, other = (
        labeled_compactness_and_density(features, labels, scores(seed), **options)[0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
