"""The projection head z that maps decoder features into the space of the contrast, j = z(f)."""

import torch
from jaxtyping import Bool, Float
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
            BatchNorm(dim),
            nn.ReLU(inplace=True),
            nn.utils.skip_init(nn.Linear, dim, dim),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5  # the default range of nn.Linear
                with torch.no_grad():
                    layer.weight.uniform_(-bound, bound, generator=generator)
                    layer.bias.uniform_(-bound, bound, generator=generator)

    def forward(
        self, features_ND: Float[Tensor, "N F"], valid_N: Bool[Tensor, "N"] | None = None
    ) -> Float[Tensor, "N D"]:
        """Project, j = z(f): fp32, of any length. Eq. 2 averages it, Eq. 3 compares its direction.

        Where `valid_N` is false a row is padding: it has no part in the batch statistics, and its output means nothing.
        """
        projected = features_ND.float()
        for layer in self.layers:
            projected = (
                layer(projected, valid_N) if isinstance(layer, BatchNorm) else layer(projected)
            )
        return projected


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that can leave out padded rows."""

    def forward(self, x_ND: Tensor, valid_N: Tensor | None = None) -> Tensor:
        """As `nn.BatchNorm1d`, over the rows that `valid_N` names (None: all); one at least."""
        if valid_N is None or not self.training:
            return super().forward(x_ND)
        weight_N1 = valid_N.unsqueeze(1).to(x_ND.dtype)
        count = weight_N1.sum().clamp(min=1)
        mean_D = (x_ND * weight_N1).sum(dim=0) / count
        centred_ND = x_ND - mean_D
        variance_D = (centred_ND.square() * weight_N1).sum(dim=0) / count
        self._remember(mean_D, variance_D * count / (count - 1).clamp(min=1))
        return centred_ND * (variance_D + self.eps).rsqrt() * self.weight + self.bias

    @torch.no_grad()
    def _remember(self, mean_D: Tensor, unbiased_D: Tensor) -> None:
        """The running averages that evaluation uses."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean_D, self.momentum)
        self.running_var.lerp_(unbiased_D, self.momentum)
        self.num_batches_tracked += 1


class NoProjection(nn.Module):
    """The head of a contrast that looks at the features themselves."""

    def forward(
        self, features_ND: Float[Tensor, "N F"], valid_N: Bool[Tensor, "N"] | None = None
    ) -> Float[Tensor, "N F"]:
        """The features, fp32."""
        return features_ND.float()
