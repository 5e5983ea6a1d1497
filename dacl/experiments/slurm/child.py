"""How a process is started below a task: deaf to what would kill it, and not outliving the task."""

import ctypes
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # before any fork


@contextmanager
def unheard(number: signal.Signals) -> Iterator[None]:
    """Processes that are started here never hear the signal: a blocked one stays so in a new program."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # type: ignore[union-attr]


end_with_parent: Callable[[], None] | None = None if _LIBC is None else _end_with_parent
"""As `preexec_fn`: SIGTERM when the parent is killed. Slurm without cgroups would not find the process then."""
