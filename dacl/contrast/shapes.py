"""Whether the shape of a tensor may follow from a value."""

import torch
from torch import Tensor


def can_look(tensor: Tensor) -> bool:
    """Whether reading a value costs nothing, so that shapes may follow from it: eager mode on the CPU.

    Elsewhere shapes are fixed. A GPU would have to be waited for, and a compiled graph would be made anew.
    """
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()
