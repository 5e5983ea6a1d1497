"""Locks of folders: two processes that write into one would ruin what it holds."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from dacl.errors import DaclError


class NoLocks(DaclError):
    """The system, or the file system, has no locks."""


@contextmanager
def kept_out(path: Path, taken: DaclError) -> Iterator[None]:
    """Hold the lock of `path` where there are locks; what worked without them goes on to.

    Args:
        path: as for `hold`.
        taken: as for `hold`.

    Raises:
        DaclError: `taken`.
    """
    with ExitStack() as held:
        with suppress(NoLocks):
            held.enter_context(hold(path, taken))
        yield


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
    """Hold the lock of `path`.

    Args:
        path: a file, made where it is not there and left as it is; in a folder that is there.
        taken: raised where somebody has it for longer than `patience_s`.
        patience_s: seconds.

    Raises:
        NoLocks: as its name says.
        DaclError: `taken`.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        raise NoLocks(
            "this system has no locks of files, which tables of runs need",
            "run them on Linux or macOS, or in WSL",
        ) from None
    deadline = time.monotonic() + patience_s
    with _opened(path) as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise taken from None
                time.sleep(0.5)
            except OSError as error:  # Lustre mounted without flock
                raise NoLocks(
                    f"{path} cannot be locked: {error.strerror}",
                    "choose a folder on another file system with --out",
                ) from None
        yield file.fileno()


def _opened(path: Path) -> IO[bytes]:
    """To be locked: a file that may not be written is held as well as another, where the system lets it."""
    try:
        return path.open("ab")
    except PermissionError:
        if not path.is_file():
            raise
        return path.open("rb")
