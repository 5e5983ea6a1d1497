"""Packages that only some users need."""

import importlib
from typing import Any

from dacl.errors import DaclError


def require(module: str, *, extra: str) -> Any:
    """A module of an optional package.

    Raises:
        DaclError: it is not installed; names the extra that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise DaclError(
            f"{package} is not installed ({error})",
            f"pip install 'dacl[{extra}]'",
        ) from error
