"""The one exception that a user of dacl is meant to read, and how lack of memory is told from a fault."""

# PyTorch has no class of its own for lack of memory on a CPU (Linux, Windows) or on an Apple GPU.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


class DaclError(Exception):
    """The data or the request is wrong, and the user can mend it.

    Args:
        message: what was found, in one line, with the value and the place.
        hint: what to do or type next, in one line; empty when there is nothing to do.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


def out_of_memory(error: BaseException) -> bool:
    """Whether this is lack of memory, of the machine or of its GPU, and no fault of the code."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
