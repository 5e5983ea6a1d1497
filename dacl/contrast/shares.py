"""Where the images of one rank stand among those of all: the contrast looks at the whole batch.

I images of all ranks, in the order of one process: the labelled of every rank, then the unlabelled of every rank. B of
them are this rank's. Every rank draws the same pixels of the I maps, so only what those hold has to travel.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from dacl.ranks import ALONE, Ranks


class Shares(NamedTuple):
    """One rank's share of a batch. Alone it is the batch, and nothing is copied."""

    ranks: Ranks = ALONE
    labeled: int = 0
    """Labelled images of this rank."""
    images: int = 0
    """B: all images of this rank."""

    def places_B(self, device: torch.device) -> Int[Tensor, "B"]:
        """Where this rank's images stand among the I."""
        own_B = torch.arange(self.images, device=device)
        unlabeled = self.images - self.labeled
        return own_B + torch.where(
            own_B < self.labeled,
            self.ranks.rank * self.labeled,
            (self.ranks.world - 1) * self.labeled + self.ranks.rank * unlabeled,
        )

    def of_all(self, values: Shaped[Tensor, "B *V"]) -> Shaped[Tensor, "I *V"]:
        """What the ranks hold of their images, for all images, with gradient."""
        if self.ranks.world == 1:
            return values
        if values.dtype == torch.bool:
            return self.of_all(values.int()).bool()
        whole = values.new_zeros(self.ranks.world * len(values), *values.shape[1:])
        return self.ranks.sum(whole.index_copy(0, self.places_B(values.device), values))[0]

    def of_own(self, values: Shaped[Tensor, "I *V"]) -> Shaped[Tensor, "B *V"]:
        """The part of this rank's images."""
        return values if self.ranks.world == 1 else values[self.places_B(values.device)]

    def pixels(
        self, features: Float[Tensor, "B F *S"], index_T: Int[Tensor, "T"]
    ) -> Float[Tensor, "T F"]:
        """What the pixels `index_T` of all I maps hold, whoever has them; with gradient."""
        features_PF = features.movedim(1, -1).flatten(0, -2)
        if self.ranks.world == 1:
            return features_PF.index_select(0, index_T)
        size = len(features_PF) // self.images
        own_I = torch.full((self.ranks.world * self.images,), -1, device=features.device)
        own_I[self.places_B(features.device)] = torch.arange(self.images, device=features.device)
        own_T = own_I[index_T // size]
        mine_TF = features_PF[own_T.clamp(min=0) * size + index_T % size].float()
        return self.ranks.sum(mine_TF.masked_fill(own_T.unsqueeze(1) < 0, 0.0))[0]


WHOLE = Shares()
"""All images are here."""
