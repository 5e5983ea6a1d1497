"""Eq. 3-5."""

import numpy as np
import pytest
import torch
from contrast import reference
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

import dacl.contrast.density as module
from dacl.contrast.density import multiscale_density


def unit_rows(seed, *shape, spread=None):
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    if spread is not None:
        rows = spread * rows + torch.ones(shape[-1])
    return normalize(rows, dim=-1)


def density(batch_MD, bank_GD=None, scales=(8, 16, 32)):
    """Of one class, the bank in front as the method has it."""
    bank_GD = batch_MD[:0] if bank_GD is None else bank_GD
    candidates = torch.cat([bank_GD, batch_MD])[None]
    valid = torch.ones(candidates.shape[:2], dtype=torch.bool)
    return multiscale_density(batch_MD[None], candidates, valid, scales, self_offset=len(bank_GD))[
        0
    ]


@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5)), min_size=1, max_size=3),
    scales=st.sampled_from([(1,), (2, 3), (1, 4, 20)]),
)
def test_equals_the_reference_with_padding_everywhere(seed, sizes, scales):
    """Classes of different sizes; bank not full, empty or off; units stand anywhere in the row."""
    most, longest = max(m for m, _ in sizes), max(g for _, g in sizes)
    units = unit_rows(seed, len(sizes), max(most, 1), 3)
    bank = unit_rows(seed + 1, len(sizes), longest, 3)
    order = np.random.default_rng(seed).permutation(max(most, 1))
    valid = torch.tensor([[bool(order[i] < m) for i in range(max(most, 1))] for m, _ in sizes])
    bank_valid = torch.tensor([[i < g for i in range(longest)] for _, g in sizes], dtype=torch.bool)
    bank_valid = bank_valid.reshape(len(sizes), longest)
    units = units * valid.unsqueeze(-1)
    found = multiscale_density(
        units,
        torch.cat([bank, units], dim=1),
        torch.cat([bank_valid, valid], dim=1),
        scales,
        self_offset=longest,
    )
    for c in range(len(sizes)):
        batch = list(units[c, valid[c]].numpy())
        expected = reference.densities(batch, list(bank[c, bank_valid[c]].numpy()), scales)
        np.testing.assert_allclose(found[c, valid[c]], expected, atol=1e-5)
    assert torch.isfinite(found[valid]).all()


def test_blocks_of_rows_make_no_difference(monkeypatch):
    batch, bank = unit_rows(0, 23, 5), unit_rows(1, 9, 5)
    whole = density(batch, bank)
    monkeypatch.setattr(module, "ROWS", 4)
    torch.testing.assert_close(density(batch, bank), whole, rtol=0, atol=1e-6)


@given(seed=st.integers(0, 10_000), members=st.integers(1, 60), bank=st.integers(0, 20))
def test_lies_between_minus_one_and_one(seed, members, bank):
    found = density(unit_rows(seed, members, 4), unit_rows(seed + 1, bank, 4))
    assert found.abs().max() <= 1 + 1e-5


@given(seed=st.integers(0, 10_000), copies=st.integers(2, 40))
def test_duplicates_have_density_one(seed, copies):
    torch.testing.assert_close(
        density(unit_rows(seed, 1, 8).repeat(copies, 1)), torch.ones(copies), rtol=0, atol=1e-5
    )


@given(seed=st.integers(0, 10_000))
def test_a_tight_cluster_is_denser_than_a_spread_one(seed):
    tight, spread = unit_rows(seed, 40, 8, spread=0.05), unit_rows(seed, 40, 8, spread=1.0)
    assert density(tight).min() > density(spread).max()


@given(seed=st.integers(0, 10_000), members=st.integers(2, 40))
def test_multi_scale_is_the_mean_of_the_single_scales(seed, members):
    batch = unit_rows(seed, members, 6)
    single = torch.stack([density(batch, scales=(k,)) for k in (8, 16, 32)])
    torch.testing.assert_close(density(batch), single.mean(dim=0), rtol=0, atol=1e-5)


def test_a_feature_is_not_its_own_neighbour():
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert density(opposite, scales=(1,)).tolist() == [-1.0, -1.0]


def test_a_singleton_without_a_bank_has_density_zero():
    assert density(unit_rows(0, 1, 4)).tolist() == [0.0]


def test_units_outside_the_candidates_keep_all_of_them():
    row = torch.tensor([[[1.0, 0.0]]])
    valid = torch.ones(1, 1, dtype=torch.bool)
    assert multiscale_density(row, row, valid, (1,)).item() == pytest.approx(1.0)


def test_no_gradient_flows_through_it():
    assert not density(unit_rows(0, 4, 3).requires_grad_()).requires_grad


@pytest.mark.parametrize("self_offset", [None, 300])
def test_fixed_shapes_give_the_densities_of_classes_at_their_own_size(self_offset):
    """13 organs, most of them small, one absent, and a bank that not every class has filled."""
    sizes, filled = [1100, 0, 1, 40, 128, 129, 700, *[25] * 6], [300, 300, 0, 12, *[300] * 9]
    units, bank = unit_rows(0, 13, 1100, 64), unit_rows(1, 13, 300, 64)
    valid = torch.arange(1100) < torch.tensor(sizes)[:, None]
    valid = valid[:, torch.randperm(1100, generator=torch.Generator().manual_seed(0))]
    bank_valid = torch.arange(300) < torch.tensor(filled)[:, None]
    candidates, there = torch.cat([bank, units], dim=1), torch.cat([bank_valid, valid], dim=1)
    scales = (8, 16, 32)
    own_M = None if self_offset is None else torch.arange(300, 1400)
    fixed = module._nearest_means(units, candidates, there, own_M, scales)
    own = multiscale_density(
        units, candidates, there, scales, self_offset=self_offset, valid_CM=valid
    )
    torch.testing.assert_close(own[valid], fixed[valid], rtol=0, atol=1e-6)
    assert not own[~valid].any(), "the padding is left out"


def assert_largest(values: torch.Tensor, k: int) -> None:
    expected = values.topk(k, dim=2).values  # first: the other may reorder
    assert torch.equal(module.largest_sorted(values, k), expected)


@given(
    seed=st.integers(0, 10_000),
    columns=st.integers(1, 700),
    k=st.integers(1, 20),
    steps=st.integers(1, 6),
)
def test_the_largest_are_those_of_topk(seed, columns, k, steps):
    """Also where many are equal, and where fewer exist than are asked for."""
    k = min(k, columns)
    values = torch.randn(2, 3, columns, generator=torch.Generator().manual_seed(seed))
    values = (values * steps).round() / steps
    values[0, 0, : columns // 2] = -torch.inf
    assert_largest(values, k)


@given(
    seed=st.integers(0, 10_000),
    columns=st.integers(1, 600),
    k=st.integers(1, 20),
    erased=st.floats(0, 1),
)
def test_the_largest_of_numbers_that_all_differ_are_those_of_topk(seed, columns, k, erased):
    """Where groups of columns are left out; some columns are -inf, as a unit's own is."""
    k = min(k, columns)
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(2, 5, columns, generator=generator)
    values[torch.rand(values.shape, generator=generator) < erased * 0.5] = -torch.inf
    assert_largest(values, k)


@pytest.mark.parametrize(
    ("columns", "k", "left"),
    [
        (2024, 32, 32 * 8),
        (100, 10, 10 * 3 + 1),
        (30, 20, 30),
    ],  # groups of 8, of 3 with one over, of 1
)
def test_most_columns_are_out_of_the_question(columns, k, left):
    values = torch.rand(4, columns, generator=torch.Generator().manual_seed(0))
    eligible = module._eligible(values, k)
    assert eligible.shape == (4, left)
    assert torch.equal(eligible.topk(k).values, values.topk(k).values)


def test_equal_maxima_and_nan_leave_all_columns():
    values = torch.zeros(4, 500)
    assert module._eligible(values, 5).shape == values.shape
    values = torch.rand(4, 500)
    values[1, 3] = torch.nan
    assert module._eligible(values, 5).shape == values.shape
