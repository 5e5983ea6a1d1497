"""The ranks of a run: the W processes that train it together, each on its share of every batch.

All ranks hold the same weights, and each computes the loss of the whole batch from its share of it. What is a mean over
images stays a mean over the share; what is not (the sums of Dice, the features of the contrast) is added up over the
ranks first. Averaging the gradients of the ranks then gives the gradient of one process with the whole batch:

    a mean over images     L = 1/W sum_r L_r, and so is its gradient.
    what follows a sum     x = sum_r x_r, and every rank computes the same L(x). Weights that act after the sum have the
                           same gradient on every rank, and so in the mean. Weights that act before it get dL/dx dx_r/dw
                           on rank r, and the whole is the sum of these, not their mean: `sum` sends back W dL/dx.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from dacl.errors import DaclError


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of W ranks this process is. Without others nothing below computes, copies or sends anything."""

    rank: int = 0
    world: int = 1
    """W."""
    local: int = 0
    """Which of the ranks of this machine."""

    def share(self, count: int, what: str = "things") -> slice:
        """The part of `count` things that falls to this rank; they are shared out in order.

        Raises:
            DaclError: they cannot be shared out equally.
        """
        each, rest = divmod(count, self.world)
        if rest or not each:
            raise DaclError(
                f"{count} {what} cannot be shared out equally among {self.world} ranks",
                f"choose a multiple of {self.world}, or another --nproc-per-node",
            )
        return slice(self.rank * each, (self.rank + 1) * each)

    def sum(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Sums over the ranks, with gradient. From here on every rank must compute the same (see above)."""
        if self.world == 1:
            return tensors
        flat: Tensor = _Sum.apply(torch.cat([tensor.flatten() for tensor in tensors]), self.world)
        parts = flat.split([tensor.numel() for tensor in tensors])
        return tuple(part.view(t.shape) for part, t in zip(parts, tensors, strict=True))

    @torch.no_grad()
    def mean(self, values: Tensor) -> Tensor:
        """Mean over the ranks, without gradient."""
        if self.world == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.world

    @torch.no_grad()
    def gather(self, values_B: Tensor) -> Tensor:
        """What all ranks hold, one behind the other along the first axis; every rank holds as much. No gradient."""
        if self.world == 1:
            return values_B
        values_B = values_B.contiguous()
        parts = [torch.empty_like(values_B) for _ in range(self.world)]
        dist.all_gather(parts, values_B)
        return torch.cat(parts)

    def gather_objects(self, own: Any) -> list[Any]:
        """What every rank has, in their order; between CPUs."""
        if self.world == 1:
            return [own]
        every: list[Any] = [None] * self.world
        dist.all_gather_object(every, own)
        return every


class _Sum(torch.autograd.Function):
    """x = sum_r x_r. The gradients that the ranks would send back are equal: no word between them is needed."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, world: int) -> Tensor:
        ctx.world = world
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.world * gradients[0], None


ALONE = Ranks()
"""One process, no other."""
