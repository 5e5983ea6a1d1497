"""The slices that training draws from, decoded once: one flat array of pixels, in memory or on the training device.

A split larger than its share of memory is decoded, case by case, into a file that the system pages in as it is read.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dacl.config import ImageConfig
from dacl.data.augment import Placement, lookups, source_pixels
from dacl.data.grid import stored_size, training_slices
from dacl.data.paging import room_for
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.errors import DaclError


class Patches(NamedTuple):
    """A batch cut from a pool."""

    images_BCHW: Float[Tensor, "B C S S"]
    labels_BHW: Int[Tensor, "B S S"] | None
    """int64 class indices; None where the pool holds no labels."""


def cases_to_draw(
    dataset: PreparedDataset, cases: Iterable[CaseInfo], *, labels: bool
) -> list[CaseInfo]:
    """The cases of a pool; DaclError if there are none."""
    found = list(cases)
    if not found:
        raise DaclError(
            f"{dataset.root} has no {'labelled ' if labels else ''}case to draw from",
            "choose another --labeled, or prepare more cases",
        )
    return found


class SlicePool:
    """Slices of a list of cases on the grid that training stores them on.

    Args:
        dataset: where the cases lie.
        cases: which of them.
        image: geometry and patch size.
        labels: read the labels too. Without, no label is opened at all.
        device: where the pixels stay.

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
        self.image = image
        self.device = device
        cases = cases_to_draw(dataset, cases, labels=labels)
        stored_HW = [stored_size(case.shape_ZHW[1:], case.spacing_mm, image) for case in cases]
        slices = [case.shape_ZHW[0] for case in cases]
        # A GPU traces its own lookups; MPS has no double precision, which they need to equal scipy's.
        self._traced_on = device if device.type == "cuda" else torch.device("cpu")
        sizes = [size for size, count in zip(stored_HW, slices, strict=True) for _ in range(count)]
        self.size_S2 = torch.tensor(sizes, device=self._traced_on)
        pixels_S = self.size_S2.prod(dim=1)
        self.end_S = pixels_S.cumsum(0)

        channels, total = len(dataset.channels), int(pixels_S.sum())
        # Pixel 0 belongs to no slice: it is what a patch shows where it leaves its slice.
        flat, mask_pixels = room_for(
            device, (channels * (1 + total), torch.float32), (labels * (1 + total), torch.uint8)
        )
        pixels = flat.view(channels, 1 + total)
        pixels[:, 0], mask_pixels[:1] = 0, 0
        start = 1
        for case in cases:
            label = dataset.read_label(case.id) if labels else None
            stored, mask = training_slices(
                dataset.read_image(case.id), label, case.spacing_mm, image
            )
            end = start + stored[0].numel()
            pixels[:, start:end] = stored.flatten(1)
            if mask is not None:
                mask_pixels[start:end] = mask.flatten()
            start = end
        self.pixels_CP = pixels.to(device)
        self.mask_pixels = mask_pixels.to(device) if labels else None

    def __len__(self) -> int:
        return len(self.size_S2)

    def patches(self, index_B: Int[Tensor, "B"], placement: Placement) -> Patches:
        """Augmented patches of the slices `index_B`; what lies outside a slice is 0, background."""
        if self.device.type == "cpu":
            return self._slice_by_slice(index_B, placement)
        return self._all_at_once(index_B, placement)

    def _all_at_once(self, index_B: Tensor, placement: Placement) -> Patches:
        index_B = index_B.to(self._traced_on, non_blocking=True)
        size_B2 = self.size_S2[index_B]
        index = source_pixels(placement.to(self._traced_on), size_B2, self.image)
        before_B = self.end_S[index_B] - size_B2.prod(dim=1)
        index = torch.where(index > 0, before_B[:, None, None] + index, 0).to(self.device)
        labels = None if self.mask_pixels is None else self.mask_pixels[index].long()
        return Patches(self.pixels_CP[:, index].transpose(0, 1), labels)

    def _slice_by_slice(self, index_B: Tensor, placement: Placement) -> Patches:
        """The same. Each slice is copied first, so that the lookup meets it in a core's cache."""
        count, side = len(index_B), self.image.patch_size
        images = torch.empty((count, len(self.pixels_CP), side, side))
        labels = None
        if self.mask_pixels is not None:
            labels = torch.empty((count, side, side), dtype=torch.int64)
        ends, sizes = self.end_S[index_B].tolist(), self.size_S2[index_B].tolist()
        found = lookups(placement, self.size_S2[index_B], self.image)
        for b, (end, (height, width), index) in enumerate(zip(ends, sizes, found, strict=True)):
            here = slice(end - height * width, end + 1)
            for channel, pixels_P in enumerate(self.pixels_CP):
                near = pixels_P[here].clone()
                near[0] = 0
                torch.index_select(near, 0, index, out=images[b, channel].view(-1))
            if labels is not None and self.mask_pixels is not None:
                near = self.mask_pixels[here].clone()
                near[0] = 0
                labels[b].view(-1).copy_(near.index_select(0, index))
        return Patches(images, labels)
