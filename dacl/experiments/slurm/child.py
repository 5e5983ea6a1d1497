"""How a process is started below a task: deaf to what would kill it, and not outliving the task."""

import ctypes
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1


@contextmanager
def unheard(number: signal.Signals) -> Iterator[None]:
    """Processes that are started here never hear the signal: a blocked one stays so in a new program."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # before any fork

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask


end_with_parent = _ending_with_parent()
"""As `preexec_fn`: SIGTERM when the parent is killed. Slurm without cgroups would not find the process then."""
