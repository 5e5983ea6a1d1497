"""Streams are functions of their key."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from dacl.seeding import stream, stream_seed

KEYS = st.lists(st.one_of(st.integers(0, 99), st.text("abc", min_size=1)), min_size=1, max_size=4)


@given(key=KEYS)
def test_the_same_key_draws_the_same(key):
    assert torch.equal(torch.rand(3, generator=stream(*key)), torch.rand(3, generator=stream(*key)))
    assert 0 <= stream_seed(*key) < 2**63


@given(first=KEYS, second=KEYS)
def test_another_key_draws_something_else(first, second):
    if list(map(str, first)) != list(map(str, second)):
        assert stream_seed(*first) != stream_seed(*second)


def test_seeds_stay_what_they_were():
    """A change here would change every published run."""
    assert stream_seed(0, "network", "a") == 6314835796085419520


def test_a_stream_neither_reads_nor_moves_the_global_one():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = torch.rand(3, generator=stream(1, "x"))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(7)
    assert torch.equal(first, torch.rand(3, generator=stream(1, "x")))
