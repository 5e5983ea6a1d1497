"""Stochastic gradient descent with momentum."""

from typing import Any

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
    _with_momentum(optimizer)
    return optimizer


def restore_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take the momentum of another's `state_dict`; how it is computed stays as this device wants it."""
    own = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state["state"], "param_groups": own})
    _with_momentum(optimizer)


def _with_momentum(optimizer: Optimizer) -> None:
    """A momentum of 0 for every parameter that has none: the first step makes it the gradient, as PyTorch does.

    The fused kernel fails where a parameter gets its first gradient later than another, as the heads of the contrast
    do after its warm-up.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
