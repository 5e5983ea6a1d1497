"""NIfTI files: voxels as stored, true spacing, the header's own bytes."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dacl.data.case import SpacingMm, smallest_integers
from dacl.data.readers import sha256

_HEADER_BYTES = 348
_DOWNLOAD_AGAIN = "download it again"


class Unreadable(Exception):
    """A file that is not a volume: what is wrong with it, and how to mend it."""

    def __init__(self, problem: str, fix: str = _DOWNLOAD_AGAIN) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Volume:
    """One 3D NIfTI file; the values are ``raw_XYZ * slope + inter``."""

    raw_XYZ: np.ndarray
    slope: float
    inter: float
    spacing_mm: SpacingMm
    affine: np.ndarray
    header: bytes
    sha256: str
    placed: bool = True
    """Whether the header says how the voxels lie in the world; otherwise the affine is nibabel's guess."""

    def values(self) -> np.ndarray:
        """Return the values, in the stored type where there is nothing to scale."""
        plain = (self.slope, self.inter) == (1.0, 0.0)
        return self.raw_XYZ if plain else self.raw_XYZ * self.slope + self.inter

    def intensities(self) -> tuple[np.ndarray, float, float]:
        """Return integers with their slope and inter where the source has integers, else float32.

        Floats that are all integers, as in two thirds of ACDC, go to the smallest integer type.
        """
        if self.raw_XYZ.dtype.kind in "iu":
            native = self.raw_XYZ.dtype.newbyteorder("=")
            return self.raw_XYZ.astype(native, copy=False), self.slope, self.inter
        values = self.values()
        integers = smallest_integers(values)
        return (values.astype(np.float32) if integers is None else integers), 1.0, 0.0

    def affine_contradicts_spacing(self) -> bool:
        """Whether the affine has a scale of its own; unit scale, as in ACDC, says nothing."""
        scale = np.linalg.norm(self.affine[:3, :3], axis=0)
        unit = np.allclose(scale, 1)
        return not unit and not np.allclose(scale, self.spacing_mm[::-1], rtol=1e-3)


def load(path: Path) -> Volume:
    """Read ``.nii`` or ``.nii.gz`` into memory; raises Unreadable.

    The spacing is pixdim's: ACDC's only affine, the sform, has unit scale.
    """
    import nibabel

    try:
        packed = path.read_bytes()
        content = gzip.decompress(packed) if path.suffix == ".gz" else packed
        # nibabel mends a doubtful header, with a line in its log; the checks here speak instead.
        with nibabel.imageglobals.LoggingOutputSuppressor():
            nifti: Any = nibabel.Nifti1Image.from_bytes(content)
        raw_XYZ = np.asarray(nifti.dataobj.get_unscaled())
    except (EOFError, zlib.error) as error:
        raise Unreadable(f"truncated or damaged gzip ({error})") from error
    except Exception as error:  # nibabel has no common base for what damaged bytes make it raise
        raise Unreadable(f"unreadable ({' '.join(str(error).split())})") from error
    if raw_XYZ.ndim == 4 and raw_XYZ.shape[3] == 1:
        raw_XYZ = raw_XYZ[..., 0]
    if raw_XYZ.ndim != 3 or raw_XYZ.dtype.kind not in "iuf":
        problem = f"not a 3D volume of numbers: shape {raw_XYZ.shape}, type {raw_XYZ.dtype}"
        raise Unreadable(problem, "replace it by the 3D frame")
    return Volume(
        raw_XYZ=raw_XYZ,
        slope=float(nifti.dataobj.slope),
        inter=float(nifti.dataobj.inter),
        spacing_mm=_pixdim_zyx(content, nifti.header.endianness),
        affine=np.asarray(nifti.affine, dtype=np.float64),
        header=content[:_HEADER_BYTES],
        sha256=sha256(packed),
        placed=bool(nifti.header["sform_code"] or nifti.header["qform_code"]),
    )


def _pixdim_zyx(content: bytes, endianness: str) -> SpacingMm:
    """Return the voxel size as stored: nibabel replaces negative and zero sizes in its own copy."""
    stored = np.frombuffer(content, dtype=f"{endianness}f4", count=3, offset=80)
    # Six digits give back the decimal that was written: 1.5625, not 1.56250005.
    x, y, z = stored.astype(np.float64).round(6).tolist()
    return z, y, x
