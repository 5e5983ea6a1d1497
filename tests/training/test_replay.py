"""A recorded step reads all that changes from its own memory; test_on_a_gpu.py records real graphs."""

from collections.abc import Callable

import pytest
import torch
from methods import tiny_batch as tiny
from torch import Tensor

from dacl.methods.base import Batch, Method, Moment, Terms
from dacl.training import replay
from dacl.training.replay import PATIENCE, Replayed
from dacl.training.schedule import set_lr


def again(run: Callable[[], Terms]) -> Callable[[], Terms]:
    """What a CUDA graph does: the same work on the same memory, with no argument."""
    return run


class Update:
    """An update as the loop has it."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.optimizer = torch.optim.SGD(method.parameters(), lr=1.0, momentum=0.9)
        self.calls = 0

    def __call__(self, batch: Batch, moment: Moment, lr: float | Tensor) -> Terms:
        self.calls += 1
        set_lr(self.optimizer, lr)
        terms = self.method.terms(batch, moment)
        self.optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        self.optimizer.step()
        self.method.after_step(moment.step)
        return terms


def trained(name: str, learn_of: Callable[[Update], Callable[..., Terms]]) -> list[Tensor]:
    """Everything that 24 steps leave behind, their losses and diagnostics too; every fifth is logged."""
    settings = tiny.config(name, warmup_fraction=0.3)
    settings = settings.model_copy(
        update={"journal": settings.journal.model_copy(update={"log_every": 5})}
    )
    update = Update(tiny.build(settings))
    learn, found = learn_of(update), []
    for step in range(24):
        torch.manual_seed(step)
        batch = tiny.batch(step)
        terms = learn(batch, update.method.moment(batch, step), 0.05 * 0.9**step)
        found += [terms.total.detach().clone(), *(d.clone() for d in terms.diagnostics.values())]
    return [*found, *update.method.state_dict().values()]


@pytest.mark.parametrize("name", ["supervised", "cps", "dacl"])
def test_replayed_steps_are_the_steps(name):
    expected = trained(name, lambda update: update)
    found = trained(name, lambda update: Replayed(update, lambda: again))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_each_kind_of_step_is_recorded_once_after_some_as_they_are(monkeypatch):
    before = []  # of each recording: updates so far

    def learn_of(update: Update) -> Replayed:
        def record(run: Callable[[], Terms]) -> Callable[[], Terms]:
            before.append(update.calls)
            return run

        return Replayed(update, lambda: record)

    trained("dacl", learn_of)
    # the contrast begins at step 9; logged are 4, 9, 14, 19: unlogged without it, unlogged with it, logged with it
    assert before == [5, 12, 14]
    before.clear()
    monkeypatch.setattr(replay, "PATIENCE", 4)
    trained("dacl", learn_of)
    assert before == [4, 5, 12, 14]  # the first logged step comes too late


def test_the_callers_tensors_are_not_kept():
    method = tiny.build(tiny.config("cps"))
    seen = []

    def update(batch: Batch, moment: Moment, lr: float | Tensor) -> Terms:
        seen.append((batch, lr))
        return method.terms(batch, moment)

    learn = Replayed(update, lambda: again)
    for step in range(PATIENCE + 2):
        batch = tiny.batch(step)
        learn(batch, method.moment(batch, 0), 0.1 * step)
    own, lr = seen[-1]
    assert own.images is not batch.images
    assert torch.equal(own.images, batch.images)
    assert own.images is seen[-2][0].images
    assert lr == pytest.approx(0.1 * step)
