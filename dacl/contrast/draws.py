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
    negative_T: Float[Tensor, "T"]
    """Of every anchor that there can be, and of the background units: which become negatives."""
    unit_CM: Float[Tensor, "C M"]
    """Of every unit, for a choice of anchors and keys by chance."""
    bank_CL: Float[Tensor, "C L"]
    """Of every row of the bank, for the same."""


def draw(
    generator: torch.Generator, *, pixels: int, classes: int, units: int, others: int, bank: int
) -> Draws:
    """Scores for `pixels` pixels, and for C `classes` with `units` units and `bank` rows each, on the generator's device.

    Args:
        generator: of the step's own stream.
        pixels: P.
        classes: C.
        units: M, the most that a class can have.
        others: background units at most; T = C M + others.
        bank: L.
    """
    sizes = {"pixel_P": (pixels,), "other_P": (pixels,), "negative_T": (classes * units + others,),
             "unit_CM": (classes, units), "bank_CL": (classes, bank)}  # fmt: skip
    return Draws(**{
        name: torch.rand(size, generator=generator, device=generator.device)
        for name, size in sizes.items()
    })  # fmt: skip
