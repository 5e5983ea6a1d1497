"""Predictions as NIfTI on the geometry of the scan they were made from."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from dacl.data.orientation import axis_order, from_canonical, to_canonical
from dacl.data.prepared import Geometry
from dacl.inference.scratch import scratch_array

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
    The same mask makes the same file, whenever and wherever it is written.
    """
    mask_XYZ = from_canonical(mask_ZHW.transpose(2, 1, 0), geometry.orientation)
    _save(path, np.ascontiguousarray(mask_XYZ), geometry)


class ProbabilityFile:
    """Class probabilities as one 4D NIfTI (X, Y, Z, class), float32, filled a few slices at a time.

    What is written meanwhile lies in an unnamed file beside `path`, not in memory: a CT of 512x512x300 with 14 classes
    has 4.4 GB of them. `save` makes the file, with the source's header as `write_nifti` keeps it.

    Args:
        path: ends in `.nii` or `.nii.gz`.
        geometry: of the scan.
        shape_ZHW: of the scan.
        classes: N, background included.
    """

    def __init__(
        self, path: Path, geometry: Geometry, shape_ZHW: tuple[int, int, int], classes: int
    ) -> None:
        self.path, self.geometry = path, geometry
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        unturned = np.broadcast_to(np.float32(0), shape_ZHW[::-1])
        shape_XYZ = from_canonical(unturned, geometry.orientation).shape
        self._held_XYZN = scratch_array(self._file, (*shape_XYZ, classes), order="F")
        self._turned = to_canonical(self._held_XYZN, geometry.orientation)

    def write(self, z: slice, probs_NzHW: Float[np.ndarray, "N z H W"]) -> None:
        """Put the probabilities of these slices (of the volume in LPS) in their place."""
        self._turned[:, :, z] = probs_NzHW.transpose(3, 2, 1, 0)

    def save(self) -> None:
        """Write the file, atomically."""
        _save(self.path, self._held_XYZN, self.geometry)

    def close(self) -> None:
        """Drop what is held."""
        self._file.close()


def _save(path: Path, array: np.ndarray, geometry: Geometry) -> None:
    """Write voxels in the source's order with the source's header, in the array's own type."""
    import nibabel

    if geometry.header:
        is_nifti2 = len(geometry.header) == _NIFTI2_HEADER_BYTES
        header_class: Any = nibabel.Nifti2Header if is_nifti2 else nibabel.Nifti1Header
        image_class: Any = nibabel.Nifti2Image if is_nifti2 else nibabel.Nifti1Image
        header = header_class(binaryblock=geometry.header)
        header.set_data_dtype(array.dtype)
        header["cal_min"] = header["cal_max"] = 0
        # Without an affine of its own nibabel leaves the header's sform, qform and pixdim alone.
        image = image_class(array, None, header)
    else:
        image = nibabel.Nifti1Image(array, geometry.affine)
        if geometry.spacing_mm is not None:
            order = axis_order(geometry.orientation)
            sizes = [geometry.spacing_mm[::-1][order.index(i)] for i in range(3)]
            image.header.set_zooms([*sizes, *[1.0] * (array.ndim - 3)])
    image.header.set_slope_inter(1, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    # nibabel chooses the format by the ending, so the partial file keeps it.
    partial = path.with_name(f".partial-{path.name}")
    try:
        nibabel.save(image, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
