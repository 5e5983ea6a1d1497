"""Eq. 6-8, the draw of members, and the negatives."""

import numpy as np
import torch
from contrast import reference
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from dacl.contrast.selection import (
    ascending,
    class_centre,
    dense_end,
    end_size,
    negatives_from_anchors,
    random_members,
    sparse_end,
    take,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scores(member, source):
    return torch.rand(member.shape[1], generator=source)


def drawn(chosen, n=0):
    return chosen.index_CM[n, chosen.valid_CM[n]].tolist()


@given(seed=st.integers(0, 10_000), cap=st.integers(1, 12), size=st.integers(1, 20))
def test_random_members_are_members_once_each(seed, cap, size):
    member = torch.rand(3, size, generator=generator(seed)) < 0.5
    chosen = random_members(member, cap, scores(member, generator(seed + 1)))
    for n in range(3):
        indices = drawn(chosen, n)
        assert len(set(indices)) == len(indices) == min(cap, int(member[n].sum()))
        assert member[n, indices].all()
        assert chosen.valid_CM[n, : len(indices)].all()  # members stand in front


def test_random_members_are_uniform_and_in_random_order():
    member = torch.tensor([[True, False, True, True, False, True]])
    chosen_count, first_count = np.zeros(6), np.zeros(6)
    shared = generator(3)
    for _ in range(2000):
        indices = drawn(random_members(member, 2, scores(member, shared)))
        chosen_count[indices] += 1
        first_count[indices[0]] += 1
    assert chosen_count[[1, 4]].sum() == 0
    # 5 standard deviations of a binomial with p = 1/2 and p = 1/4
    np.testing.assert_allclose(chosen_count[[0, 2, 3, 5]], 1000, atol=112)
    np.testing.assert_allclose(first_count[[0, 2, 3, 5]], 500, atol=97)


def test_random_members_do_not_depend_on_the_padding():
    """A class draws the same members whether or not a fuller class stands beside it."""
    member = torch.rand(1, 30, generator=generator()) < 0.2
    full = torch.ones(1, 30, dtype=torch.bool)
    alone = random_members(member, 20, scores(member, generator(1)))
    beside = random_members(
        torch.cat([member, full]), 20, scores(torch.cat([member, full]), generator(1))
    )
    assert drawn(alone) == drawn(beside)
    assert beside.index_CM.shape == (2, 20)


def test_without_any_member_nothing_is_valid():
    assert not random_members(torch.zeros(2, 5, dtype=torch.bool), 3, torch.rand(5)).valid_CM.any()


@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    cap=st.integers(1, 6),
    low=st.integers(0, 8),
    high=st.integers(0, 8),
)
def test_both_ends_equal_the_reference(seed, sizes, cap, low, high):
    width = max(*sizes, 1)
    density = torch.rand(len(sizes), width, generator=generator(seed))
    valid = torch.tensor([[i < m for i in range(width)] for m in sizes])
    valid = valid[:, torch.randperm(width, generator=generator(seed + 1))]
    order = ascending(density, valid)
    anchors = sparse_end(order, valid, torch.full((len(sizes),), low), cap)
    keys = dense_end(order, valid, torch.full((len(sizes),), high), cap)
    for n, size in enumerate(sizes):
        place = valid[n].nonzero().flatten()
        values = density[n, place].tolist()
        expected = place[reference.lowest(values, min(low, cap))].tolist()
        assert drawn(anchors, n) == expected
        assert drawn(keys, n) == place[reference.highest(values, min(high, cap))].tolist()
        if min(low, cap) + min(high, cap) <= size:
            assert not set(drawn(anchors, n)) & set(drawn(keys, n))


def test_ends_stay_disjoint_where_all_densities_are_equal():
    density, valid = torch.ones(1, 6), torch.ones(1, 6, dtype=torch.bool)
    order, three = ascending(density, valid), torch.tensor([3])
    together = drawn(sparse_end(order, valid, three, 9)) + drawn(dense_end(order, valid, three, 9))
    assert sorted(together) == list(range(6))


def test_an_end_is_a_share_of_the_reliable_two_at_least_and_half_of_the_drawn_at_most():
    reliable = torch.tensor([1000, 30, 10, 3, 0])
    drawn_units = torch.tensor([400, 30, 10, 3, 0])
    assert end_size(reliable, drawn_units, 0.06).tolist() == [60, 2, 2, 1, 0]
    assert end_size(reliable, drawn_units, 0.5).tolist() == [200, 15, 5, 1, 0]


def test_take_gathers_rows_of_each_class():
    values = torch.arange(12.0).reshape(2, 3, 2)
    found = take(values, torch.tensor([[2, 0], [1, 1]]))
    assert found.tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]


@given(seed=st.integers(0, 10_000), counts=st.lists(st.integers(0, 6), min_size=1, max_size=3))
def test_centre_equals_the_reference(seed, counts):
    keys = normalize(torch.randn(len(counts), 6, 4, generator=generator(seed)), dim=-1)
    valid = torch.tensor([[i < c for i in range(6)] for c in counts])
    found = class_centre(keys.clone().requires_grad_(), valid)
    assert not found.requires_grad
    for n, count in enumerate(counts):
        expected = reference.centre(keys[n, :count].numpy()) if count else np.zeros(4)
        np.testing.assert_allclose(found[n], expected, atol=1e-5)


def negatives(count, anchor_valid=None, background_valid=None, seed=0):
    """Three classes of two anchors 0..5, background 100..102; the number is the whole feature."""
    anchors = torch.arange(6.0).reshape(3, 2, 1).requires_grad_()
    background = torch.tensor([[100.0], [101.0], [102.0]])
    yes = torch.ones(3, 2, dtype=torch.bool) if anchor_valid is None else anchor_valid
    there = torch.ones(3, dtype=torch.bool) if background_valid is None else background_valid
    draws = torch.rand(9, generator=generator(seed))
    scores = draws[:6].reshape(3, 2), draws[6:]
    found = negatives_from_anchors(anchors, yes, background, there, count, *scores)
    assert not found.features_CRD.requires_grad
    return [sorted(found.features_CRD[n, found.valid_CR[n], 0].tolist()) for n in range(3)]


def test_negatives_are_the_other_classes_anchors_and_background():
    assert negatives(99) == [
        [2, 3, 4, 5, 100, 101, 102],
        [0, 1, 4, 5, 100, 101, 102],
        [0, 1, 2, 3, 100, 101, 102],
    ]


def test_absent_anchors_and_background_are_no_negatives():
    anchor_valid = torch.tensor([[True, True], [True, False], [False, False]])
    found = negatives(99, anchor_valid, torch.tensor([True, False, False]))
    assert found == [[2, 100], [0, 1, 100], [0, 1, 2, 100]]
    nobody = torch.zeros(3, 2, dtype=torch.bool)
    assert negatives(99, nobody, torch.zeros(3, dtype=torch.bool)) == [[], [], []]


def test_negatives_are_a_random_subset_of_the_count_asked_for():
    everything = [set(row) for row in negatives(99)]
    seen = [set() for _ in range(3)]
    for seed in range(40):
        for n, row in enumerate(negatives(3, seed=seed)):
            assert len(set(row)) == 3
            assert set(row) <= everything[n]
            seen[n] |= set(row)
    assert seen == everything
