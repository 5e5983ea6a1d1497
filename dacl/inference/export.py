"""Predictions as NIfTI on the geometry of the scan they were made from."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dacl.data.orientation import axis_order, from_canonical
from dacl.data.prepared import Geometry

_NIFTI2_HEADER_BYTES = 540


def why_no_nifti() -> str | None:
    """A line that says why NIfTI cannot be written here, or None if it can."""
    if find_spec("nibabel") is None:
        return (
            "predictions were not written as NIfTI: nibabel is not installed (pip install nibabel)"
        )
    return None


def write_nifti(path: Path, mask_ZHW: UInt8[np.ndarray, "Z H W"], geometry: Geometry) -> None:
    """Write class indices as `.nii.gz`, atomically; the voxel order is the source's, turned back from LPS.

    The source's header is kept byte for byte but for what describes voxel values: data type,
    scaling, display range. Without one, affine and spacing of the geometry are written.
    """
    import nibabel

    mask_XYZ = from_canonical(mask_ZHW.transpose(2, 1, 0), geometry.orientation)
    mask_XYZ = np.ascontiguousarray(mask_XYZ)
    if geometry.header:
        is_nifti2 = len(geometry.header) == _NIFTI2_HEADER_BYTES
        header_class: Any = nibabel.Nifti2Header if is_nifti2 else nibabel.Nifti1Header
        image_class: Any = nibabel.Nifti2Image if is_nifti2 else nibabel.Nifti1Image
        header = header_class(binaryblock=geometry.header)
        header.set_data_dtype(np.uint8)
        header["cal_min"] = header["cal_max"] = 0
        # Without an affine of its own nibabel leaves the header's sform, qform and pixdim alone.
        image = image_class(mask_XYZ, None, header)
    else:
        image = nibabel.Nifti1Image(mask_XYZ, geometry.affine)
        if geometry.spacing_mm is not None:
            order = axis_order(geometry.orientation)
            image.header.set_zooms([geometry.spacing_mm[::-1][order.index(i)] for i in range(3)])
    image.header.set_slope_inter(1, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    # nibabel chooses the format by the ending, so the partial file keeps it.
    partial = path.with_name(f".partial-{path.name}")
    try:
        nibabel.save(image, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
