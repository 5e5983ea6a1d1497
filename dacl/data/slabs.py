"""Volumes larger than memory: mapped from files, walked over a few slices at a time.

Pages of a mapped file count as memory of the process until they are given back, which `slabs` does after each run
of slices. What has to be changed, unpacked or converted, goes to an unnamed file in the temporary folder (TMPDIR).
"""

import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Literal

import numpy as np

from dacl.errors import DaclError

SLAB_BYTES = 8 * 2**20


def slabs(array_ZHW: np.ndarray) -> Iterator[np.ndarray]:
    """Yield consecutive runs of slices, each contiguous and of about SLAB_BYTES, at least one slice."""
    step = max(1, SLAB_BYTES // max(1, array_ZHW[:1].nbytes))
    for z in range(0, len(array_ZHW), step):
        yield _contiguous(array_ZHW[z : z + step])
        _give_back(array_ZHW)


def _contiguous(part: np.ndarray) -> np.ndarray:
    slow = int(np.argmax(np.abs(part.strides)))
    if slow == 0 or not part.size:
        return np.ascontiguousarray(part)
    # Slices that cross the order of the file, as in sagittal scans, lie all over it: gather them stretch by stretch.
    out = np.empty(part.shape, part.dtype)
    step = max(1, SLAB_BYTES // abs(part.strides[slow]))
    for start in range(0, part.shape[slow], step):
        stretch = (slice(None),) * slow + (slice(start, start + step),)
        out[stretch] = part[stretch]
        _give_back(part)
    return out


def _give_back(array: np.ndarray) -> None:
    """Drop the pages of a mapped file; what is read again comes from the file again."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def spooled(parts: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an array whose consecutive parts these are, read-only, mapped from an unnamed temporary file.

    DaclError if the temporary folder has no room for it.
    """
    with tempfile.TemporaryFile(prefix="dacl-") as file:
        try:
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype).data)
            file.flush()
        except OSError as error:
            raise no_room(error) from error
        return mapped(file, shape, dtype)


def mapped(
    file: IO[bytes],
    shape: tuple[int, ...],
    dtype: np.dtype,
    *,
    offset: int = 0,
    order: Literal["C", "F"] = "C",
) -> np.ndarray:
    """Return an open file's bytes as a read-only array; the file may be closed afterwards."""
    if 0 in shape:
        return np.empty(shape, dtype)
    array: np.ndarray = np.memmap(file, dtype, "r", offset, shape, order)
    return np.asarray(array)


def converted(
    array_ZHW: np.ndarray, dtype: np.dtype, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return ``change`` of every slab in another type, as `spooled` does."""
    return spooled(map(change, slabs(array_ZHW)), array_ZHW.shape, dtype)


def no_room(error: OSError) -> DaclError:
    """Return what to tell a user whose temporary folder is full."""
    folder = tempfile.gettempdir()
    return DaclError(
        f"cannot unpack a volume to {folder}: {error.strerror}",
        "free some space there, or name another folder: TMPDIR=/path dacl preprocess ...",
    )
