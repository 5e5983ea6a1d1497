"""The learning rate."""

from torch import Tensor
from torch.optim import Optimizer

from dacl.config import OptimConfig


def poly_lr(step: int, optim: OptimConfig) -> float:
    """lr(t) = lr (1 - t/T)^power, per step (DeepLab's schedule)."""
    return float(optim.lr * (1.0 - step / optim.steps) ** optim.poly_power)


def set_lr(optimizer: Optimizer, lr: float | Tensor) -> None:
    """The same rate for every parameter group: a number, or a scalar on the device that every step reads anew."""
    for group in optimizer.param_groups:
        group["lr"] = lr
