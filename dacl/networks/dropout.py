"""Dropout, with cheap random numbers on the CPU: there the usual draw costs a seventh of a training step.

PyTorch draws a Bernoulli variable per element. One 64-bit draw here decides four elements, 16 bits each.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 1 << 16  # what 16 bits can say
_INTEGER_OF_BYTES = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Dropout(nn.Module):
    """In training every element is 0 with probability `p` and otherwise divided by the probability of staying.

    On the CPU `p` is rounded to a multiple of 2^-16, and the scale is that of the rounded `p`: the mean of the output
    is the input. PyTorch's default generator seeds all draws.

    Args:
        p: probability in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Same shape, type and memory format."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.p)
        return x * _scale_of_kept(x, min(round(self.p * LEVELS), LEVELS - 1))

    def extra_repr(self) -> str:
        """The probability, for `print`."""
        return f"p={self.p}"


@torch.no_grad()
def _scale_of_kept(x: Tensor, dropped_levels: int) -> Tensor:
    """0 where an element is dropped, else the scale; as `x` in shape, type and memory format."""
    kept = _sixteen_bits(x.numel()).ge_(dropped_levels - LEVELS // 2)  # 0 and 1
    scale = torch.tensor(LEVELS / (LEVELS - dropped_levels), dtype=x.dtype)
    # Integers times the bits of the scale: in 16-bit types that saves a cast, which takes longer than the draws.
    bits = scale.view(_INTEGER_OF_BYTES[x.element_size()])
    scales = kept.to(bits.dtype).mul_(bits).view(x.dtype)
    # elements are exchangeable: any order of the draws serves, so the memory's own
    return scales.as_strided(x.shape, torch.empty_like(x).stride())


def _sixteen_bits(count: int) -> Tensor:
    """Random int16; numpy's generator is twice as fast as PyTorch's, which gives its seed."""
    seed = int(torch.randint(2**63 - 1, ()))
    words = np.random.SFC64(seed).random_raw(-(-count // 4))
    return torch.from_numpy(words.view(np.int16))[:count]
