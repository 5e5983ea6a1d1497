"""Stochastic gradient descent with momentum."""

import torch
from torch import nn
from torch.optim import Optimizer

from dacl.config import OptimConfig


def optimizer_of(module: nn.Module, optim: OptimConfig, device: torch.device) -> torch.optim.SGD:
    """SGD over all parameters of `module`, on a GPU in one kernel, its momentum at 0."""
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=optim.lr,
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
        fused=True if device.type == "cuda" else None,
    )
    with_momentum(optimizer)
    return optimizer


def with_momentum(optimizer: Optimizer) -> None:
    """A momentum of 0 for every parameter that has none: the first step makes it the gradient, as PyTorch does.

    The fused kernel fails where a parameter gets its first gradient later than another, as the heads of the contrast
    do after its warm-up.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
