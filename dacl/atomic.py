"""Files that are there whole or not at all: written aside, then put in their place."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dacl.errors import DaclError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to, and put that file in the place of `path`; DaclError if disk or folder refuse."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        hint = "free some space or choose another folder; what is complete is kept"
        raise DaclError(f"cannot write {path}: {error.strerror}", hint) from error


def write_json(path: Path, content: Any) -> None:
    """Write JSON; DaclError if the disk is full or read-only."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
