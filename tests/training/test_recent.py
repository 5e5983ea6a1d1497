"""The losses since the last record, apart from a run; test_loop.py has what becomes of a run."""

import math

import pytest
import torch

from dacl.methods.base import Terms
from dacl.ranks import ALONE
from dacl.training.recent import Diverged, RecentLosses


def terms(total: float, **parts: float) -> Terms:
    return Terms(torch.tensor(total), {name: torch.tensor(value) for name, value in parts.items()})


def recent(run_dir, *steps: Terms) -> RecentLosses:
    losses = RecentLosses(run_dir)
    for each in steps:
        losses.add(each, ALONE)
    return losses


def test_means_are_taken_once(tmp_path):
    losses = recent(tmp_path, terms(3.0, supervised=1.0), terms(5.0, supervised=2.0))
    assert losses.taken(2) == [4.0, 1.5]
    assert losses.of_steps == []
    losses.add(terms(7.0, supervised=4.0), ALONE)
    assert losses.taken(3) == [7.0, 4.0]


@pytest.mark.parametrize(
    ("broken", "term"),
    [
        (terms(math.nan, supervised=1.0, cross=math.nan), "'cross' is nan"),
        (terms(math.inf, supervised=math.inf, cross=1.0), "'supervised' is inf"),
        (terms(math.nan, supervised=1.0, cross=1.0), "'total' is nan"),
    ],
)
def test_the_first_broken_step_and_its_term_are_named(tmp_path, broken, term):
    fine = terms(1.0, supervised=0.5, cross=0.5)
    losses = recent(tmp_path, fine, broken, fine, broken)
    for look in (losses.require_finite, losses.taken):
        with pytest.raises(Diverged, match=f"not finite at step 8: term {term}"):
            look(10)


def test_the_way_out_names_the_newest_checkpoint_that_is_there(tmp_path):
    losses = recent(tmp_path, terms(math.nan))
    for name in ("best.pt", "latest.pt"):
        (tmp_path / name).touch()
        with pytest.raises(Diverged) as caught:
            losses.require_finite(1)
        assert f"last good checkpoint: {tmp_path / name};" in caught.value.hint


def test_nothing_is_fine(tmp_path):
    assert len(RecentLosses(tmp_path).require_finite(0)) == 0


def test_those_of_a_checkpoint_come_before_the_next(tmp_path):
    losses = RecentLosses(tmp_path)
    losses.restore([torch.tensor([2.0, 1.0])], torch.device("cpu"))
    losses.add(terms(4.0, supervised=3.0), ALONE)
    assert losses.taken(2) == [3.0, 2.0]
