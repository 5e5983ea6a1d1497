"""Drawing ahead; on a GPU see test_on_a_gpu.py."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from dacl.methods.base import Batch, Moment
from dacl.training import ahead
from dacl.training.ahead import Ahead


class Drawn:
    """What was asked for, in order, as (what, step) with the stream it was asked on."""

    def __init__(self) -> None:
        self.stream = "computing"
        self.asked: list[tuple[str, int, str]] = []

    def batch(self, step: int) -> Batch:
        self.asked.append(("batch", step, self.stream))
        return Batch(torch.full((1, 1, 2, 2), float(step)), torch.zeros(1, 2, 2, dtype=torch.long))

    def moment(self, batch: Batch, step: int) -> Moment:
        assert batch.images[0, 0, 0, 0] == step
        self.asked.append(("moment", step, self.stream))
        return Moment(step, {})


def steps_of(drawn: tuple[Batch, Moment]) -> tuple[float, int]:
    """That of the batch and that of the moment."""
    batch, moment = drawn
    return batch.images[0, 0, 0, 0].item(), moment.step


def test_on_a_cpu_nothing_is_drawn_before_it_is_asked_for():
    drawn = Drawn()
    draw = Ahead(drawn.batch, drawn.moment, torch.device("cpu"))
    for step in range(2):
        assert steps_of(draw(step)) == (step, step)
        draw.prepare(step + 1)
        assert drawn.asked[-1][1] == step


@pytest.fixture
def gpu(monkeypatch):
    """A GPU's streams in name: which is current, what waits for what, and whose memory is in use where."""
    drawn, seen = Drawn(), []
    tensor = SimpleNamespace(record_stream=lambda stream: seen.append(("in use on", stream)))
    computing = SimpleNamespace(wait_stream=lambda stream: seen.append(("waits for", stream)))

    @contextmanager
    def current(stream):
        before, drawn.stream = drawn.stream, stream
        yield
        drawn.stream = before

    own = SimpleNamespace(device="cuda")
    monkeypatch.setattr(torch.cuda, "Stream", lambda _device: own)
    monkeypatch.setattr(torch.cuda, "stream", current)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: computing)
    monkeypatch.setattr(ahead, "tensors_of", lambda *_drawn: [tensor])
    return SimpleNamespace(drawn=drawn, seen=seen, own=own, computing=computing)


def test_on_a_gpu_the_next_step_is_drawn_on_a_stream_of_its_own_and_once(gpu):
    draw = Ahead(gpu.drawn.batch, gpu.drawn.moment, torch.device("cuda"))
    draw(0)
    draw.prepare(1)
    assert gpu.drawn.asked[2:] == [("batch", 1, gpu.own), ("moment", 1, gpu.own)]
    gpu.seen.clear()
    assert steps_of(draw(1)) == (1, 1)
    assert len(gpu.drawn.asked) == 4
    assert gpu.seen == [("waits for", gpu.own), ("in use on", gpu.computing)]


def test_another_step_than_the_prepared_one_is_drawn_anew(gpu):
    draw = Ahead(gpu.drawn.batch, gpu.drawn.moment, torch.device("cuda"))
    draw.prepare(1)
    assert steps_of(draw(5)) == (5, 5)
    assert steps_of(draw(1)) == (1, 1)
    assert [step for what, step, _ in gpu.drawn.asked if what == "batch"] == [1, 5, 1]
