"""A case: one volume with its mask, geometry and origin.

Shapes: C channels, Z slices, H rows, W columns. A NIfTI array is (X, Y, Z) and is held transposed, so that
(Z, Y, X) = (Z, H, W).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from dacl.data.slabs import slabs

SpacingMm = tuple[float, float, float]

_FEW = 8  # the largest value up to which comparing with each is the fastest way to count


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One volume of one patient.

    Attributes:
        id: for example ``patient099_frame01``.
        patient: for example ``patient099``; splits are made of these.
        image_CZHW: the source's own integers where it has them, else float32. It and the label may be mapped from
            a file: whoever walks over them does so by `dacl.data.slabs`.
        label_ZHW: uint8 class indices, or None for an unlabeled case.
        spacing_mm: (z, y, x), or None where the source does not say.
        affine: (4, 4) float64, voxel (x, y, z) of the source to its world, as the source gives it.
        header: the source's NIfTI image header, byte for byte; empty if it has none.
        orientation: the source's axis codes, such as ``LAS``, where image and label were turned to LPS
            (see `dacl.data.orientation`); empty where they lie as in the source.
        source: file, relative to the raw folder -> sha256 of its bytes.
        phase: ``ED``, ``ES`` or empty.
        slope: the intensity is ``image_CZHW * slope + inter``.
        inter: see ``slope``.
        reading: the reader's options that decided the voxels, such as its classes; empty where none do.
        remarks: what the user should be told of this case.
    """

    id: str
    patient: str
    image_CZHW: np.ndarray
    label_ZHW: np.ndarray | None
    spacing_mm: SpacingMm | None
    affine: np.ndarray = field(default_factory=lambda: np.eye(4))
    header: bytes = b""
    orientation: str = ""
    source: dict[str, str] = field(default_factory=dict)
    phase: str = ""
    slope: float = 1.0
    inter: float = 0.0
    reading: str = ""
    remarks: tuple[str, ...] = ()


class Defect(NamedTuple):
    """What is wrong with a case: in its ``image`` or its ``label``, and how to mend it."""

    part: str
    problem: str
    fix: str


def defects(case: Case, n_classes: int, *, empty_mask: bool = False) -> list[Defect]:
    """Check the voxels and the spacing of a case; an empty list means that it can be trained on.

    ``empty_mask``: whether a mask of background alone is a sound one.
    """
    found = []
    image_CZHW, label_ZHW = case.image_CZHW, case.label_ZHW
    if image_CZHW.size == 0:
        problem = f"no voxels, shape {image_CZHW.shape[1:]}"
        found.append(Defect("image", problem, "download the file again"))
    else:
        found += _image_defects(image_CZHW)
    if case.spacing_mm is not None and not all(np.isfinite(s) and s > 0 for s in case.spacing_mm):
        found.append(
            Defect(
                "image",
                f"spacing {case.spacing_mm} mm (z, y, x)",
                "correct pixdim in the NIfTI header",
            )
        )
    if label_ZHW is None:
        return found
    if label_ZHW.shape != image_CZHW.shape[1:]:
        problem = f"mask has shape {label_ZHW.shape}, image {image_CZHW.shape[1:]} (Z, H, W)"
        found.append(Defect("label", problem, "use the mask that was drawn on this image"))
    values = np.flatnonzero(label_counts(label_ZHW))
    if (values >= n_classes).any():
        outside = values[values >= n_classes][:5].tolist()
        problem = f"label values {outside} out of range 0..{n_classes - 1}"
        found.append(Defect("label", problem, f"map the mask to 0..{n_classes - 1}"))
    elif not values.any() and not empty_mask:
        found.append(
            Defect(
                "label",
                "empty mask, background only",
                "remove the mask file to use the case as unlabeled",
            )
        )
    return found


def _image_defects(image_CZHW: np.ndarray) -> list[Defect]:
    bad_voxels, constant = 0, []
    for channel, image_ZHW in enumerate(image_CZHW):
        low, high = np.inf, -np.inf
        for part in slabs(image_ZHW):
            if part.dtype.kind == "f":
                bad_voxels += int(part.size - np.isfinite(part).sum())
            low, high = min(low, part.min()), max(high, part.max())
        if low == high:
            which = f", channel {channel}" if len(image_CZHW) > 1 else ""
            constant.append(f"constant image{which}, every voxel is {low}")
    if bad_voxels:
        fix = "export the volume again, or replace those voxels"
        return [Defect("image", f"{bad_voxels} NaN or infinite voxels", fix)]
    return [Defect("image", problem, "download the file again") for problem in constant]


def label_counts(label_ZHW: np.ndarray) -> np.ndarray:
    """Return the voxels of each value from 0 to the largest, at least of 256 values."""
    counts = np.zeros(256, np.int64)
    for part in slabs(label_ZHW):
        values = part.ravel()
        if values.size and values.dtype == np.uint8 and (high := int(values.max())) <= _FEW:
            # bytes are compared dozens at a time, bincount walks over them one by one
            more = np.array([np.count_nonzero(values == value) for value in range(high + 1)])
        elif values.dtype == np.uint8 and values.size % 2 == 0:
            # two at a time: counting is paid by the number, not by how large it is
            pairs = np.bincount(values.view(np.uint16), minlength=2**16).reshape(256, 256)
            more = pairs.sum(axis=0) + pairs.sum(axis=1)
        else:
            more = np.bincount(values)
        short = len(more) - len(counts)
        counts = np.pad(counts, (0, max(short, 0)))
        counts[: len(more)] += more
    return counts


def smallest_integers(image: np.ndarray) -> np.ndarray | None:
    """Return the same values in the smallest integer type, or None if they are not integers."""
    dtype = smallest_integer_type([image])
    return None if dtype is None else image.astype(dtype)


def smallest_integer_type(parts: Iterable[np.ndarray]) -> np.dtype | None:
    """Return the smallest integer type that holds every value, or None if they are not integers."""
    low = high = 0.0
    for part in parts:
        if part.dtype.kind == "f" and not (
            np.isfinite(part).all() and (part == np.round(part)).all()
        ):
            return None
        low, high = min(low, part.min(initial=0)), max(high, part.max(initial=0))
    for dtype in (np.uint8, np.int16, np.uint16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return None
