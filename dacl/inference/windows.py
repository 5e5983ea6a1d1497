"""A 3D method on a volume: overlapping windows, weighted towards their centres, every judged network in one pass.

Near its border a window lacks context: each is weighted by a Gaussian around its centre, sigma an eighth of its side
(the practice that nnU-Net made standard), and the weights of the windows over a voxel are scaled to add up to 1.

Windows go along z, and slices that no later window reaches are finished: a few at a time they are brought to the scan's
grid, used and dropped. What is held does not grow with the number of slices: the N classes of each network on
`patch_depth` slices of the network's grid in float32 (two networks, 14 classes, 64 slices of 256x256: 0.5 GB), and of
the scan's grid some SLAB_BYTES (64 MB) of each.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from dacl.config import ImageConfig
from dacl.data.case import SpacingMm
from dacl.data.volume_grid import image_to_network, native_slabs
from dacl.inference.slices import PseudoLabel, evaluating
from dacl.label_map import mask_of
from dacl.methods.base import Method

SLICES_AT_ONCE = 8
WINDOWS_AT_ONCE = {"cpu": 1, "cuda": 4, "mps": 1}
GPU_SHARE = 0.5
"""Of the GPU's free memory that what is held may take; it lies in the host's memory otherwise."""

Window = tuple[int, Float[Tensor, "side"]]
"""Along one axis: where it begins, and its weights."""


def predict_volume(
    method: Method,
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """uint8 class indices (Z, H, W) on the scan's own grid, for each of `method.judged`; arguments as in `slices`."""
    masks = {name: np.empty(image_CZHW.shape[1:], np.uint8) for name in method.judged}
    for z, probs in probabilities(method, image_CZHW, spacing_mm, image, device):
        for name, probs_NzHW in probs.items():
            masks[name][z] = mask_of(probs_NzHW)
    return masks


def predict_pseudo_labels(
    method: Method,
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
    phi: float,
) -> dict[str, PseudoLabel]:
    """The masks of `predict_volume`, to the bit, and where their probability is above `phi`; from the same pass."""
    shape = image_CZHW.shape[1:]
    labels = {
        name: PseudoLabel(np.empty(shape, np.uint8), np.empty(shape, bool))
        for name in method.judged
    }
    for z, probs in probabilities(method, image_CZHW, spacing_mm, image, device):
        for name, probs_NzHW in probs.items():
            labels[name].mask_ZHW[z] = mask_of(probs_NzHW)
            labels[name].confident_ZHW[z] = (probs_NzHW.amax(dim=0) > phi).cpu().numpy()
    return labels


def probabilities(
    method: Method,
    image_CZHW: Float[np.ndarray, "C Z H W"],
    spacing_mm: SpacingMm | None,
    image: ImageConfig,
    device: torch.device,
) -> Iterator[tuple[slice, dict[str, Float[Tensor, "N z H W"]]]]:
    """Slices of the scan from below to above, and the class probabilities of each judged network there, float32."""
    volume = image_to_network(image_CZHW, spacing_mm, image)
    slabs = window_slabs(method, volume, image, device)
    return native_slabs(slabs, volume.shape[1], image_CZHW.shape[1:])


@torch.no_grad()
def window_slabs(
    method: Method, volume_Cdhw: Float[Tensor, "C d h w"], image: ImageConfig, device: torch.device
) -> Iterator[dict[str, Float[Tensor, "N z h w"]]]:
    """Class probabilities of each judged network on the network's grid, in slabs that follow each other along z."""
    patch = (image.patch_depth, image.patch_size, image.patch_size)
    padded_Cdhw, (z, y, x) = _with_room(volume_Cdhw, patch)
    depths, rows, columns = (
        windows_along(extent, side, image.window_overlap)
        for extent, side in zip(padded_Cdhw.shape[1:], patch, strict=True)
    )
    plane = [(row, column) for row in rows for column in columns]
    sums = _Sums(method, patch[0], tuple(padded_Cdhw.shape[2:]), device)
    with evaluating(method):
        for number, (top, weight_D) in enumerate(depths):
            _add_layer(sums, method, padded_Cdhw[:, top : top + patch[0]], weight_D, plane, device)
            last = number + 1 == len(depths)
            count = patch[0] if last else depths[number + 1][0] - top
            # a volume that was padded along z is one window deep
            wanted = z if len(depths) == 1 else slice(0, count)
            for slab in sums.finished(wanted):
                yield {name: probs[:, :, y, x] for name, probs in slab.items()}
            sums.advance(count)


def _with_room(
    volume_Cdhw: Float[Tensor, "C d h w"], patch: tuple[int, int, int]
) -> tuple[Tensor, list[slice]]:
    """The volume with 0 around it where a window is larger, and where it lies in that along d, h and w."""
    padding: list[int] = []
    places = []
    for side, extent in zip(patch, volume_Cdhw.shape[1:], strict=True):
        missing = max(0, side - extent)
        before = missing // 2
        padding = [before, missing - before, *padding]  # F.pad begins with the last axis
        places.append(slice(before, before + extent))
    return F.pad(volume_Cdhw, padding), places


def _add_layer(
    sums: "_Sums",
    method: Method,
    layer_CDhw: Tensor,
    weight_D: Tensor,
    plane: Sequence[tuple[Window, Window]],
    device: torch.device,
) -> None:
    """Predict the windows of one depth, a few at a time, and add them to the sums.

    Args:
        sums: at that depth.
        method: in evaluation mode.
        layer_CDhw: as deep as a window.
        weight_D: of the windows along z.
        plane: every window, by row and by column.
        device: where `method` computes.
    """
    at_once = WINDOWS_AT_ONCE.get(device.type, 1)
    for begin in range(0, len(plane), at_once):
        some = plane[begin : begin + at_once]
        windows = [
            layer_CDhw[:, :, row : row + len(weight_S), column : column + len(weight_T)]
            for (row, weight_S), (column, weight_T) in some
        ]
        found = method.predict(torch.stack(windows).to(device))
        for b, ((row, weight_S), (column, weight_T)) in enumerate(some):
            weight_DST = weight_D[:, None, None] * weight_S[:, None] * weight_T
            sums.add({name: probs[b] for name, probs in found.items()}, weight_DST, row, column)


def windows_along(extent: int, side: int, overlap: float) -> list[Window]:
    """Where the windows along one axis begin, evenly spread, and their weights, which add up to 1 at every voxel.

    Args:
        extent: voxels, `side` or more.
        side: of the window.
        overlap: share of the side that neighbours have in common, at least.
    """
    room, step = extent - side, max(1, int(side * (1 - overlap)))
    count = -(-room // step) + 1
    starts = [round(i * room / max(count - 1, 1)) for i in range(count)]
    offset = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) / (side / 8)
    bell = (-0.5 * offset.square()).exp()
    total = torch.zeros(extent, dtype=torch.float64)
    for start in starts:
        total[start : start + side] += bell
    return [(start, (bell / total[start : start + side]).float()) for start in starts]


class _Sums:
    """Weighted sums of the windows' probabilities on the slices that windows still reach.

    Args:
        method: whose networks are summed. `mean` is not: of weighted sums it is the mean too.
        depth: slices of a window.
        size: rows and columns of the volume.
        device: where the windows come from.
    """

    def __init__(
        self, method: Method, depth: int, size: Sequence[int], device: torch.device
    ) -> None:
        self.judged = method.judged
        self.names = [name for name in method.judged if name != "mean"]
        shape = (method.classes, depth, *size)
        if device.type == "cuda":
            needed = 4 * len(self.names) * int(np.prod(shape))
            free, _ = torch.cuda.mem_get_info(device)
            device = device if needed < GPU_SHARE * free else torch.device("cpu")
        self.sums = {name: torch.zeros(shape, device=device) for name in self.names}
        self.device = device

    def add(self, probs: dict[str, Tensor], weight_DST: Tensor, row: int, column: int) -> None:
        """One window, at the current depth."""
        height, width = weight_DST.shape[1:]
        for name, total in self.sums.items():
            place = total[:, :, row : row + height, column : column + width]
            place.addcmul_(probs[name].to(self.device), weight_DST.to(self.device))

    def finished(self, wanted: slice) -> Iterator[dict[str, Tensor]]:
        """Copies of the slices that no later window reaches, a few at a time, of each judged network."""
        for start in range(wanted.start, wanted.stop, SLICES_AT_ONCE):
            z = slice(start, min(start + SLICES_AT_ONCE, wanted.stop))
            slab = {name: total[:, z].clone() for name, total in self.sums.items()}
            if "mean" in self.judged:
                slab["mean"] = torch.stack(list(slab.values())).mean(dim=0)
            yield slab

    def advance(self, count: int) -> None:
        """Drop the first `count` slices; the rest moves up, and windows are added to empty ones below."""
        for total in self.sums.values():
            for of_class in total:  # one after the other: a copy of one class, not of all
                of_class[:-count] = of_class[count:].clone()
                of_class[-count:] = 0
