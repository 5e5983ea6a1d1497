"""The slices that training draws from, decoded once: one flat array of pixels, in memory or on the training device.

A split larger than its share of memory is decoded, case by case, into a file that the system pages in as it is read.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dacl.config import ImageConfig
from dacl.data.augment import Lines, Placement, source_lines, source_pixels
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
        self.offset_S = pixels_S.cumsum(0) - pixels_S
        if pixels_S.sum() < 2**31:  # lookups of half the width are the faster ones
            self.offset_S = self.offset_S.int()

        channels, total = len(dataset.channels), int(pixels_S.sum())
        flat, mask_pixels = room_for(
            device,
            (channels * (total + 1), torch.float32),
            (total + 1 if labels else 0, torch.uint8),
        )
        pixels = flat.view(channels, total + 1)
        self._nothing = (
            total  # the pixel after the last: what a patch shows where it leaves its slice
        )
        pixels[:, total] = 0
        mask_pixels[total:] = 0
        start = 0
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
        index_B = index_B.to(self._traced_on, non_blocking=True)
        size_B2, offset_B = self.size_S2[index_B], self.offset_S[index_B]
        lines = source_lines(placement.to(self._traced_on), size_B2, self.image)
        side = self.image.patch_size
        images = torch.empty((len(self.pixels_CP), len(index_B), side, side), device=self.device)
        labels = None
        if self.mask_pixels is not None:
            labels = torch.empty(images.shape[1:], dtype=torch.int64, device=self.device)
        width_B11, first_B11 = (at[:, None, None].to(offset_B) for at in (size_B2[:, 1], offset_B))
        # On a CPU slice by slice: the lookup of one stays in a core's cache, which is most of its speed.
        on_cpu = self.device.type == "cpu"
        step = 1 if on_cpu else max(1, len(index_B))
        for start in range(0, len(index_B), step):
            here = slice(start, start + step)
            straight = on_cpu and not placement.degrees_B[start]
            rows, columns, inside = source_pixels(
                Lines(*(part[here] for part in lines)), straight=straight
            )
            flat = first_B11[here] + rows * width_B11[here] + columns
            flat = flat.where(inside, self._nothing).flatten().to(self.device)
            for channel, pixels_P in enumerate(self.pixels_CP):
                torch.index_select(pixels_P, 0, flat, out=images[channel, here].view(-1))
            if labels is not None and self.mask_pixels is not None:
                labels[here].view(-1).copy_(self.mask_pixels.index_select(0, flat))
        return Patches(images.transpose(0, 1), labels)
