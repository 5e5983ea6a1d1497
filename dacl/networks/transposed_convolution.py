"""Transposed convolutions that double the grid; on the CPU the gradient of their bias is not left to oneDNN.

It adds that gradient up so slowly that it takes twice as long as the gradient of the kernel, which comes with it.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvTransposeNd


class _Doubling(_ConvTransposeNd):
    """What both do alike: B images or volumes, I and O channels."""

    def forward(
        self, input: Float[Tensor, "B I *s"], output_size: list[int] | None = None
    ) -> Float[Tensor, "B O *S"]:
        """Twice the size along every axis; values are PyTorch's to the bit, gradients to rounding."""
        eager = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if input.device.type != "cpu" or not eager or output_size is not None:
            theirs: Tensor = super().forward(input, output_size)
            return theirs
        assert self.bias is not None
        tensors = [input, self.weight, self.bias]
        # outside of autocast an input of another type is refused, as PyTorch does
        if torch.is_autocast_enabled("cpu"):
            tensors = [each.to(torch.get_autocast_dtype("cpu")) for each in tensors]
        out: Tensor = _Doubled.apply(*tensors)
        return out


class TransposedConv2x2(_Doubling, nn.ConvTranspose2d):
    """A 2x2 transposed convolution of stride 2, for maps of two dimensions."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, kernel_size=2, stride=2)


class TransposedConv2x2x2(_Doubling, nn.ConvTranspose3d):
    """A 2x2x2 transposed convolution of stride 2, for maps of three dimensions."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, kernel_size=2, stride=2)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        convolve = F.conv_transpose2d if x.ndim == 4 else F.conv_transpose3d
        return convolve(x, weight, bias, stride=2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        two, none, one = ([size] * (x.ndim - 2) for size in (2, 0, 1))
        grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
            grad, x, weight, bias_sizes=None, stride=two, padding=none, dilation=one, transposed=True,
            output_padding=none, groups=1, output_mask=(of_x, of_weight, False),
        )  # fmt: skip
        grad_bias = grad.sum(dim=(0, *range(2, grad.ndim))) if of_bias else None
        return grad_x, grad_weight, grad_bias
