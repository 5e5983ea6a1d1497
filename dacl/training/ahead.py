"""What a step learns from, drawn while the device still computes the step before."""

from collections.abc import Callable

import torch

from dacl.methods.base import Batch, Moment
from dacl.training.replay import tensors_of

Drawn = tuple[Batch, Moment]


class Ahead:
    """Draws of the next step, on a GPU on a stream of their own: hundreds of small kernels beside the large ones.

    Args:
        draw: batch and moment of a step; a function of the step, so that it does not matter when it is called.
        device: where they appear. Any but a GPU would only compute one after the other, and draws when asked.
    """

    def __init__(self, draw: Callable[[int], Drawn], device: torch.device) -> None:
        self._draw = draw
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._next: tuple[int, Drawn] | None = None

    def __call__(self, step: int) -> Drawn:
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
