"""Ctrl-C and SIGTERM as a request that the work ends well."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dacl_cli import console

BY_HAND_S = 0.3
"""Seconds that lie at least between two Ctrl-C of one hand."""


@contextmanager
def stop_on_signal(message: str) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C or SIGTERM asks for a stop and says `message`, if any; a second Ctrl-C interrupts at once.

    A second SIGTERM is the same request once more: a scheduler sends it to every process, and a process to those that
    it started. So is a Ctrl-C that no hand could have added: `timeout -s INT` sends each signal twice.
    """
    asked = False
    since = 0.0

    def handle(number: int, _frame: object) -> None:
        nonlocal asked, since
        if asked:
            if number == signal.SIGINT and time.monotonic() - since > BY_HAND_S:
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
