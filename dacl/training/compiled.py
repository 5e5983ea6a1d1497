"""Compiling a whole step's losses, networks and contrast together, into one graph."""

from collections.abc import Callable

import torch

from dacl.errors import DaclError
from dacl.methods.base import Batch, Method, Terms


def compiled_losses(method: Method, backend: str = "inductor") -> Callable[[Batch, int], Terms]:
    """`method.losses`, its tensors' part compiled for one shape of batch, without a break in the graph.

    On a GPU the graphs are captured and replayed, so that a step costs no launch of its hundreds of kernels. Logged
    steps run as they are: their diagnostics take gradients along the way, which a compiled backward cannot.

    Args:
        method: in the mode (train) and precision that it will run in.
        backend: of `torch.compile`.

    Raises:
        DaclError: the configuration has steps that are not one graph.
    """
    if method.config.method == "dacl" and method.config.contrast.reliability == "entropy":
        raise DaclError(
            "contrast.reliability = 'entropy' keeps another number of pixels at every step: a graph of each",
            "train without --compile, or with contrast.reliability = 'threshold'",
        )
    if method.ranks.world > 1:
        raise DaclError(
            "a compiled step cannot talk to other ranks",
            "train without --compile, or in one process",
        )
    on_gpu = backend == "inductor" and next(method.parameters()).is_cuda
    traced = torch.compile(
        method.terms, fullgraph=True, dynamic=False, backend=backend,
        mode="reduce-overhead" if on_gpu else None,
    )  # fmt: skip

    def losses(batch: Batch, step: int) -> Terms:
        moment = method.moment(batch, step)
        if moment.logged:
            return method.terms(batch, moment)
        if on_gpu:
            torch.compiler.cudagraph_mark_step_begin()  # what the last step returned may go
        return traced(batch, moment)

    return losses
