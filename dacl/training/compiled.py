"""Compiling a step's networks, losses and contrast into one graph."""

from collections.abc import Callable

import torch

from dacl.config import Config
from dacl.errors import DaclError
from dacl.methods.base import Batch, Method, Moment, Terms
from dacl.ranks import Ranks

LONG = 15_000
"""Steps that save what the compiler takes: on an H200, at the paper's size, 6 to 10 ms each of 75 to 100 s in all."""


def has_fixed_shapes(config: Config) -> bool:
    """Whether all steps of a kind do the same to tensors of the same shapes."""
    return not (config.method == "dacl" and config.contrast.reliability == "entropy")


def worth_compiling(config: Config, device: torch.device, ranks: Ranks, step: int) -> list[str]:
    """What to tell a user who has not asked for the compiler and has a long way to go from `step`; mostly nothing."""
    can = device.type == "cuda" and ranks.world == 1 and has_fixed_shapes(config)
    if config.compile or not can or config.optim.steps - step < LONG:
        return []
    return [
        "with --compile a step is 1.3 (TF32) to 1.8 times (bf16) as fast, measured on an H200 with slices of "
        "256x256; the first takes a minute or two"
    ]


def compiled_terms(method: Method, backend: str = "inductor") -> Callable[[Batch, Moment], Terms]:
    """`method.terms` compiled for one shape of batch, without a break in the graph.

    Logged steps run as they are: their diagnostics take gradients along the way, which a compiled backward cannot. So
    does a warm-up of the contrast: to compile it takes longer than it lasts.

    Args:
        method: in the mode (train) and precision that it will run in.
        backend: of `torch.compile`.

    Raises:
        DaclError: the configuration has steps that are not one graph.
    """
    if not has_fixed_shapes(method.config):
        raise DaclError(
            "contrast.reliability = 'entropy' keeps another number of pixels at every step: a graph of each",
            "train without --compile, or with contrast.reliability = 'threshold'",
        )
    if method.ranks.world > 1:
        raise DaclError(
            "a compiled step cannot talk to other ranks",
            "train without --compile, or in one process",
        )
    traced = torch.compile(method.terms, fullgraph=True, dynamic=False, backend=backend)
    last = method.weights(method.config.optim.steps - 1)
    idle_in_the_end = {name for name, weight in last.items() if weight == 0}

    def terms(batch: Batch, moment: Moment) -> Terms:
        as_it_is = moment.logged or moment.idle != idle_in_the_end
        return method.terms(batch, moment) if as_it_is else traced(batch, moment)

    return terms
