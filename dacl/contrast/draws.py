"""The random numbers of the contrast, drawn before it is computed: what follows is a pure function of tensors."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Draws(NamedTuple):
    """Scores uniform in [0, 1), for one network and step."""

    pixel_P: Float[Tensor, "P"]
    """Of every pixel: which are drawn as units."""
    other_P: Float[Tensor, "P"]
    """Of every pixel: which are drawn into the pool of negatives."""
    anchor_CQ: Float[Tensor, "C Q"]
    """Of every anchor that there can be: which become negatives of the other classes."""
    background_G: Float[Tensor, "G"]
    """Of every background unit that there can be: which become negatives."""
    unit_CM: Float[Tensor, "C M"]
    """Of every unit, for a choice of anchors and keys by chance."""
    bank_CL: Float[Tensor, "C L"]
    """Of every row of the bank, for the same."""


def draw(
    generator: torch.Generator,
    *,
    pixels: int,
    classes: int,
    units: int,
    anchors: int,
    background: int,
    bank: int,
) -> Draws:
    """Scores for all that there can be, on the generator's device.

    Args:
        generator: of the step's own stream.
        pixels: P.
        classes: C.
        units: M, the most that a class can have.
        anchors: Q, the most that a class can have.
        background: G, the most that there can be.
        bank: L.
    """
    sizes = [
        (pixels,),
        (pixels,),
        (classes, anchors),
        (background,),
        (classes, units),
        (classes, bank),
    ]
    return Draws(*(torch.rand(s, generator=generator, device=generator.device) for s in sizes))
