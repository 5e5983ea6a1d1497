"""The two grids of a volume in 3D: the scan's own, on which masks are judged, and the one the network sees.

`resize` is DHC's protocol: whole volumes, trilinearly, to one shape whatever their spacing. `resample` brings them to
one spacing. Either way probabilities come back trilinearly, a few slices at a time: a CT of 512x512x300 with 14 classes
would take 4.4 GB a network.

Legend: C channels, N classes; Z, H, W of the scan's grid; d, h, w of the network's.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from dacl.config import ImageConfig
from dacl.data.case import SpacingMm

Shape3 = tuple[int, int, int]

SLAB_BYTES = 64 << 20
"""Probabilities of one network on the scan's grid at a time; one slice at least."""


def network_shape(shape_ZHW: Shape3, spacing_mm: SpacingMm | None, image: ImageConfig) -> Shape3:
    """Slices, rows and columns on the network's grid; unknown spacing leaves `resample` nothing to do."""
    if image.geometry == "resize":
        return image.volume_shape
    if spacing_mm is None:
        return shape_ZHW
    wanted_mm = (image.slice_spacing_mm, image.spacing_mm, image.spacing_mm)
    depth, height, width = (
        max(1, round(n * mm / wanted))
        for n, mm, wanted in zip(shape_ZHW, spacing_mm, wanted_mm, strict=True)
    )
    return depth, height, width


def image_to_network(
    image_CZHW: Float[np.ndarray, "C Z H W"], spacing_mm: SpacingMm | None, image: ImageConfig
) -> Float[Tensor, "C d h w"]:
    """A scan on the network's grid, float32."""
    volume = torch.from_numpy(image_CZHW)
    shape = network_shape(image_CZHW.shape[1:], spacing_mm, image)
    if volume.shape[1:] == shape:
        return volume
    if image.geometry == "resize":  # as published: without antialias
        return F.interpolate(volume[None], size=shape, mode="trilinear", align_corners=False)[0]
    # antialias, which torch has in two dimensions alone: in plane first, then along z with the planes as rows
    planes = F.interpolate(volume, size=shape[1:], mode="bilinear", antialias=True)
    columns = F.interpolate(
        planes.flatten(2)[None],
        size=(shape[0], shape[1] * shape[2]),
        mode="bilinear",
        antialias=True,
    )
    return columns[0].unflatten(2, shape[1:])


def label_to_network(
    label_ZHW: Integer[np.ndarray, "Z H W"], spacing_mm: SpacingMm | None, image: ImageConfig
) -> Integer[Tensor, "d h w"]:
    """A mask on the network's grid, each voxel that of the nearest."""
    label = torch.from_numpy(label_ZHW)
    shape = network_shape(label_ZHW.shape, spacing_mm, image)
    if label.shape == shape:
        return label
    return F.interpolate(label[None, None], size=shape, mode="nearest-exact")[0, 0]


def network_voxels(
    shape_ZHW: Shape3, spacing_mm: SpacingMm | None, image: ImageConfig
) -> tuple[Integer[Tensor, "Z"], Integer[Tensor, "H"], Integer[Tensor, "W"]]:
    """Slice, row and column of the network's grid that each slice, row and column of the scan lies in."""
    slices, rows, columns = (
        ((torch.arange(n, dtype=torch.float64) + 0.5) * size / n).floor().long()
        for n, size in zip(shape_ZHW, network_shape(shape_ZHW, spacing_mm, image), strict=True)
    )
    return slices, rows, columns


def native_slabs(
    slabs: Iterable[dict[str, Float[Tensor, "N d h w"]]], depth: int, shape_ZHW: Shape3
) -> Iterator[tuple[slice, dict[str, Float[Tensor, "N z H W"]]]]:
    """Probabilities on the network's grid, slab after slab along z -> the same on the scan's, slab after slab.

    Args:
        slabs: by network; together they are `depth` slices, in order.
        depth: d, slices of the network's grid.
        shape_ZHW: of the scan.

    Yields:
        Slices of the scan, and each network's probabilities there, trilinear between the centres of voxels. Of the
        slabs no more is held than lies between two slices of the scan.
    """
    slices = shape_ZHW[0]
    centre_Z = (torch.arange(slices, dtype=torch.float64) + 0.5) * depth / slices - 0.5
    centre_Z = centre_Z.clamp(0, depth - 1)
    low_Z = centre_Z.floor().long()
    high_Z = (low_Z + 1).clamp(max=depth - 1)
    share_Z = (centre_Z - low_Z).float()
    held: dict[str, Tensor] = {}
    first, done = 0, 0  # network slice that `held` begins with; slices of the scan yielded
    for slab in slabs:
        held = {
            name: torch.cat([held[name], new], 1) if held else new for name, new in slab.items()
        }
        some = next(iter(held.values()))
        ready = int(torch.searchsorted(high_Z, first + some.shape[1]))
        at_once = max(1, SLAB_BYTES // (4 * len(some) * shape_ZHW[1] * shape_ZHW[2]))
        while done < ready:
            z = slice(done, min(done + at_once, ready))
            between = (low_Z[z] - first, high_Z[z] - first, share_Z[z], shape_ZHW[1:])
            yield z, {name: _slices_between(probs, *between) for name, probs in held.items()}
            done = z.stop
        if done < slices:
            passed = min(int(low_Z[done]) - first, some.shape[1])
            held, first = {name: probs[:, passed:] for name, probs in held.items()}, first + passed


def _slices_between(
    probs_Nkhw: Tensor, low_z: Tensor, high_z: Tensor, share_z: Tensor, size: tuple[int, int]
) -> Tensor:
    device = probs_Nkhw.device
    share_z = share_z.to(device)[:, None, None]
    found = torch.lerp(probs_Nkhw[:, low_z.to(device)], probs_Nkhw[:, high_z.to(device)], share_z)
    if found.shape[2:] == size:
        return found
    return F.interpolate(found, size=size, mode="bilinear", align_corners=False)
