"""Which slices a step sees: two endless shuffles, one of the labelled slices and one of the unlabelled.

The batch of a step is a function of (seed, stream name, step): nothing has to be saved to resume a run.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from dacl.seeding import stream


class ShuffledStream:
    """Epochs of a shuffled list end to end, cut into batches; a batch may span two epochs.

    Args:
        size: items in the list.
        batch: items per step.
        key: of the random stream, e.g. (seed, "labeled").
    """

    def __init__(self, size: int, batch: int, *key: int | str) -> None:
        self.size, self.batch, self.key = size, batch, key
        self._shuffled: dict[int, Tensor] = {}

    def at(self, step: int) -> Int[Tensor, "batch"]:
        """Indices of step `step`, counted from 0."""
        positions = range(step * self.batch, (step + 1) * self.batch)
        epochs = sorted({p // self.size for p in positions})
        self._shuffled = {e: self._shuffle(e) for e in epochs}
        return torch.stack([self._shuffled[p // self.size][p % self.size] for p in positions])

    def _shuffle(self, epoch: int) -> Tensor:
        if epoch in self._shuffled:
            return self._shuffled[epoch]
        return torch.randperm(self.size, generator=stream(*self.key, epoch))
