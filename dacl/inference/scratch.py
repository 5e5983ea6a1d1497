"""Arrays too large for memory, in a file that nobody else sees."""

import os
from typing import IO, Literal

import numpy as np


def scratch_array(
    file: IO[bytes], shape: tuple[int, ...], order: Literal["C", "F"] = "C"
) -> np.memmap:
    """Zeros, float32, that lie in `file`; its room is taken at once.

    Raises:
        OSError: the disk has no room. Found out while writing to the array, it would end the process.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, 4 * int(np.prod(shape, dtype=np.int64)))
    return np.memmap(file, np.float32, "w+", shape=shape, order=order)
