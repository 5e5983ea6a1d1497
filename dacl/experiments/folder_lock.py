"""Locks of folders: two processes that resume one run would ruin it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dacl.errors import DaclError


@contextmanager
def alone(out: Path) -> Iterator[int]:
    """Hold the lock of a table's folder; its file descriptor, for the processes that are started.

    Raises:
        DaclError: somebody has it, or the file system has no locks.
    """
    out.mkdir(parents=True, exist_ok=True)
    taken = DaclError(
        f"another process is running the cells of {out}",
        "wait for it, or choose another folder with --out",
    )
    with hold(out / ".lock", taken) as lock:
        yield lock


@contextmanager
def hold(path: Path, taken: DaclError, patience_s: float = 0.0) -> Iterator[int]:
    """Hold the lock of `path`, which is made.

    Args:
        path: a file of its own, in a folder that is there.
        taken: raised where somebody has it for longer than `patience_s`.
        patience_s: seconds.

    Raises:
        DaclError: `taken`, or the file system has no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        raise DaclError(
            "this system has no locks of files, which tables of runs need",
            "run them on Linux or macOS, or in WSL",
        ) from None
    deadline = time.monotonic() + patience_s
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise taken from None
                time.sleep(0.5)
            except OSError as error:  # Lustre mounted without flock
                raise DaclError(
                    f"{path} cannot be locked: {error.strerror}",
                    "choose a folder on another file system with --out",
                ) from None
        yield file.fileno()
