"""The slices that training draws from, decoded once: one flat array of pixels, in memory or on the training device.

A split larger than its share of memory is decoded into a file that the system pages in as it is read.
"""

import os
import tempfile
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dacl.config import ImageConfig
from dacl.data.augment import Placement, source_pixels
from dacl.data.grid import training_slices
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.errors import DaclError

MEMORY_SHARE = 0.5  # of what is free when the pool is built


class Patches(NamedTuple):
    """A batch cut from a pool."""

    images_BCHW: Float[Tensor, "B 1 S S"]
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
        DaclError: no case, or a case that cannot be read.
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
        images: list[Tensor] = []
        masks: list[Tensor] = []
        sizes: list[tuple[int, int]] = []
        for case in cases:
            label = dataset.read_label(case.id) if labels else None
            stored, mask = training_slices(
                dataset.read_image(case.id), label, case.spacing_mm, image
            )
            images.append(stored.flatten())
            if mask is not None:
                masks.append(mask.flatten())
            sizes += [(stored.shape[1], stored.shape[2])] * stored.shape[0]
        if not sizes:
            raise DaclError(
                f"{dataset.root} has no {'labelled ' if labels else ''}case to draw from",
                "choose another --labeled, or prepare more cases",
            )
        # A GPU traces its own lookups; MPS has no double precision, which they need to equal scipy's.
        self._traced_on = device if device.type == "cuda" else torch.device("cpu")
        self.size_S2 = torch.tensor(sizes, device=self._traced_on)
        pixels_S = self.size_S2.prod(dim=1)
        self.offset_S = pixels_S.cumsum(0) - pixels_S
        self.pixels = _joined(images, device)
        self.mask_pixels = _joined(masks, device) if labels else None

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
        images = torch.where(inside, self.pixels[flat], 0.0).unsqueeze(1)
        if self.mask_pixels is None:
            return Patches(images, None)
        return Patches(images, torch.where(inside, self.mask_pixels[flat], 0).long())


def _joined(parts: list[Tensor], device: torch.device) -> Tensor:
    total = sum(part.numel() for part in parts)
    if device.type == "cpu" and total * parts[0].element_size() > MEMORY_SHARE * _free_memory():
        file = tempfile.NamedTemporaryFile(prefix="dacl-", suffix=".pixels")  # noqa: SIM115
        joined = np.memmap(file, dtype=parts[0].numpy().dtype, mode="w+", shape=(total,))
        np.concatenate([part.numpy() for part in parts], out=joined)
        return torch.from_numpy(joined)
    return torch.cat(parts).to(device)


def _free_memory() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # not told on this system
        return 1 << 62
