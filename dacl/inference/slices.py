"""A 2D method on a volume: slice by slice, the full field, every judged network in one pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from dacl.config import ImageConfig
from dacl.data.case import SpacingMm
from dacl.data.grid import (
    to_native,
    to_native_confident,
    to_native_probabilities,
    to_network,
)
from dacl.methods.base import Method

SLICES_AT_ONCE = 16
STRIDE = 16  # of the network's deepest stage: sides must be multiples of it


class PseudoLabel(NamedTuple):
    """What a network says of a volume, on the scan's own grid, and where it is sure."""

    mask_ZHW: Integer[np.ndarray, "Z H W"]
    """uint8 class indices."""
    confident_ZHW: Bool[np.ndarray, "Z H W"]
    """Whether the probability of that class is above phi."""


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
    shape_HW = image_CZHW.shape[2:]

    def to_grid(probs: Tensor) -> tuple[Tensor]:
        return (to_native(probs, shape_HW, spacing_mm, image),)

    volumes = _by_slices(method, image_CZHW, spacing_mm, image, device, to_grid)
    return {name: mask_ZHW for name, (mask_ZHW,) in volumes.items()}


def predict_pseudo_labels(
    method: Method,
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
    phi: float,
) -> dict[str, PseudoLabel]:
    """The masks of `predict_volume`, to the bit, and where their probability is above `phi`; from the same pass."""
    shape_HW = image_CZHW.shape[2:]

    def to_grid(probs: Tensor) -> tuple[Tensor, Tensor]:
        return to_native_confident(probs, shape_HW, spacing_mm, image, phi)

    volumes = _by_slices(method, image_CZHW, spacing_mm, image, device, to_grid)
    return {name: PseudoLabel(*arrays) for name, arrays in volumes.items()}


def probabilities(
    method: Method,
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
) -> Iterator[tuple[slice, dict[str, Float[Tensor, "N z H W"]]]]:
    """Slices of the scan from first to last, and the class probabilities of each judged network there, float32."""
    shape_HW = image_CZHW.shape[2:]
    for z, block in _blocks(method, image_CZHW, spacing_mm, image, device):
        native = {
            name: to_native_probabilities(probs, shape_HW, spacing_mm, image).transpose(0, 1)
            for name, probs in block.items()
        }
        yield z, native


def _by_slices(
    method: Method,
    image_CZHW: np.ndarray,
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
    to_grid: Callable[[Tensor], tuple[Tensor, ...]],
) -> dict[str, tuple[np.ndarray, ...]]:
    """What `to_grid` makes of each judged network's probabilities, the blocks of slices joined."""
    parts: dict[str, list[list[np.ndarray]]] = {name: [] for name in method.judged}
    for _, block in _blocks(method, image_CZHW, spacing_mm, image, device):
        for name, probs in block.items():
            parts[name].append([native.cpu().numpy() for native in to_grid(probs)])
    return {
        name: tuple(np.concatenate(column) for column in zip(*blocks, strict=True))
        for name, blocks in parts.items()
    }


@torch.no_grad()
def _blocks(
    method: Method,
    image_CZHW: np.ndarray,
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
) -> Iterator[tuple[slice, dict[str, Float[Tensor, "Z N h w"]]]]:
    """Blocks of slices, and each judged network's probabilities on its own grid."""
    with evaluating(method):
        for start in range(0, image_CZHW.shape[1], SLICES_AT_ONCE):
            z = slice(start, min(start + SLICES_AT_ONCE, image_CZHW.shape[1]))
            block = to_network(image_CZHW[:, z], spacing_mm, image, STRIDE)
            yield z, method.predict(block.to(device))


@contextmanager
def evaluating(method: Method) -> Iterator[None]:
    """`method` in evaluation mode, and afterwards in the mode it was in."""
    was_training = method.training
    method.eval()
    try:
        yield
    finally:
        method.train(was_training)
