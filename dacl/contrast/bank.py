"""The category memory bank G_n: the last L features of every class with their densities, first in, first out."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Insertion(NamedTuple):
    """Arguments of `ClassBank.insert`, detached: a step finds them, and the bank takes them in after it."""

    units_CMD: Float[Tensor, "C M D"]
    density_CM: Float[Tensor, "C M"]
    valid_CM: Bool[Tensor, "C M"]


class ClassBank(nn.Module):
    """One ring buffer per class, all of them buffers of the module, so that a checkpoint resumes them exactly.

    Args:
        classes: C.
        length: L, features kept per class (paper: best at 1000).
        dim: D.
    """

    features_CLD: Tensor
    density_CL: Tensor
    written_C: Tensor

    def __init__(self, classes: int, length: int, dim: int) -> None:
        super().__init__()
        self.length = length
        self.register_buffer("features_CLD", torch.zeros(classes, length, dim))
        self.register_buffer("density_CL", torch.zeros(classes, length))
        self.register_buffer("written_C", torch.zeros(classes, dtype=torch.long))

    @property
    def valid_CL(self) -> Bool[Tensor, "C L"]:
        """Which rows have been written."""
        rows_L = torch.arange(self.length, device=self.written_C.device)
        return rows_L < self.written_C.unsqueeze(1)

    @torch.no_grad()
    def insert(
        self,
        units_CMD: Float[Tensor, "C M D"],
        density_CM: Float[Tensor, "C M"],
        valid_CM: Bool[Tensor, "C M"],
    ) -> None:
        """Write the valid units of every class over its oldest rows; the last L of them where M exceeds L.

        The valid units of a class need not stand in front: the order of the row is the order of writing.
        """
        if self.length == 0:
            return
        place_CM = valid_CM.cumsum(dim=1) - 1  # position among the valid of its class
        count_C = valid_CM.sum(dim=1)
        keep_CM = valid_CM & (place_CM >= (count_C - self.length).unsqueeze(1))
        row_CM = (self.written_C.unsqueeze(1) + place_CM) % self.length
        # units that are not kept write into a spare row, dropped right after: no branch on device values
        row_CM = row_CM.masked_fill(~keep_CM, self.length)
        for name, new in (("features_CLD", units_CMD), ("density_CL", density_CM)):
            old = getattr(self, name)
            spare = torch.zeros_like(old[:, :1])
            index = row_CM.reshape(*row_CM.shape, *[1] * (new.ndim - 2)).expand_as(new)
            old.copy_(torch.cat([old, spare], dim=1).scatter(1, index, new.to(old.dtype))[:, :-1])
        self.written_C += count_C
