"""Room for the pixels of a split: memory, or, for a split larger than its share of it, a file that the system pages."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from dacl.errors import DaclError

MEMORY_SHARE = 0.5  # of what is free when the room is asked for


def room_for(device: torch.device, *arrays: tuple[int, torch.dtype]) -> list[Tensor]:
    """Flat tensors on the CPU of these lengths and types, to be filled and moved to `device`.

    They lie in a file of the temporary folder where they stay on the CPU and would take more than their share of its
    free memory.

    Raises:
        DaclError: no room in the temporary folder.
    """
    needed = sum(count * dtype.itemsize for count, dtype in arrays)
    in_file = device.type == "cpu" and needed > MEMORY_SHARE * _free_memory()
    try:
        return [
            _in_file(count, dtype) if in_file and count else torch.empty(count, dtype=dtype)
            for count, dtype in arrays
        ]
    except OSError as error:
        raise DaclError(
            f"not enough disk in the temporary folder {tempfile.tempdir or ''}: {error}",
            f"set TMPDIR to a folder with {needed // 10**6 + 1} MB free",
        ) from error


def _in_file(count: int, dtype: torch.dtype) -> Tensor:
    # the memory map keeps the unlinked file alive for as long as the tensor lives
    with tempfile.NamedTemporaryFile(prefix="dacl-", suffix=".pixels") as file:
        if hasattr(os, "posix_fallocate"):
            # a sparse file on a full disk would end the process with SIGBUS at the first write
            os.posix_fallocate(file.fileno(), 0, count * dtype.itemsize)
        return torch.from_file(file.name, shared=True, size=count, dtype=dtype)


def _free_memory(root: Path = Path("/")) -> int:
    """Bytes to be had: what the system can give without swapping, and what a container may still take."""
    found = [_of_the_container(root / "sys/fs/cgroup")]
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable:"))
        found.append(1024 * int(available.split()[1]))
    except (OSError, StopIteration):  # no Linux
        with suppress(ValueError, OSError):
            found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found)


def _of_the_container(group: Path) -> int:
    """What is left of a limit, copies of files in memory counted as free; without a limit, more than anybody has."""
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(limit - used + int(stat["inactive_file"]), 0)
    except (OSError, ValueError, KeyError):  # not told, or "max"
        return 1 << 62
