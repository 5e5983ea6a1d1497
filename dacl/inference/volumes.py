"""A trained method on a scan, in 2D or 3D as it was trained: its masks, its pseudo-labels, its probabilities."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dacl.config import ImageConfig
from dacl.data.case import SpacingMm
from dacl.inference import slices, windows
from dacl.inference.slices import PseudoLabel
from dacl.methods.base import Method


def predict_volume(
    method: Method,
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """uint8 class indices (Z, H, W) on the scan's own grid, for each of `method.judged`.

    Args:
        method: on `device`; put into evaluation mode here and back after.
        image_CZHW: float32, the intensity rule applied.
        spacing_mm: (z, y, x), or None where unknown.
        image: the geometry the method was trained under.
        device: where to compute.
    """
    by = windows if image.dims == 3 else slices
    return by.predict_volume(method, image_CZHW, spacing_mm, image, device)


def predict_pseudo_labels(
    method: Method,
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
    phi: float,
) -> dict[str, PseudoLabel]:
    """The masks of `predict_volume`, to the bit, and where their probability is above `phi`; from the same pass."""
    by = windows if image.dims == 3 else slices
    return by.predict_pseudo_labels(method, image_CZHW, spacing_mm, image, device, phi)


def probabilities(
    method: Method,
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
) -> Iterator[tuple[slice, dict[str, Float[Tensor, "N z H W"]]]]:
    """Class probabilities on the scan's own grid, a few slices at a time: all of them would take gigabytes.

    Yields slices of the scan from first to last, and float32 probabilities of each of `method.judged` there, on the
    device they were computed on. Their argmax is the mask of `predict_volume`, to the bit. Arguments as there; until
    the generator is exhausted or closed, `method` is in evaluation mode.
    """
    by = windows if image.dims == 3 else slices
    return by.probabilities(method, image_CZHW, spacing_mm, image, device)
