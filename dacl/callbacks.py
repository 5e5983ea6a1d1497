"""How work that takes a while tells how far it is; the library prints nothing."""

from collections.abc import Callable

OnProgress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and what is being done: empty at the end."""
