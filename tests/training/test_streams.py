"""Dropout's random numbers: how they begin, and where a checkpoint takes them up."""

import pytest
import torch

from dacl.ranks import ALONE, Ranks
from dacl.training import streams

CPU, MPS = torch.device("cpu"), torch.device("mps")


def drawn(ranks=ALONE, step=0, saved=None):
    with torch.random.fork_rng(devices=[]):
        streams.begin(CPU, ranks, 5, step, saved)
        return torch.rand(3).tolist()


def test_they_differ_between_ranks_and_are_the_runs_own_on_the_first():
    assert len({tuple(drawn(Ranks(rank, 3))) for rank in range(3)}) == 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        assert drawn(Ranks(0, 3)) == drawn() == torch.rand(3).tolist()


def test_what_was_drawn_at_the_beginning_is_not_drawn_again_elsewhere():
    """A run that goes on where its checkpoint holds no stream of the device."""
    assert drawn(step=400) not in (drawn(), drawn(step=200))


def test_a_saved_stream_goes_on():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        saved = streams.states(CPU)
        expected = torch.rand(3).tolist()
    assert saved.keys() == {"cpu"}
    assert drawn(step=400, saved=saved) == expected
    assert drawn(step=400, saved=saved | {"cuda": torch.zeros(3)}) == expected, "of another device"


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="replaced by a made one")
def test_the_stream_of_an_apple_gpu_is_kept_as_well(monkeypatch):
    told = []
    state = torch.arange(4, dtype=torch.uint8)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: state)
    monkeypatch.setattr(torch.mps, "set_rng_state", told.append)
    with torch.random.fork_rng(devices=[]):
        saved = streams.states(MPS)
        streams.begin(MPS, ALONE, 5, 400, saved)
    assert told == [state]
