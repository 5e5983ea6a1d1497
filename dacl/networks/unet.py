"""The 2D U-Net that the ACDC literature of this field uses (facts: SSL4MIS `unet`).

B images, C channels, H and W pixels. 1,813,764 parameters with one input channel, four classes and width 16.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from dacl.networks.concatenation import concatenate
from dacl.networks.convolution import Conv3x3
from dacl.networks.dropout import Dropout
from dacl.networks.output import NetworkOutput, SegmentationNetwork
from dacl.networks.transposed_convolution import TransposedConv2x2
from dacl.networks.upsampling import BilinearUpsample

Upsampling = Literal["bilinear", "transposed"]


def _conv_block(channels_in: int, channels_out: int, dropout: float) -> nn.Sequential:
    def conv_norm(inner: int) -> list[nn.Module]:
        return [
            Conv3x3(inner, channels_out, normed=True),
            nn.BatchNorm2d(channels_out),
            nn.LeakyReLU(inplace=True),  # in place: a fifth less memory, same values
        ]

    return nn.Sequential(*conv_norm(channels_in), Dropout(dropout), *conv_norm(channels_out))


class _Up(nn.Module):
    """Halve the channels and double the grid, by a 1x1 convolution and bilinearly or in one step; join the skip."""

    def __init__(self, channels_in: int, channels_skip: int, upsampling: Upsampling) -> None:
        super().__init__()
        self.reduce: nn.Module = nn.Identity()
        self.upsample: nn.Module
        if upsampling == "bilinear":
            self.reduce = nn.Conv2d(channels_in, channels_skip, kernel_size=1)
            self.upsample = BilinearUpsample()
        else:
            self.upsample = TransposedConv2x2(channels_in, channels_skip)
        self.block = _conv_block(2 * channels_skip, channels_skip, dropout=0.0)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        out: Tensor = self.block(concatenate(skip, self.upsample(self.reduce(deep))))
        return out


class UNet(SegmentationNetwork):
    """Five stages at strides 1 to 16, dropout in the encoder, a 3x3 convolution to the logits.

    Args:
        channels: input channels.
        classes: output classes N, background included.
        width: channels at full resolution.
        dropout: probability per encoder stage, from stride 1 to stride 16.
        upsampling: of the decoder; `transposed` is MC-Net's second decoder.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        width: int = 16,
        dropout: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5),
        upsampling: Upsampling = "bilinear",
    ) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(len(dropout))]
        inputs = [channels, *widths[:-1]]
        self.encoder = nn.ModuleList(map(_conv_block, inputs, widths, dropout))
        self.pool = nn.MaxPool2d(2)
        self.decoder = nn.ModuleList(
            _Up(deep, skip, upsampling)
            for deep, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.classifier = Conv3x3(width, classes, normed=False)
        self.stride = 2 ** (len(dropout) - 1)
        self.feature_channels = 2 * width

    def encode(self, images: Float[Tensor, "B C H W"]) -> list[Tensor]:
        """The encoder's maps from stride 1 to stride 16; H and W must be multiples of `stride`."""
        maps: list[Tensor] = []
        for stage, block in enumerate(self.encoder):
            maps.append(block(self.pool(maps[-1]) if stage else images))
        return maps

    def forward(
        self, images: Float[Tensor, "B C H W"], encoded: list[Tensor] | None = None
    ) -> NetworkOutput:
        """Logits and the stride-2 decoder map; `encoded` are the maps of an encoder that another network shares."""
        maps = self.encode(images) if encoded is None else encoded
        features = x = maps[-1]
        for up, skip in zip(self.decoder, maps[-2::-1], strict=True):
            features, x = x, up(x, skip)
        return NetworkOutput(self.classifier(x), features)
