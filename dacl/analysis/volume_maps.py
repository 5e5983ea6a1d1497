"""What a 3D network's map holds at chosen voxels: each is looked at in the window that has most context around it.

Sliding windows average probabilities; features are not averaged, because no single pass ever yields their mean.
Legend: M voxels, F features of the map; d, h, w of the network's grid.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from dacl.config import ImageConfig
from dacl.inference.windows import windows_along


def at_voxels(
    map_of: Callable[[Tensor], Tensor],
    volume_Cdhw: Float[Tensor, "C d h w"],
    voxel_M3: Int[Tensor, "M 3"],
    image: ImageConfig,
    stride: int,
    device: torch.device,
) -> Float[Tensor, "M F"]:
    """Vectors of the cells that the voxels lie in, on `device`.

    Args:
        map_of: windows (1, C, D, S, S) -> a map of them (1, F, *s).
        volume_Cdhw: on the network's grid.
        voxel_M3: slice, row and column there.
        image: size and overlap of the windows.
        stride: cells of the volume have this side, and windows begin with one.
        device: where to compute.
    """
    patch = (image.patch_depth, image.patch_size, image.patch_size)
    margins: list[int] = []
    before, starts = [], []
    for extent, side in zip(volume_Cdhw.shape[1:], patch, strict=True):
        whole = max(side, -(-extent // stride) * stride)
        before.append((whole - extent) // (2 * stride) * stride)
        margins = [
            before[-1],
            whole - extent - before[-1],
            *margins,
        ]  # F.pad begins with the last axis
        windows = windows_along(whole, side, image.window_overlap)
        starts.append(torch.tensor([start // stride * stride for start, _ in windows]))
    padded = F.pad(volume_Cdhw, margins)
    place_M3 = voxel_M3 + torch.tensor(before)
    corners = []
    for axis, side in enumerate(patch):
        centre_K = starts[axis] + (side - 1) / 2
        nearest_M = (place_M3[:, axis, None] - centre_K).abs().argmin(dim=1)
        corners.append(starts[axis][nearest_M])
    corner_M3 = torch.stack(corners, dim=1)
    found: Tensor | None = None
    for corner in torch.unique(corner_M3, dim=0):
        mine_M = (corner_M3 == corner).all(dim=1)
        z, y, x = (slice(at, at + side) for at, side in zip(corner.tolist(), patch, strict=True))
        cells = map_of(padded[None, :, z, y, x].to(device))[0]
        scale = patch[-1] // cells.shape[-1]
        at = ((place_M3[mine_M] - corner) // scale).to(device)
        vectors = cells[:, at[:, 0], at[:, 1], at[:, 2]].T
        if found is None:
            found = vectors.new_empty((len(voxel_M3), vectors.shape[1]))
        found[mine_M.to(device)] = vectors
    assert found is not None, "no voxel asked for"
    return found
