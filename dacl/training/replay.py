"""A step on a GPU as one CUDA graph: one launch in place of its two thousand.

A graph replays the same kernels on the same memory. What changes from step to step (batch, random numbers, weights of
the losses, learning rate) is copied into the memory that the graph reads; a kind of step that runs other kernels
(logged, or without the contrast) is a graph of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dacl.methods.base import Batch, Moment, Terms

Update = Callable[[Batch, Moment, float | Tensor], Terms]
"""Losses, gradients, new weights: of a batch, a moment, and a learning rate."""

Record = Callable[[Callable[[], Terms]], Callable[[], Terms]]
"""Turns work into its replay."""

AS_IT_IS = 3
"""Steps before anything is recorded: they choose algorithms and allocate what stays. One of them is a logged one, """
PATIENCE = 100
"""unless none comes within so many steps: beside a graph, a step as it is needs its memory a second time."""


class Replayed:
    """An update that is recorded and from then on replayed, logged steps by a graph of their own.

    Args:
        update: looks at no value on the device, and depends on nothing that changes but its arguments and the weights.
        recorder: makes what records; by default CUDA graphs that share their memory.
    """

    def __init__(self, update: Update, recorder: Callable[[], Record] | None = None) -> None:
        self._update = update
        self._recorder = recorder or CudaGraphs
        self._begin(frozenset())

    def __call__(self, batch: Batch, moment: Moment, lr: float) -> Terms:
        """One update. What it returns is overwritten by the next."""
        if moment.idle != self._idle:
            self._begin(moment.idle)
        recorded = self._recorded.get(moment.logged)
        if recorded is None:
            with _algorithms_tried():
                if not self._rehearsed():
                    self._steps += 1
                    self._logged |= moment.logged
                    return self._update(batch, moment, lr)
                recorded = _Recorded(self._update, self._record, batch, moment)
            self._recorded[moment.logged] = recorded
        return recorded(batch, moment, lr)

    def _begin(self, idle: frozenset[str]) -> None:
        """Other kernels run from here on: the graphs before will not be asked for again."""
        self._idle = idle
        self._steps, self._logged = 0, False
        self._record = self._recorder()
        self._recorded: dict[bool, _Recorded] = {}
        torch.cuda.empty_cache()  # else their memory would be held beside that of the steps to come

    def _rehearsed(self) -> bool:
        return self._steps >= (AS_IT_IS if self._logged else PATIENCE)


class _Recorded:
    """One kind of step, and the memory that it reads."""

    def __init__(self, update: Update, record: Record, batch: Batch, moment: Moment) -> None:
        self._inputs = [tensor.clone() for tensor in _tensors(batch, moment)]
        self._lr = torch.zeros((), device=batch.images.device)
        own_batch, own_moment = _with_tensors(batch, moment, iter(self._inputs))
        self._replay = record(lambda: update(own_batch, own_moment, self._lr))

    def __call__(self, batch: Batch, moment: Moment, lr: float) -> Terms:
        for own, new in zip(self._inputs, _tensors(batch, moment), strict=True):
            own.copy_(new)
        self._lr.fill_(lr)
        return self._replay()


class CudaGraphs:
    """Records CUDA graphs that share their memory: one of them is replayed at a time."""

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, run: Callable[[], Terms]) -> Callable[[], Terms]:
        """Record what `run` does on the device, without doing it."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            terms = run()
        self._pool = self._pool or graph.pool()

        def replay() -> Terms:
            graph.replay()
            return terms

        return replay


@contextmanager
def _algorithms_tried() -> Iterator[None]:
    """CuDNN tries its algorithms for each shape, which stays the same, and keeps the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _tensors(batch: Batch, moment: Moment) -> list[Tensor]:
    draws = [tensor for draws in moment.draws.values() for tensor in draws]
    weights, measured = moment.weights.values(), moment.measured.values()
    return [batch.images, batch.labels, *weights, *draws, *measured]


def _with_tensors(batch: Batch, moment: Moment, own: Iterator[Tensor]) -> tuple[Batch, Moment]:
    """The same with other tensors, in the order of `_tensors`."""
    own_batch = Batch(next(own), next(own))
    weights = {name: next(own) for name in moment.weights}
    draws = {name: type(draws)(*(next(own) for _ in draws)) for name, draws in moment.draws.items()}
    measured = {name: next(own) for name in moment.measured}
    return own_batch, replace(moment, weights=weights, draws=draws, measured=measured)
