"""The 3D V-Net that the volume literature of this field uses (facts: UA-MT).

B volumes, C channels, D slices, H and W pixels. 9,448,866 parameters with one input channel, two classes and width 16.
"""

from jaxtyping import Float
from torch import Tensor, nn

from dacl.networks.convolution import Conv3x3x3
from dacl.networks.output import NetworkOutput, SegmentationNetwork
from dacl.networks.transposed_convolution import TransposedConv2x2x2

ENCODER_CONVOLUTIONS = (1, 2, 3, 3, 3)
DECODER_CONVOLUTIONS = (3, 3, 2, 1)


def _conv(channels_in: int, channels_out: int) -> nn.Module:
    return Conv3x3x3(channels_in, channels_out, normed=True)


def _down(channels_in: int, channels_out: int) -> nn.Module:
    return nn.Conv3d(channels_in, channels_out, kernel_size=2, stride=2)


def _stage(*convolutions: nn.Module) -> nn.Sequential:
    """Each of the convolutions with BatchNorm and ReLU."""
    layers: list[nn.Module] = []
    for convolution in convolutions:
        channels = convolution.out_channels
        assert isinstance(channels, int)
        layers += [convolution, nn.BatchNorm3d(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class VNet(SegmentationNetwork):
    """Five stages at strides 1 to 16, strided convolutions between them, skips by addition, a 1x1x1 convolution last.

    Args:
        channels: input channels.
        classes: output classes N, background included.
        width: channels at full resolution, doubled at each stage.
        dropout: probability that a channel of the deepest map, and of the last, is dropped in training.
    """

    stages = len(ENCODER_CONVOLUTIONS)

    def __init__(self, channels: int, classes: int, width: int = 16, dropout: float = 0.5) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(self.stages)]
        self.encoder = nn.ModuleList()
        for stage, (wide, count) in enumerate(zip(widths, ENCODER_CONVOLUTIONS, strict=True)):
            first = _down(widths[stage - 1], wide) if stage else _conv(channels, wide)
            inner = [_conv(wide, wide) for _ in range(count if stage else count - 1)]
            self.encoder.append(_stage(first, *inner))
        self.decoder = nn.ModuleList()
        self.upsample = nn.ModuleList()
        for deep, wide, count in zip(
            widths[:0:-1], widths[-2::-1], DECODER_CONVOLUTIONS, strict=True
        ):
            self.upsample.append(_stage(TransposedConv2x2x2(deep, wide)))
            self.decoder.append(_stage(*(_conv(wide, wide) for _ in range(count))))
        self.dropout = nn.Dropout3d(dropout)
        self.classifier = nn.Conv3d(width, classes, kernel_size=1)
        self.stride = 2 ** (len(widths) - 1)
        self.feature_channels = 2 * width

    def encode(self, images: Float[Tensor, "B C D H W"]) -> list[Tensor]:
        """The encoder's maps from stride 1 to stride 16; D, H and W must be multiples of `stride`."""
        maps: list[Tensor] = []
        for stage in self.encoder:
            maps.append(stage(maps[-1] if maps else images))
        return maps

    def forward(
        self, images: Float[Tensor, "B C D H W"], encoded: list[Tensor] | None = None
    ) -> NetworkOutput:
        """Logits and the stride-2 decoder map."""
        maps = self.encode(images) if encoded is None else encoded
        x = features = self.dropout(maps[-1])
        for upsample, stage, skip in zip(self.upsample, self.decoder, maps[-2::-1], strict=True):
            features, x = x, stage(upsample(x) + skip)
        return NetworkOutput(self.classifier(self.dropout(x)), features)
