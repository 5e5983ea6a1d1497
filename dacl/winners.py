"""The class of the largest score of every pixel."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def winners(scores: Float[Tensor, "B N *S"]) -> Int[Tensor, "B *S"]:
    """Argmax over the N classes, int64: the first of equal scores.

    On the CPU class after class is compared with the best so far: four times as fast as `torch.max`, a hundred times as
    `torch.argmax`. Where a score is nan the answer is arbitrary.
    """
    if scores.device.type != "cpu" or torch.compiler.is_compiling():
        return scores.argmax(dim=1)
    best, *others = scores.detach().contiguous().unbind(dim=1)
    winner = torch.zeros(best.shape, dtype=torch.uint8 if len(others) < 256 else torch.int64)
    for n, score in enumerate(others, start=1):
        # a later class that wins has the larger index
        winner = torch.maximum(winner, (score > best).to(winner.dtype).mul_(n))
        best = torch.maximum(best, score)
    return winner.long()
