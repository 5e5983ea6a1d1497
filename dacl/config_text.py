"""Configurations as people write them: `key=value` on the command line, and TOML files."""

import tomllib
from pathlib import Path
from typing import Any

from dacl.config import Config, merge
from dacl.errors import DaclError


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """`["contrast.tau=0.2", ...]` -> nested dictionary; values are read as TOML, else as text.

    Raises:
        DaclError: an item without `=`.
    """
    values: dict[str, Any] = {}
    for item in assignments:
        key, equals, text = item.partition("=")
        if not equals:
            raise DaclError(f"--set {item!r} has no '='", "write --set contrast.tau=0.2")
        try:
            value: Any = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        values = merge(values, value)
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """The nested dictionary of a TOML file.

    Raises:
        DaclError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DaclError(
            f"no configuration file {path}", "give --config an existing TOML file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DaclError(f"{path} is not valid TOML: {error}", "mend the line named above") from None
    except OSError as error:
        raise DaclError(
            f"cannot read {path}: {error.strerror}", "give a readable TOML file"
        ) from None


def to_toml(config: Config) -> str:
    """The resolved configuration as TOML that `read_toml` and `resolve` turn into an equal one."""
    import tomli_w

    return tomli_w.dumps(config.model_dump(mode="json"))
