"""Convolutions three voxels wide; where channels are few and launches free, over groups of neighbouring columns.

A tensor core multiplies tiles of 32 channels and more, and 16 channels leave most of it idle. Where channels lie last
in memory, f neighbouring columns of c channels are, without a copy, one column of f c channels. From group to group
the convolution is one with a larger kernel, most of it zeros: twice the products and more, in half of the time. It
takes a dozen small operations more, which cost nothing in a captured or compiled step and too much in any other.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

MOST_COLUMNS = 8
MOST_OF_FEWER_CHANNELS = 64
MOST_OF_MORE_CHANNELS = 128
"""Of a group: its columns, and the lesser and the larger of the numbers of channels that go in and come out of it.

On an H200 the convolutions of the U-Net's three upper stages take their least time there in bfloat16, forward and both
gradients together, and within a sixth of it in TF32.
"""


class _OverGroups(_ConvNd):
    """What convolutions of two and three dimensions do alike: B images or volumes, I and O channels, W columns."""

    taps: Tensor

    def _prepare(self, normed: bool) -> None:
        self.normed = normed
        """Whether a batch norm follows."""
        self.grouped = False
        """Whether `forward` goes over groups; see `over_groups`."""
        self.columns = columns_of_a_group(self.in_channels, self.out_channels)
        self.register_buffer("taps", taps_of_a_group(self.columns), persistent=False)

    def forward(self, x: Float[Tensor, "B I *S W"]) -> Float[Tensor, "B O *S W"]:
        """The same sums either way, to rounding."""
        if not self.grouped:
            return self._conv_forward(x, self.weight, self.bias)
        if self.columns > 1 and x.shape[-1] % self.columns == 0:
            out = self._from_group_to_group(x)
        else:
            out = self._conv_forward(x, self.weight, None)
        assert self.bias is not None
        # apart, so that a compiled step adds it on the way to the norm, and in the maps' own precision
        bias = self.bias.to(out.dtype).view(-1, *[1] * (x.ndim - 2))
        # Batch statistics take it away again: its gradient is 0, for which a step would read the map once more.
        return out + (bias.detach() if self.normed and self.training else bias)

    def _from_group_to_group(self, x: Float[Tensor, "B I *S W"]) -> Float[Tensor, "B O *S W"]:
        groups = x.movedim(1, -1).unflatten(-2, (-1, self.columns)).flatten(-2).movedim(-1, 1)
        out = self._conv_forward(groups, self._weight_of_groups(), None)
        return out.movedim(1, -1).unflatten(-1, (self.columns, -1)).flatten(-3, -2).movedim(-1, 1)

    def _weight_of_groups(self) -> Float[Tensor, "fO fI *K"]:
        """The kernel from group to group, channels last as the maps: of each column its own, at its place."""
        # a product with a matrix, which a compiled step makes on the way and a library in ten times as long
        placed_OIxT = (self.weight.unsqueeze(-1) * self.taps).sum(dim=-2)
        placed_OIxDPQ = placed_OIxT.unflatten(-1, (3, self.columns, self.columns))
        placed_POxDQI = placed_OIxDPQ.movedim(-2, 0).movedim(2, -1)
        return placed_POxDQI.flatten(-2).flatten(0, 1).movedim(-1, 1)


class Conv3x3(_OverGroups, nn.Conv2d):
    """A 3x3 convolution that keeps height and width."""

    def __init__(self, channels_in: int, channels_out: int, *, normed: bool) -> None:
        super().__init__(channels_in, channels_out, kernel_size=3, padding=1)
        self._prepare(normed)


class Conv3x3x3(_OverGroups, nn.Conv3d):
    """A 3x3x3 convolution that keeps depth, height and width."""

    def __init__(self, channels_in: int, channels_out: int, *, normed: bool) -> None:
        super().__init__(channels_in, channels_out, kernel_size=3, padding=1)
        self._prepare(normed)


def over_groups(network: nn.Module, device: torch.device) -> None:
    """Let a network's convolutions go over groups, for steps that are captured or compiled.

    Only on a GPU whose tensor cores take bfloat16, and fp32 as TF32, unless that was turned off: on any other unit
    the zeros cost what they would if they were none.
    """
    tensor_cores = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if tensor_cores and torch.backends.cudnn.allow_tf32:
        for module in network.modules():
            if isinstance(module, _OverGroups):
                module.grouped = True


def columns_of_a_group(channels_in: int, channels_out: int) -> int:
    """How many neighbouring columns make a group: the largest power of 2 within the three bounds; 1 groups nothing."""
    fewer, more = sorted((channels_in, channels_out))
    columns = 1
    while (
        2 * columns <= MOST_COLUMNS
        and 2 * columns * fewer <= MOST_OF_FEWER_CHANNELS
        and 2 * columns * more <= MOST_OF_MORE_CHANNELS
    ):
        columns *= 2
    return columns


def taps_of_a_group(columns: int) -> Float[Tensor, "3 T"]:
    """Which of a row's three weights stands between column p of a group and column q of the group d - 1 further on.

    Returns:
        1 for that of the offset f (d - 1) + q - p = -1, 0 or 1, and 0 elsewhere; over d, p and q, q fastest.
    """
    group = torch.arange(columns)
    ahead_D11 = columns * (torch.arange(3) - 1)[:, None, None]
    offset_DPQ = ahead_D11 + group - group[:, None]
    return (offset_DPQ.flatten() == torch.arange(-1, 2)[:, None]).float()
