"""Ctrl-C and SIGTERM as a request that the work ends well."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dacl_cli import console

AT_ONCE_S = 0.1
"""Seconds within which a second Ctrl-C is the first."""


@contextmanager
def stop_on_signal(message: str) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C or SIGTERM asks for a stop and says `message`, if any; a second Ctrl-C interrupts at once.

    A second SIGTERM is the same request once more: a scheduler sends it to every process, and a process to those that
    it started. So is a Ctrl-C that comes at once: `timeout -s INT` sends its signal twice.
    """
    asked = False
    since = 0.0

    def handle(number: int, _frame: object) -> None:
        nonlocal asked, since
        if asked:
            if number == signal.SIGINT and time.monotonic() - since > AT_ONCE_S:
                raise KeyboardInterrupt
            return
        asked, since = True, time.monotonic()
        if message:
            console.note(message, style="")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
