"""The one exception that a user of dacl is meant to read."""


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
