"""Bilinear upsampling; on a GPU as two products with matrices.

Height and width are interpolated one after the other, and each is a linear map. A GPU multiplies by a small matrix in
about the time that the pixels take to arrive; PyTorch's kernels, and more so the gradient's, take several times as
long, and add up that gradient in an order that changes from run to run.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BilinearUpsample(nn.Upsample):
    """Twice the height and width, the corner pixels kept (`align_corners=True`)."""

    def __init__(self) -> None:
        super().__init__(scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C 2*H 2*W"]:
        """In autocast's type where it is on, on a GPU; else in the type of `x`."""
        if x.is_cuda:
            autocast = torch.is_autocast_enabled("cuda")
            return upsampled_by_products(
                x, torch.get_autocast_dtype("cuda") if autocast else x.dtype
            )
        return super().forward(x)


def upsampled_by_products(
    x: Float[Tensor, "B C H W"], dtype: torch.dtype
) -> Float[Tensor, "B C 2*H 2*W"]:
    """The same in `dtype`, channels last."""
    pixels_BHWC = x.to(dtype).permute(0, 2, 3, 1)
    batch, height, width, channels = pixels_BHWC.shape
    wide_BHWC = _interpolation(width, dtype, x.device) @ pixels_BHWC
    rows_BHR = wide_BHWC.reshape(batch, height, 2 * width * channels)
    tall_BHR = _interpolation(height, dtype, x.device) @ rows_BHR
    return tall_BHR.reshape(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


def _interpolation(size: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "O I"]:
    """What output o = 0 .. 2 size - 1 takes of input i: 1 - |o (size - 1) / (2 size - 1) - i|, or nothing."""
    at = torch.arange(2 * size, device=device) * ((size - 1) / (2 * size - 1))
    distance = (at[:, None] - torch.arange(size, device=device)).abs()
    return (1 - distance).clamp(min=0).to(dtype)
