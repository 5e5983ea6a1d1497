"""A case: one volume with its mask, geometry and origin.

Shapes: C channels, Z slices, H rows, W columns. A NIfTI array is (X, Y, Z) and is held transposed, so that
(Z, Y, X) = (Z, H, W).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

SpacingMm = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One volume of one patient.

    Attributes:
        id: for example ``patient099_frame01``.
        patient: for example ``patient099``; splits are made of these.
        image_CZHW: the source's own integers where it has them, else float32.
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


class Defect(NamedTuple):
    """What is wrong with a case: in its ``image`` or its ``label``, and how to mend it."""

    part: str
    problem: str
    fix: str


def defects(case: Case, n_classes: int) -> list[Defect]:
    """Check the voxels and the spacing of a case; an empty list means that it can be trained on."""
    found = []
    image_CZHW, label_ZHW = case.image_CZHW, case.label_ZHW
    bad_voxels = int(image_CZHW.size - np.isfinite(image_CZHW).sum())
    if bad_voxels:
        fix = "export the volume again, or replace those voxels"
        found.append(Defect("image", f"{bad_voxels} NaN or infinite voxels", fix))
    elif image_CZHW.size == 0:
        problem = f"no voxels, shape {image_CZHW.shape[1:]}"
        found.append(Defect("image", problem, "download the file again"))
    else:
        for channel, image_ZHW in enumerate(image_CZHW):
            if image_ZHW.min() == image_ZHW.max():
                which = f", channel {channel}" if len(image_CZHW) > 1 else ""
                problem = f"constant image{which}, every voxel is {image_ZHW.flat[0]}"
                found.append(Defect("image", problem, "download the file again"))
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
    if label_ZHW.size and int(label_ZHW.max()) >= n_classes:
        values = np.unique(label_ZHW[label_ZHW >= n_classes])[:5].tolist()
        problem = f"label values {values} out of range 0..{n_classes - 1}"
        found.append(Defect("label", problem, f"map the mask to 0..{n_classes - 1}"))
    elif not label_ZHW.any():
        found.append(
            Defect(
                "label",
                "empty mask, background only",
                "remove the mask file to use the case as unlabeled",
            )
        )
    return found


def smallest_integers(image: np.ndarray) -> np.ndarray | None:
    """Return the same values in the smallest integer type, or None if they are not integers."""
    if not np.isfinite(image).all() or (image != np.round(image)).any():
        return None
    low, high = image.min(initial=0), image.max(initial=0)
    for dtype in (np.uint8, np.int16, np.uint16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return image.astype(dtype)
    return None
