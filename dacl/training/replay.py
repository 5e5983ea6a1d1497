"""A step on a GPU as one CUDA graph: one launch in place of its two thousand.

A captured graph replays the same kernels on the same memory. What changes from step to step (batch, random numbers,
weights of the losses, learning rate) is copied into the memory that it reads; a kind of step that runs other kernels
(logged, or without the contrast) is a graph of its own.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dacl.errors import DaclError
from dacl.methods.base import Batch, Moment, Terms

Update = Callable[[Batch, Moment, float | Tensor], Terms]
"""Losses, gradients, new weights: of a batch, a moment, and a learning rate."""

Capture = Callable[[Callable[[], Terms]], Callable[[], Terms]]
"""Turns work into its replay."""

REHEARSALS = 3
"""Steps that run as they are before anything is captured: they choose algorithms and allocate what stays."""

PATIENCE = 100
"""Steps that wait for a logged one among the rehearsals. Beside a graph a step as it is needs its memory anew."""


class Replayed:
    """An update that is captured after some rehearsals and from then on replayed, logged steps by a graph of their own.

    Args:
        capturer: makes what captures; by default CUDA graphs that share their memory.
    """

    def __init__(self, capturer: Callable[[], Capture] | None = None) -> None:
        self._capturer = capturer or CudaGraphs
        self._begin(frozenset())

    def __call__(self, update: Update, batch: Batch, moment: Moment, lr: float) -> Terms:
        """One update. What it returns is overwritten by the next.

        Args:
            update: the same at each call. It looks at no value on the device, and depends on nothing that changes but
                its arguments and the weights. It is given anew rather than kept: kept, the update of a `Trainer`,
                which holds this object, would make a cycle of the two.
            batch: of this step.
            moment: of this step.
            lr: learning rate of this step.
        """
        if moment.idle != self._idle:
            self._begin(moment.idle)
        captured = self._captured.get(moment.logged)
        if captured is None:
            with _algorithms_tried():
                if not self._rehearsed(moment.logged):
                    self._rehearsals[moment.logged] += 1
                    return update(batch, moment, lr)
                captured = _Captured(update, self._capture, batch, moment)
            self._captured[moment.logged] = captured
        return captured(batch, moment, lr)

    def _begin(self, idle: frozenset[str]) -> None:
        """Other kernels run from here on: the graphs before will not be asked for again."""
        self._idle = idle
        self._rehearsals: Counter[bool] = Counter()
        self._capture = self._capturer()
        self._captured: dict[bool, _Captured] = {}
        torch.cuda.empty_cache()  # else their memory would be held beside that of the steps to come

    def _rehearsed(self, logged: bool) -> bool:
        """Whether a kind of step may be captured: it ran as it is, and so did enough steps of all kinds.

        Enough are REHEARSALS with a logged one among them, and PATIENCE without.
        """
        enough = REHEARSALS if self._rehearsals[True] else PATIENCE
        return self._rehearsals[logged] > 0 and self._rehearsals.total() >= enough


class _Captured:
    """One kind of step, and the memory that it reads."""

    def __init__(self, update: Update, capture: Capture, batch: Batch, moment: Moment) -> None:
        self._inputs = [tensor.clone() for tensor in tensors_of(batch, moment)]
        self._lr = torch.zeros((), device=batch.images.device)
        own_batch, own_moment = with_tensors(batch, moment, iter(self._inputs))
        self._replay = capture(lambda: update(own_batch, own_moment, self._lr))

    def __call__(self, batch: Batch, moment: Moment, lr: float) -> Terms:
        for own, new in zip(self._inputs, tensors_of(batch, moment), strict=True):
            if own.shape != new.shape:
                raise ValueError(
                    f"a step of shape {tuple(new.shape)} in place of {tuple(own.shape)}"
                )
            own.copy_(new)
        self._lr.fill_(lr)
        return self._replay()


class CudaGraphs:
    """Captures CUDA graphs that share their memory: one of them is replayed at a time.

    On a stream of their own: cuBLAS has one workspace per stream, in the memory of the graph that asks for it first,
    and the end of any graph frees that of its stream (as of torch 2.13). On the one stream that PyTorch has for all
    captures it would be taken from the graphs of one training when those of an earlier one are collected.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, run: Callable[[], Terms]) -> Callable[[], Terms]:
        """Capture what `run` does on the device, without doing it.

        Raises:
            DaclError: it cannot be captured.
        """
        graph = torch.cuda.CUDAGraph()
        self._stream = self._stream or torch.cuda.Stream()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                terms = run()
        except RuntimeError as error:
            cause = error.__context__ or error  # the end of a failed capture fails as well
            raise DaclError(
                f"a step could not be captured as a CUDA graph: {cause}",
                "go on without: dacl train ... --set cuda_graph=false",
            ) from cause
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


def tensors_of(batch: Batch, moment: Moment) -> list[Tensor]:
    """All that a step reads on the device and that changes from step to step, the learning rate apart."""
    draws = [tensor for draws in moment.draws.values() for tensor in draws]
    weights, scores = moment.weights.values(), moment.measure_scores.values()
    return [batch.images, batch.labels, *weights, *draws, *scores]


def with_tensors(batch: Batch, moment: Moment, own: Iterator[Tensor]) -> tuple[Batch, Moment]:
    """The same with other tensors, in the order of `tensors_of`."""
    own_batch = Batch(next(own), next(own))
    weights = {name: next(own) for name in moment.weights}
    draws = {name: type(draws)(*(next(own) for _ in draws)) for name, draws in moment.draws.items()}
    scores = {name: next(own) for name in moment.measure_scores}
    return own_batch, replace(moment, weights=weights, draws=draws, measure_scores=scores)
