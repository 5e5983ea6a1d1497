"""Class probabilities of one or several models, mirrored or not, averaged on the scan's own grid.

Legend: C channels, N classes; Z, H, W the scan's grid, z a few of its slices.
"""

import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dacl.data.case import SpacingMm
from dacl.inference.scratch import scratch_array
from dacl.inference.volumes import probabilities
from dacl.prediction.model import Model

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Axes that are mirrored, in plane: left and right, front and back, both."""
IN_MEMORY = 1 << 30
"""Bytes of sums that are held in memory; larger ones lie in a temporary file."""
_SLAB_BYTES = 64 << 20


def averaged(
    models: Sequence[Model],
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    device: torch.device,
    *,
    tta: bool = False,
) -> Iterator[tuple[slice, Float[Tensor, "N z H W"]]]:
    """Slices of the scan from first to last, and the mean of all passes' class probabilities there, fp32.

    Args:
        models: each under its own geometry.
        image_CZHW: float32, the intensity rule applied.
        spacing_mm: (z, y, x), or None where unknown.
        device: where to compute.
        tta: average over the four in-plane mirrorings (`FLIPS`), too.
    """
    passes = [(model, axes) for model in models for axes in (FLIPS if tta else FLIPS[:1])]
    if len(passes) == 1:
        for z, probs in _one_pass(models[0], (), image_CZHW, spacing_mm, device):
            yield z, probs
        return
    depth, height, width = image_CZHW.shape[1:]
    shape = (len(models[0].meta.class_names), depth, height, width)
    # One pass after the other: passes in step would each hold a model's windows.
    with tempfile.TemporaryFile() as file:
        if 4 * np.prod(shape, dtype=np.int64) <= IN_MEMORY:
            stored = np.zeros(shape, np.float32)
        else:
            stored = scratch_array(file, shape)
        sums_NZHW = torch.from_numpy(stored)
        for model, axes in passes:
            for z, probs in _one_pass(model, axes, image_CZHW, spacing_mm, device):
                sums_NZHW[:, z] += probs.cpu()
        at_once = max(1, _SLAB_BYTES // (4 * shape[0] * height * width))
        for start in range(0, depth, at_once):
            z = slice(start, min(start + at_once, depth))
            yield z, sums_NZHW[:, z] / len(passes)


def _one_pass(
    model: Model,
    axes: tuple[int, ...],
    image_CZHW: np.ndarray,
    spacing_mm: SpacingMm | None,
    device: torch.device,
) -> Iterator[tuple[slice, Tensor]]:
    # torch takes no negative strides
    mirrored = np.ascontiguousarray(np.flip(image_CZHW, axes)) if axes else image_CZHW
    for z, probs in probabilities(model.method, mirrored, spacing_mm, model.config.image, device):
        found = probs[model.network]
        yield z, found.flip(axes) if axes else found
