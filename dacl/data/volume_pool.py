"""The volumes that 3D training draws patches from, decoded once on the network's grid, in memory or in a paged file."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from dacl.config import ImageConfig
from dacl.data.crops import Crop, first_voxel
from dacl.data.paging import room_for
from dacl.data.pool import cases_to_draw
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.data.volume_grid import Shape3, image_to_network, label_to_network, network_shape


class VolumePatches(NamedTuple):
    """A batch cut from a pool."""

    images: Float[Tensor, "B C D S S"]
    labels: Int[Tensor, "B D S S"] | None
    """int64 class indices; None where the pool holds no labels."""


class VolumePool:
    """Volumes of a list of cases on the network's grid.

    Args:
        dataset: where the cases lie.
        cases: which of them.
        image: geometry and patch size.
        labels: read the labels too. Without, no label is opened at all.
        device: where the voxels stay.

    Raises:
        DaclError: no case, a case that cannot be read, or no room in the temporary folder.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        cases: Iterable[CaseInfo],
        image: ImageConfig,
        *,
        labels: bool,
        device: torch.device,
    ) -> None:
        self.image, self.device = image, device
        cases = cases_to_draw(dataset, cases, labels=labels)
        self.shapes: list[Shape3] = [
            network_shape(case.shape_ZHW, case.spacing_mm, image) for case in cases
        ]
        sizes = np.prod(self.shapes, axis=1, dtype=np.int64)
        self._first = [0, *np.cumsum(sizes).tolist()]
        channels, total = len(dataset.channels), self._first[-1]
        flat, mask = room_for(
            device, (channels * total, torch.float32), (total if labels else 0, torch.uint8)
        )
        pixels_CP = flat.view(channels, total)
        self._foreground: list[list[Tensor]] = []
        for number, case in enumerate(cases):
            here = self._span(number)
            pixels_CP[:, here] = image_to_network(
                dataset.read_image(case.id), case.spacing_mm, image
            ).flatten(1)
            if labels:
                label = dataset.read_label(case.id)
                mask[here] = label_to_network(label, case.spacing_mm, image).flatten()
                self._foreground.append(_voxels_by_class(mask[here]))
        self.pixels_CP = pixels_CP.to(device)
        self.mask_P = mask.to(device) if labels else None

    def __len__(self) -> int:
        return len(self.shapes)

    def patches(self, index_B: Int[Tensor, "B"], crops: Sequence[Crop]) -> VolumePatches:
        """Augmented patches of the volumes `index_B`; what lies outside a volume is 0, background."""
        size = (self.image.patch_depth, self.image.patch_size, self.image.patch_size)
        count, channels = len(crops), len(self.pixels_CP)
        images = torch.zeros((count, channels, *size), device=self.device)
        labels = None
        if self.mask_P is not None:
            labels = torch.zeros((count, *size), dtype=torch.int64, device=self.device)
        for b, (number, crop) in enumerate(zip(index_B.tolist(), crops, strict=True)):
            here, shape = self._span(number), self.shapes[number]
            centre = self._centre(number, crop)
            first = [
                first_voxel(extent, patch, shift, at)
                for extent, patch, shift, at in zip(shape, size, crop.shift, centre, strict=True)
            ]
            overlaps = list(map(_overlap, first, shape, size))
            source = tuple(of_volume for of_volume, _ in overlaps)
            target = tuple(of_patch for _, of_patch in overlaps)
            # the patch is mirrored with the empty space that may surround the volume in it
            mirrored = [axis for axis, flip in zip((-2, -1), crop.mirrored, strict=True) if flip]
            images[b][:, *target] = self.pixels_CP[:, here].unflatten(1, shape)[:, *source]
            images[b] = images[b].flip(mirrored)
            if labels is not None and self.mask_P is not None:
                labels[b][target] = self.mask_P[here].view(shape)[source].long()
                labels[b] = labels[b].flip(mirrored)
        return VolumePatches(images, labels)

    def _span(self, number: int) -> slice:
        return slice(self._first[number], self._first[number + 1])

    def _centre(self, number: int, crop: Crop) -> Sequence[int | None]:
        """The voxel that the patch is centred on, if any."""
        classes = self._foreground[number] if self._foreground else []
        if not classes or crop.centred >= self.image.foreground_fraction:
            return (None, None, None)
        voxels = classes[int(crop.of_class * len(classes))]
        flat = int(voxels[int(crop.at_voxel * len(voxels))])
        return [int(at) for at in np.unravel_index(flat, self.shapes[number])]


def _voxels_by_class(mask: Integer[Tensor, "P"]) -> list[Tensor]:
    """Where the voxels of every foreground class of one volume lie, absent classes left out."""
    foreground = mask.nonzero().squeeze(1).int()  # half the memory
    classes, order = mask[foreground].sort(stable=True)
    counts = torch.unique_consecutive(classes, return_counts=True)[1].tolist()
    return list(foreground[order].split(counts)) if counts else []


def _overlap(first: int, extent: int, patch: int) -> tuple[slice, slice]:
    """Which part of a volume's axis the patch shows, and in which part of the patch."""
    start, stop = max(first, 0), min(first + patch, extent)
    return slice(start, stop), slice(start - first, stop - first)
