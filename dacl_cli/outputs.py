"""Where a command will write, looked at before it works for minutes."""

from __future__ import annotations

import os
from pathlib import Path

from dacl.errors import DaclError


def writable(path: Path, *, folder: bool = False) -> Path:
    """The path, if a folder can be made or a file replaced there; nothing is created.

    Args:
        path: where the command will write.
        folder: whether it is a folder that the command fills.

    Raises:
        DaclError: something on the way is a file, or may not be written to.
    """
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    if (folder or there != path) and not there.is_dir():
        raise DaclError(f"cannot write {path}: {there} is a file", "choose another --out")
    if not os.access(there, os.W_OK):
        raise DaclError(f"cannot write {path}: no permission for {there}", "choose another --out")
    return path
