"""How long a run will take, by a clock that only steps and validations move."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny
import torch

from dacl.ranks import Ranks
from dacl.training import estimate
from dacl.training.estimate import seconds_left


class Clock:
    """Says what it is set to."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def trainer(data, tmp_path, monkeypatch):
    """A run of 12 steps, validated every 4, of which steps take 100 (the first), 1, 7, 2 s, and a validation 3 s."""
    clock, steps = Clock(), iter([100.0, 1.0, 7.0, 2.0])
    trainer = tiny.trainer_of(data, tmp_path / "run")

    def losses(*_):
        clock.now += next(steps)
        return SimpleNamespace(total=torch.zeros((), requires_grad=True))

    def validate(_method, _dataset, cases, *_):
        assert [case.id for case in cases] == ["p4_frame01"]
        clock.now += 3.0

    monkeypatch.setattr(estimate, "time", clock)
    monkeypatch.setattr(estimate, "validate", validate)
    monkeypatch.setattr(type(trainer.method), "losses", losses)
    return trainer


def estimated(trainer, val_cases, step):
    return seconds_left(
        trainer.method, trainer.feed, trainer.dataset, val_cases, trainer.device, step
    )


@pytest.mark.parametrize(
    ("step", "world", "seconds"),
    [
        (0, 1, 12 * 2 + 3 * 12),
        (2, 1, 10 * 2 + 2.5 * 12),
        (2, 2, 10 * 2 + 2.5 * 6),
        (12, 1, 0),
    ],
)
def test_it_is_the_median_step_and_the_validations_by_their_slices(trainer, step, world, seconds):
    """One volume of two slices takes 3 s, so volumes of two and six slices take 12 s, and half of it among two."""
    first, second = trainer.val_cases
    cases = [first, replace(second, shape_ZHW=(6, *second.shape_ZHW[1:]))]
    trainer.method.ranks = Ranks(world=world)
    assert estimated(trainer, cases, step) == pytest.approx(seconds)


def test_without_validation_cases_it_is_the_steps_alone(trainer):
    assert estimated(trainer, [], 2) == pytest.approx(20)
