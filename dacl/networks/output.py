"""What every segmentation network is to the methods: one forward pass, and how its maps lie on the image.

B images, C channels, N classes, F features; *S the spatial axes of the image, H W or D H W, and *s those of a map.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class NetworkOutput(NamedTuple):
    """What one forward pass yields."""

    logits: Tensor
    """(B, N, *S)."""
    features: Tensor
    """Decoder map at stride 2, (B, F, *s): what the contrast reads."""


class SegmentationNetwork(nn.Module):
    """A U-Net or a V-Net."""

    encoder: nn.ModuleList
    stride: int
    """Of the deepest stage: the image's sides must be multiples of it."""
    feature_channels: int
    """F."""
    feature_stride = 2
    """Of the decoder map."""

    def encode(self, images: Float[Tensor, "B C *S"]) -> list[Tensor]:
        """The encoder's maps from stride 1 to `stride`."""
        raise NotImplementedError

    def forward(
        self, images: Float[Tensor, "B C *S"], encoded: list[Tensor] | None = None
    ) -> NetworkOutput:
        """Logits and the stride-2 decoder map; `encoded` are the maps of an encoder that another network shares."""
        raise NotImplementedError
