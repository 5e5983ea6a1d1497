"""NIfTI files: voxels as stored, true spacing, the header's own bytes."""

import gzip
import logging
import math
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np

from dacl.data.case import SpacingMm, smallest_integer_type
from dacl.data.slabs import converted, mapped, no_room, slabs
from dacl.errors import DaclError

_HEADER_BYTES = 348
_NIFTI_2 = ((540).to_bytes(4, "little"), (540).to_bytes(4, "big"))
_UNITS_AT, _NOT_MM = 123, {1: "metres", 3: "micrometres"}
_PIECE = 2**20
_GZIP = b"\x1f\x8b"
_DOWNLOAD_AGAIN = "download it again"


class Unreadable(Exception):
    """A file that is no volume, or no mask: what is wrong with it, and how to mend it."""

    def __init__(self, problem: str, fix: str = _DOWNLOAD_AGAIN) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Volume:
    """One 3D NIfTI file; the values are ``raw_XYZ * slope + inter``, and stay in the file until they are read."""

    raw_XYZ: np.ndarray
    slope: float
    inter: float
    spacing_mm: SpacingMm
    affine: np.ndarray
    header: bytes
    sha256: str
    placed: bool = True
    """Whether the header says how the voxels lie in the world; otherwise the affine is nibabel's guess."""

    def scaled(self, part: np.ndarray) -> np.ndarray:
        """Return the values of a part of the volume, in the stored type where there is nothing to scale."""
        plain = (self.slope, self.inter) == (1.0, 0.0)
        return part if plain else part * self.slope + self.inter

    def integer_type(self) -> np.dtype | None:
        """Return the smallest type that holds the values, None where they are not integers."""
        return smallest_integer_type(self.scaled(part) for part in slabs(self.raw_XYZ.T))

    def as_type(self, dtype: np.dtype) -> np.ndarray:
        """Return the values (X, Y, Z) in a type; mapped, not in memory."""
        if (self.slope, self.inter, self.raw_XYZ.dtype) == (1.0, 0.0, dtype):
            return self.raw_XYZ
        return converted(self.raw_XYZ.T, dtype, self.scaled).T

    def intensities(self) -> tuple[np.ndarray, float, float]:
        """Return integers with their slope and inter where the source has integers, else float32.

        Floats that are all integers, as in two thirds of ACDC, go to the smallest integer type.
        """
        stored = self.raw_XYZ.dtype
        if stored.kind not in "iu":
            return self.as_type(self.integer_type() or np.dtype(np.float32)), 1.0, 0.0
        if stored.isnative:
            return self.raw_XYZ, self.slope, self.inter
        native_ZYX = converted(self.raw_XYZ.T, stored.newbyteorder("="), lambda part: part)
        return native_ZYX.T, self.slope, self.inter

    def affine_contradicts_spacing(self) -> bool:
        """Whether the affine has a scale of its own; unit scale, as in ACDC, says nothing."""
        scale = np.linalg.norm(self.affine[:3, :3], axis=0)
        unit = np.allclose(scale, 1)
        return not unit and not np.allclose(scale, self.spacing_mm[::-1], rtol=1e-3)


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Without a word: a logger that only loses its handlers still writes to stderr, as a last resort."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def load(path: Path) -> Volume:
    """Map ``.nii`` or ``.nii.gz``, in small letters or capitals; raises Unreadable.

    Voxels stay in the file, or in an unnamed temporary one where it is packed, until they are looked at. The spacing
    is pixdim's: ACDC's only affine, the sform, has unit scale. A header without a unit is taken for mm.

    Raises:
        Unreadable: the file is no 3D volume of numbers, or damaged, or says that its unit is not mm.
        DaclError: no room to unpack it.
    """
    import nibabel

    try:
        with _unpacked(path) as (file, digest):
            header = file.read(_HEADER_BYTES)
            if header[:4] in _NIFTI_2:
                fix = "save it as NIfTI-1: nibabel.Nifti1Image.from_image(nibabel.load(FILE))"
                raise Unreadable("NIfTI-2", fix)
            file.seek(0)
            # nibabel mends a doubtful header, with a line in its log; the checks here speak instead.
            with _silent(nibabel.imageglobals.logger):
                nifti: Any = nibabel.Nifti1Image.from_stream(file)
            if unit := _NOT_MM.get(header[_UNITS_AT] & 7):
                raise Unreadable(
                    f"its sizes are in {unit} (xyzt_units {header[_UNITS_AT]}), not in mm",
                    "write pixdim and affine in mm; if they are, say so: img.header.set_xyzt_units('mm')",
                )
            proxy = nifti.dataobj
            shape = _three_axes(proxy.shape, proxy.dtype)
            there = file.seek(0, os.SEEK_END) - proxy.offset
            needed = math.prod(shape) * proxy.dtype.itemsize
            if there < needed:
                raise Unreadable(f"unreadable (it ends after {there} of {needed} bytes of voxels)")
            raw_XYZ = mapped(file, shape, proxy.dtype, offset=proxy.offset, order="F")
    except (Unreadable, DaclError):
        raise
    except (EOFError, zlib.error) as error:
        raise Unreadable(f"truncated or damaged gzip ({error})") from error
    except Exception as error:  # nibabel has no common base for what damaged bytes make it raise
        raise Unreadable(f"unreadable ({' '.join(str(error).split())})") from error
    return Volume(
        raw_XYZ=raw_XYZ,
        slope=float(proxy.slope),
        inter=float(proxy.inter),
        spacing_mm=_pixdim_zyx(header, nifti.header.endianness),
        affine=np.asarray(nifti.affine, dtype=np.float64),
        header=header,
        sha256=digest,
        placed=bool(nifti.header["sform_code"] or nifti.header["qform_code"]),
    )


def _three_axes(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    """Return the shape without trailing axes of length 1; raises Unreadable if it is not a volume of numbers."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if dtype.kind in "iuf" and len(shape) == 3:
        return shape
    fix = "save it as a 3D volume of numbers"
    if dtype.names:
        fix = "it holds colours (RGB): save one number per voxel, for example their mean"
    elif dtype.kind == "c":
        fix = "it holds complex numbers: save their magnitude"
    elif len(shape) == 4:
        fix = (
            "replace it by the 3D frame, or split its fourth axis into files: "
            "frames as cases of their own, channels as CASE_0000.nii.gz, CASE_0001.nii.gz"
        )
    elif len(shape) < 3:
        fix = "save it with a third axis of length 1"
    kind = "RGB" if dtype.names else str(dtype)
    raise Unreadable(f"not a 3D volume of numbers: shape {shape}, type {kind}", fix)


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[Any, str]]:
    """Open a file, unpacked where it is packed, with the hash of its own bytes."""
    digest = sha256()
    if path.suffix.lower() != ".gz":
        with path.open("rb") as plain:
            while piece := plain.read(_PIECE):
                digest.update(piece)
            plain.seek(0)
            yield plain, digest.hexdigest()
        return
    with tempfile.TemporaryFile(prefix="dacl-") as unpacked:
        with path.open("rb") as packed:
            for piece in _inflated(packed, digest):
                _write(unpacked, piece)
        unpacked.seek(0)
        yield unpacked, digest.hexdigest()


def _inflated(packed: IO[bytes], digest: Any) -> Iterator[bytes]:
    """Unpack gzip piece by piece, its bytes hashed; raises EOFError, zlib.error or BadGzipFile where it is damaged.

    The gzip module does this in pieces of 8 kB, which takes half as long again.
    """
    member, first = zlib.decompressobj(wbits=31), True
    while piece := packed.read(_PIECE):
        digest.update(piece)
        if first and not piece.startswith(_GZIP):
            raise gzip.BadGzipFile(f"Not a gzipped file ({piece[:2]!r})")
        first = False
        while piece:
            if member.eof:  # one more member, or padding
                piece = piece.lstrip(b"\0")
                if not piece:
                    break
                member = zlib.decompressobj(wbits=31)
            yield member.decompress(piece, _PIECE)
            piece = member.unused_data if member.eof else member.unconsumed_tail
    if first:  # an empty file; that it holds no volume is found soon enough
        return
    if not member.eof:
        yield member.flush()
    if not member.eof:
        raise EOFError("Compressed file ended before the end-of-stream marker was reached")


def _write(file: IO[bytes], piece: bytes) -> None:
    try:
        file.write(piece)
    except OSError as error:
        raise no_room(error) from error


def _pixdim_zyx(header: bytes, endianness: str) -> SpacingMm:
    """Return the voxel size as stored: nibabel replaces negative and zero sizes in its own copy."""
    stored = np.frombuffer(header, dtype=f"{endianness}f4", count=3, offset=80)
    # Six digits give back the decimal that was written: 1.5625, not 1.56250005.
    x, y, z = stored.astype(np.float64).round(6).tolist()
    return z, y, x
