"""Skip and upsampled maps as one map, whose gradient comes back as two dense ones.

`torch.cat` hands back two views of the gradient with gaps between their pixels. On the CPU the backward of the bilinear
upsampling takes several times as long on such a view as on a dense map.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def concatenate(
    skip: Float[Tensor, "B S *G"], deep: Float[Tensor, "B D *G"]
) -> Float[Tensor, "B S+D *G"]:
    """The channels of `skip`, then those of `deep`; values and gradients are those of `torch.cat`."""
    eager = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    if skip.device.type != "cpu" or not eager:
        return torch.cat([skip, deep], dim=1)
    whole: Tensor = _Concatenate.apply(skip, deep)
    return whole


class _Concatenate(torch.autograd.Function):
    @staticmethod
    def forward(skip: Tensor, deep: Tensor) -> Tensor:
        return torch.cat([skip, deep], dim=1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.channels = [each.shape[1] for each in inputs]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.clone() for part in grad.split(ctx.channels, dim=1))
