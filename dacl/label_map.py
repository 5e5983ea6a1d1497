"""The class of the largest score of every pixel."""

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor


def label_map(scores: Float[Tensor, "B N *S"]) -> Int[Tensor, "B *S"]:
    """Argmax over the N classes, int64: the first of equal scores. Where a score is nan the answer is arbitrary.

    On the CPU class after class is compared with the best so far, several times as fast as PyTorch's `max` and
    `argmax`, which compare number by number.
    """
    if scores.device.type != "cpu" or torch.compiler.is_compiling():
        return scores.argmax(dim=1)
    best, *others = scores.detach().contiguous().unbind(dim=1)
    labels = torch.zeros(best.shape, dtype=torch.uint8 if len(others) < 256 else torch.int64)
    for n, score in enumerate(others, start=1):
        # a later class that wins has the larger index
        labels = torch.maximum(labels, (score > best).to(labels.dtype).mul_(n))
        best = torch.maximum(best, score)
    return labels.long()


def mask_of(scores: Float[Tensor, "N *S"]) -> UInt8[np.ndarray, "*S"]:
    """`label_map` of one image or volume, in memory: at most 256 classes."""
    return label_map(scores[None])[0].byte().cpu().numpy()
