"""The two grids of a slice: the scan's own, on which masks are judged, and the one the network sees.

`resize` is the published ACDC protocol: order-0 to a square and back. `resample` keeps the field and its proportions:
slices are brought to one in-plane spacing, the network sees the full field, and its probabilities come back bilinearly.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.nn import functional as F

from dacl.config import ImageConfig
from dacl.data.case import SpacingMm
from dacl.label_map import label_map


def nearest_index(source: int, target: int) -> Integer[Tensor, "target"]:
    """Source index of each target pixel for an order-0 zoom whose corner pixels coincide (scipy.ndimage.zoom)."""
    step = (source - 1) / max(target - 1, 1)
    return (torch.arange(target, dtype=torch.float64) * step + 0.5).floor().long()  # halves go up


def resampled_size(
    shape_HW: tuple[int, int], spacing_mm: SpacingMm | None, image: ImageConfig
) -> tuple[int, int]:
    """Pixels of a slice on the network's grid under `resample`; unknown spacing leaves it as it is."""
    if spacing_mm is None:
        return shape_HW
    height, width = (
        max(1, round(n * mm / image.spacing_mm))
        for n, mm in zip(shape_HW, spacing_mm[1:], strict=True)
    )
    return height, width


def stored_size(
    shape_HW: tuple[int, int], spacing_mm: SpacingMm | None, image: ImageConfig
) -> tuple[int, int]:
    """Height and width of what `training_slices` returns."""
    if image.geometry == "resize":
        return shape_HW
    return resampled_size(shape_HW, spacing_mm, image)


def training_slices(
    image_CZHW: Float[np.ndarray, "C Z H W"],
    label_ZHW: Integer[np.ndarray, "Z H W"] | None,
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
) -> tuple[Tensor, Tensor | None]:
    """A volume's slices as training stores them: float32 images (C, Z, h, w) and uint8 labels or None.

    `resize` stores the scan's own grid, because augmentation and zoom are one lookup (see `augment`).
    """
    images = torch.from_numpy(image_CZHW)
    labels = None if label_ZHW is None else torch.from_numpy(label_ZHW)
    size = stored_size(image_CZHW.shape[2:], spacing_mm, image)
    images = _resample(images, size)
    if labels is not None and labels.shape[1:] != size:
        labels = F.interpolate(labels[:, None], size=size, mode="nearest-exact")[:, 0]
    return images, labels


def to_network(
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    stride: int,
) -> Float[Tensor, "Z C h w"]:
    """A volume's slices as inference feeds them; `resample` pads below and right to a multiple of `stride`."""
    images = torch.from_numpy(image_CZHW)
    if image.geometry == "resize":
        rows, columns = (nearest_index(n, image.patch_size) for n in images.shape[2:])
        return images[:, :, rows][..., columns].transpose(0, 1)
    height, width = resampled_size((images.shape[2], images.shape[3]), spacing_mm, image)
    images = _resample(images, (height, width))
    return F.pad(images, (0, -width % stride, 0, -height % stride)).transpose(0, 1)


def network_pixels(
    shape_HW: tuple[int, int], spacing_mm: SpacingMm | None, image: ImageConfig
) -> tuple[Integer[Tensor, "H"], Integer[Tensor, "W"]]:
    """Row and column of the network's grid (before its padding) that lie nearest to each row and column of the scan."""
    if image.geometry == "resize":
        rows, columns = (nearest_index(image.patch_size, n) for n in shape_HW)
        return rows, columns
    rows, columns = (
        ((torch.arange(n, dtype=torch.float64) + 0.5) * size / n).floor().long()
        for n, size in zip(shape_HW, resampled_size(shape_HW, spacing_mm, image), strict=True)
    )
    return rows, columns


def to_native(
    probs_ZNhw: Float[Tensor, "Z N h w"],
    shape_HW: tuple[int, int],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
) -> Integer[Tensor, "Z H W"]:
    """Class probabilities on the network's grid -> uint8 class indices on the scan's own."""
    if image.geometry == "resize":
        return _nearest(label_map(probs_ZNhw).byte(), shape_HW, image)
    return label_map(_bilinear(probs_ZNhw, shape_HW, spacing_mm, image)).byte()


def to_native_confident(
    probs_ZNhw: Float[Tensor, "Z N h w"],
    shape_HW: tuple[int, int],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    phi: float,
) -> tuple[Integer[Tensor, "Z H W"], Bool[Tensor, "Z H W"]]:
    """The masks of `to_native`, and where their probability is above `phi`."""
    if image.geometry == "resize":
        masks = _nearest(label_map(probs_ZNhw).byte(), shape_HW, image)
        return masks, _nearest(probs_ZNhw.amax(dim=1) > phi, shape_HW, image)
    native = _bilinear(probs_ZNhw, shape_HW, spacing_mm, image)
    return label_map(native).byte(), native.amax(dim=1) > phi


def to_native_probabilities(
    probs_ZNhw: Float[Tensor, "Z N h w"],
    shape_HW: tuple[int, int],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
) -> Float[Tensor, "Z N H W"]:
    """Class probabilities on the scan's own grid: `to_native` is their argmax."""
    if image.geometry == "resize":
        rows, columns = (nearest_index(image.patch_size, n).to(probs_ZNhw.device) for n in shape_HW)
        return probs_ZNhw[:, :, rows][..., columns]
    return _bilinear(probs_ZNhw, shape_HW, spacing_mm, image)


def _nearest(values_Zhw: Tensor, shape_HW: tuple[int, int], image: ImageConfig) -> Tensor:
    rows, columns = (nearest_index(image.patch_size, n).to(values_Zhw.device) for n in shape_HW)
    return values_Zhw[:, rows][:, :, columns]


def _bilinear(
    probs_ZNhw: Tensor,
    shape_HW: tuple[int, int],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
) -> Tensor:
    height, width = resampled_size(shape_HW, spacing_mm, image)
    field = probs_ZNhw[:, :, :height, :width]  # without the padding
    return F.interpolate(field, size=shape_HW, mode="bilinear", align_corners=False)


def _resample(images_CZHW: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images_CZHW.shape[2:]) == size:
        return images_CZHW
    # antialias: a scan of 0.7 mm loses every second pixel otherwise
    return F.interpolate(images_CZHW, size=size, mode="bilinear", antialias=True)
