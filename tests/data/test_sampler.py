"""Endless shuffles whose batches are functions of the step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dacl.data.sampler import ShuffledStream


@given(size=st.integers(1, 12), batch=st.integers(1, 30), epochs=st.integers(1, 3))
def test_each_epoch_covers_each_item_once(size, batch, epochs):
    """Also where a batch is larger than the list, or spans two epochs."""
    stream = ShuffledStream(size, batch, 0, "labeled")
    steps = -(-size * epochs // batch)
    drawn = torch.cat([stream.at(step) for step in range(steps)]).tolist()
    for epoch in range(epochs):
        assert sorted(drawn[epoch * size : (epoch + 1) * size]) == list(range(size))


@pytest.mark.parametrize(("size", "batch"), [(7, 3), (3, 8)])
def test_a_batch_is_a_function_of_the_step_alone(size, batch):
    """In any order, again, and from a fresh stream."""
    forward = ShuffledStream(size, batch, 5, "unlabeled")
    batches = [forward.at(step).tolist() for step in range(9)]
    backward = ShuffledStream(size, batch, 5, "unlabeled")
    assert [backward.at(step).tolist() for step in reversed(range(9))] == batches[::-1]
    assert ShuffledStream(size, batch, 5, "unlabeled").at(6).tolist() == batches[6]


def test_epochs_and_keys_differ():
    def first(*key):
        return ShuffledStream(50, 50, *key).at(0).tolist()

    stream = ShuffledStream(50, 50, 0, "labeled")
    assert stream.at(0).tolist() != stream.at(1).tolist()
    assert first(0, "labeled") != first(0, "unlabeled")
    assert first(0, "labeled") != first(1, "labeled")
