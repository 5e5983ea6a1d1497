"""A 2D method on a volume: slice by slice, the full field, every judged network in one pass."""

import numpy as np
import torch
from jaxtyping import Float

from dacl.config import ImageConfig
from dacl.data.grid import SpacingMm, to_native, to_network
from dacl.methods.base import Method

SLICES_AT_ONCE = 16
STRIDE = 16  # of the network's deepest stage: sides must be multiples of it


@torch.no_grad()
def predict_volume(
    method: Method,
    image_ZHW: Float[np.ndarray, "Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """uint8 class indices (Z, H, W) on the scan's own grid, for each of `method.judged`.

    Args:
        method: on `device`; put into evaluation mode here and back after.
        image_ZHW: float32, the intensity rule applied.
        spacing_mm: (z, y, x), or None where unknown.
        image: the geometry the method was trained under.
        device: where to compute.
    """
    was_training = method.training
    method.eval()
    parts: dict[str, list[np.ndarray]] = {name: [] for name in method.judged}
    try:
        for start in range(0, len(image_ZHW), SLICES_AT_ONCE):
            block = to_network(image_ZHW[start : start + SLICES_AT_ONCE], spacing_mm, image, STRIDE)
            for name, probs in method.predict(block.to(device)).items():
                native = to_native(probs, image_ZHW.shape[1:], spacing_mm, image)
                parts[name].append(native.cpu().numpy())
    finally:
        method.train(was_training)
    return {name: np.concatenate(blocks) for name, blocks in parts.items()}
