"""The slices that training draws from, decoded once: one flat array of pixels, in memory or on the training device.

A split larger than its share of memory is decoded, case by case, into a file that the system pages in as it is read.
"""

import os
import tempfile
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dacl.config import ImageConfig
from dacl.data.augment import Placement, source_pixels
from dacl.data.grid import stored_size, training_slices
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.errors import DaclError

MEMORY_SHARE = 0.5  # of what is free when the pool is built


class Patches(NamedTuple):
    """A batch cut from a pool."""

    images_BCHW: Float[Tensor, "B C S S"]
    labels_BHW: Int[Tensor, "B S S"] | None
    """int64 class indices; None where the pool holds no labels."""


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
        cases = list(cases)
        if not cases:
            raise DaclError(
                f"{dataset.root} has no {'labelled ' if labels else ''}case to draw from",
                "choose another --labeled, or prepare more cases",
            )
        stored_HW = [stored_size(case.shape_ZHW[1:], case.spacing_mm, image) for case in cases]
        slices = [case.shape_ZHW[0] for case in cases]
        # A GPU traces its own lookups; MPS has no double precision, which they need to equal scipy's.
        self._traced_on = device if device.type == "cuda" else torch.device("cpu")
        sizes = [size for size, count in zip(stored_HW, slices, strict=True) for _ in range(count)]
        self.size_S2 = torch.tensor(sizes, device=self._traced_on)
        pixels_S = self.size_S2.prod(dim=1)
        self.offset_S = pixels_S.cumsum(0) - pixels_S

        channels, total = len(dataset.channels), int(pixels_S.sum())
        needed = (4 * channels + 1) * total  # bytes: float32 pixels and uint8 masks
        in_file = device.type == "cpu" and needed > MEMORY_SHARE * _free_memory()
        new = _in_file if in_file else torch.empty
        try:
            pixels = new(channels * total, dtype=torch.float32).view(channels, total)
            mask_pixels = new(total, dtype=torch.uint8) if labels else torch.empty(0)
        except OSError as error:
            raise DaclError(
                f"not enough disk in the temporary folder {tempfile.tempdir or ''}: {error}",
                f"set TMPDIR to a folder with {needed // 10**6 + 1} MB free",
            ) from error
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
        index_B = index_B.to(self._traced_on)
        size_B2 = self.size_S2[index_B]
        rows, columns, inside = source_pixels(placement.to(self._traced_on), size_B2, self.image)
        flat = self.offset_S[index_B][:, None, None] + rows * size_B2[:, 1, None, None] + columns
        flat = flat.where(inside, 0).to(self.device)
        inside = inside.to(self.device)
        images = torch.where(inside, self.pixels_CP[:, flat], 0.0).transpose(0, 1)
        if self.mask_pixels is None:
            return Patches(images, None)
        return Patches(images, torch.where(inside, self.mask_pixels[flat], 0).long())


def _in_file(count: int, *, dtype: torch.dtype) -> Tensor:
    """Pixels in a file of the temporary folder; OSError if it has no room for them."""
    # the memory map keeps the unlinked file alive for as long as the pool lives
    with tempfile.NamedTemporaryFile(prefix="dacl-", suffix=".pixels") as file:
        if hasattr(os, "posix_fallocate"):
            # a sparse file on a full disk would end the process with SIGBUS at the first write
            os.posix_fallocate(file.fileno(), 0, count * dtype.itemsize)
        return torch.from_file(file.name, shared=True, size=count, dtype=dtype)


def _free_memory() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # not told on this system
        return 1 << 62
