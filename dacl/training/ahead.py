"""What a step learns from, drawn while the device still computes the step before."""

from collections.abc import Callable

import torch

from dacl.methods.base import Batch, Moment
from dacl.training.replay import tensors_of


class Ahead:
    """Draws of the next step, on a GPU on a stream of their own: hundreds of small kernels beside the large ones.

    Args:
        batch: of a step; a function of the step, so that it does not matter when it is called.
        moment: of a batch and a step, likewise.
        device: where they appear. Any but a GPU would only compute one after the other, and draws when asked.
    """

    def __init__(
        self,
        batch: Callable[[int], Batch],
        moment: Callable[[Batch, int], Moment],
        device: torch.device,
    ) -> None:
        self._batch, self._moment = batch, moment
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._next: tuple[int, tuple[Batch, Moment]] | None = None

    def __call__(self, step: int) -> tuple[Batch, Moment]:
        """Batch and moment of step `step`, counted from 0."""
        if self._next is None or self._next[0] != step:
            self._next = (step, self._draw(step))
        _, drawn = self._next
        self._next = None
        if self._stream is not None:
            computing = torch.cuda.current_stream(self._stream.device)
            computing.wait_stream(self._stream)
            for tensor in tensors_of(*drawn):
                tensor.record_stream(computing)
        return drawn

    def prepare(self, step: int) -> None:
        """Begin with what step `step` will ask for; the step before has been handed to the device."""
        if self._stream is not None:
            with torch.cuda.stream(self._stream):
                self._next = (step, self._draw(step))

    def _draw(self, step: int) -> tuple[Batch, Moment]:
        batch = self._batch(step)
        return batch, self._moment(batch, step)
