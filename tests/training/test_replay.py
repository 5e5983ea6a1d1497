"""A captured step reads all that changes from its own memory; test_on_a_gpu.py captures real graphs."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from methods import tiny_batch as tiny
from torch import Tensor

from dacl.errors import DaclError
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
    found = trained(name, lambda update: partial(Replayed(lambda: again), update))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_each_kind_of_step_is_captured_once_after_rehearsals(monkeypatch):
    before = []  # of each capture: updates so far

    def learn_of(update: Update) -> Callable[..., Terms]:
        def capture(run: Callable[[], Terms]) -> Callable[[], Terms]:
            before.append(update.calls)
            return run

        return partial(Replayed(lambda: capture), update)

    trained("dacl", learn_of)
    # the contrast begins at step 9; logged are 4, 9, 14, 19: unlogged without it, unlogged with it, logged with it
    assert before == [5, 12, 14]
    before.clear()
    monkeypatch.setattr(replay, "PATIENCE", 3)
    trained("dacl", learn_of)
    assert before == [
        3,
        12,
        14,
    ]  # the logged step 4 is rehearsed late, and the next is another kind's


def test_the_callers_tensors_are_not_kept():
    method = tiny.build(tiny.config("cps"))
    seen = []

    def update(batch: Batch, moment: Moment, lr: float | Tensor) -> Terms:
        seen.append((batch, lr))
        return method.terms(batch, moment)

    learn = partial(Replayed(lambda: again), update)
    for step in range(PATIENCE + 2):
        batch = tiny.batch(step)
        learn(batch, method.moment(batch, 0), 0.1 * step)
    own, lr = seen[-1]
    assert own.images is not batch.images
    assert torch.equal(own.images, batch.images)
    assert own.images is seen[-2][0].images
    assert lr == pytest.approx(0.1 * step)


def test_every_tensor_of_a_step_is_an_input():
    """A new field of Batch or Moment has to be copied as well."""
    batch = tiny.batch()
    moment = tiny.build(tiny.config("dacl")).moment(batch, tiny.config().optim.steps - 1)
    assert moment.logged
    found = []

    def walk(value: object) -> None:
        if isinstance(value, Tensor):
            found.append(value)
        elif is_dataclass(value):
            for field in fields(value):
                walk(getattr(value, field.name))
        elif isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, tuple):
            for each in value:
                walk(each)

    walk(batch)
    walk(moment)
    assert {id(tensor) for tensor in found} == {id(x) for x in replay.tensors_of(batch, moment)}
    copies = [tensor.clone() for tensor in replay.tensors_of(batch, moment)]
    own = replay.with_tensors(batch, moment, iter(copies))
    assert [id(tensor) for tensor in replay.tensors_of(*own)] == [id(copy) for copy in copies]


def test_a_step_of_another_shape_is_refused():
    method = tiny.build(tiny.config("cps"))
    learn = partial(Replayed(lambda: again), lambda batch, moment, _lr: method.terms(batch, moment))
    for _ in range(PATIENCE + 1):
        learn(batch := tiny.batch(), method.moment(batch, 0), 0.1)
    larger = tiny.batch(unlabeled=3)
    with pytest.raises(ValueError, match="of shape"):
        learn(larger, method.moment(larger, 0), 0.1)


def test_what_cannot_be_captured_names_the_way_out(monkeypatch):
    @contextmanager
    def graph(*_args, **_options):
        try:
            yield
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    def run() -> Terms:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "Stream", object)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    with pytest.raises(DaclError, match="not permitted when stream is capturing") as error:
        replay.CudaGraphs()(run)
    assert "cuda_graph=false" in error.value.hint


def test_graphs_that_share_memory_share_a_stream_and_others_do_not(monkeypatch):
    asked = []

    @contextmanager
    def graph(_graph, pool, stream):
        asked.append((pool, stream))
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(pool=lambda: "pool"))
    monkeypatch.setattr(torch.cuda, "Stream", object)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    for _ in range(2):
        capture = replay.CudaGraphs()
        for _ in range(2):
            capture(lambda: Terms(torch.zeros(()), {}))
    pools, streams = zip(*asked, strict=True)
    assert pools == (None, "pool", None, "pool")
    assert streams[0] is streams[1]
    assert streams[2] is streams[3]
    assert streams[0] is not streams[2]


def test_cudnn_tries_its_algorithms_in_rehearsals_alone(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    method = tiny.build(tiny.config("cps"))
    seen = []

    def update(batch: Batch, moment: Moment, lr: float | Tensor) -> Terms:
        seen.append(torch.backends.cudnn.benchmark)
        return method.terms(batch, moment)

    learn = partial(Replayed(lambda: again), update)
    for _ in range(PATIENCE + 1):
        learn(batch := tiny.batch(), method.moment(batch, 0), 0.1)
        assert not torch.backends.cudnn.benchmark
    assert seen == [True] * PATIENCE + [False]
