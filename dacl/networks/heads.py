"""The projection head z that maps decoder features into the space of the contrast, j = z(f)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """Linear - BN - ReLU - Linear on sampled pixels.

    On a pixel this equals 1x1 convolutions on the map; sampling first makes it 9 to 30 times cheaper. The batch
    statistics are then those of the sample (paper: a head on the whole map).

    Args:
        channels: width of the decoder features.
        dim: width D of the projection space.
        generator: draws the initial weights, so that having a head leaves the networks' own draws as they are.
    """

    def __init__(self, channels: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.utils.skip_init(nn.Linear, channels, dim),
            nn.BatchNorm1d(dim),
            nn.ReLU(inplace=True),
            nn.utils.skip_init(nn.Linear, dim, dim),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5  # the default range of nn.Linear
                with torch.no_grad():
                    layer.weight.uniform_(-bound, bound, generator=generator)
                    layer.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, features_ND: Float[Tensor, "N F"]) -> Float[Tensor, "N D"]:
        """Project, j = z(f): fp32, of any length. Eq. 2 averages it, Eq. 3 compares its direction."""
        projected: Tensor = self.layers(features_ND.float())
        return projected
