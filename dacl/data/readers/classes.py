"""Which values of a mask are which class: the syntax of ``--classes``.

``liver,kidney``: values 1 and 2, or names of the dataset's own list. ``liver=200,kidney=500+600``: these values,
several of them as one class. ``background=7``: a value that belongs to no class. Value 0 is background.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dacl.errors import DaclError

_SYNTAX = "write --classes liver,kidney or --classes liver=200,kidney=500+600"
_MOST = 255


@dataclass(frozen=True)
class Classes:
    """Foreground classes with their values in the masks.

    Attributes:
        values: class name -> values, in the order of the class indices.
        background: values besides 0 that belong to no class.
    """

    values: Mapping[str, tuple[int, ...]]
    background: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check names and values."""
        used = [value for values in self.values.values() for value in values]
        used += self.background
        if not self.values:
            raise DaclError("--classes names no class", _SYNTAX)
        if "background" in self.values or "" in self.values:
            raise DaclError("--classes: a class needs a name, not background", _SYNTAX)
        if len(self.values) > _MOST:
            message = f"{len(self.values)} classes, at most {_MOST} are possible"
            raise DaclError(message, "merge some: --classes NAME=VALUE+VALUE,...")
        if 0 in used:
            raise DaclError("--classes: value 0 is background", _SYNTAX)
        twice = sorted({value for value in used if used.count(value) > 1})
        if twice:
            named = ", ".join(map(str, twice))
            raise DaclError(f"--classes: value {named} in two classes", "give each value once")

    @property
    def names(self) -> tuple[str, ...]:
        """All class names, background first."""
        return ("background", *self.values)

    @property
    def index(self) -> dict[int, int]:
        """Value in a mask -> class index."""
        by_class = enumerate(self.values.values(), start=1)
        return (
            {0: 0}
            | dict.fromkeys(self.background, 0)
            | {value: i for i, values in by_class for value in values}
        )

    @property
    def option(self) -> str:
        """The text after --classes that says the same."""
        items = {**self.values, **({"background": self.background} if self.background else {})}
        return ",".join(f"{name}={'+'.join(map(str, values))}" for name, values in items.items())

    def fix(self, unknown: Sequence[int]) -> str:
        """Say how to name values that no class has."""
        named = Classes({**self.values, **_numbered(unknown, len(self.values))}, self.background)
        dropped = Classes(self.values, (*self.background, *unknown))
        return f"name them: --classes {named.option}; or leave them out: --classes {dropped.option}"


def parse(text: str, known: Mapping[str, int] | None = None) -> Classes:
    """Read what stands after ``--classes``.

    Args:
        text: see the module.
        known: names of the dataset's own list -> value. A name without a value is one of these, they may stand
            for values, and those that are not named are background. None: a name's place is its value.

    Raises:
        DaclError: another syntax, an unknown name, a name or a value twice.
    """
    items = [tuple(part.strip() for part in item.partition("=")) for item in text.split(",")]
    valued = [name for name, equals, _ in items if equals]
    if known is None and valued and len(valued) < len(items):
        message = f"--classes {text}: some classes have values and others none"
        raise DaclError(message, "give a value to each: --classes liver=1,kidney=2")
    values: dict[str, tuple[int, ...]] = {}
    for place, (name, equals, value) in enumerate(items, start=1):
        if name in values:
            raise DaclError(f"--classes names {name!r} twice", "name each class once")
        if equals:
            values[name] = tuple(_value(part.strip(), known) for part in value.split("+"))
        else:
            values[name] = (place,) if known is None else (_value(name, known),)
    background = values.pop("background", ())
    named = {value for several in values.values() for value in several} | {*background}
    rest = [value for value in (known or {}).values() if value not in named | {0}]
    return Classes(values, (*background, *rest))


def _value(text: str, known: Mapping[str, int] | None) -> int:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if known is None:
        raise DaclError(f"--classes: {text!r} is no value of a mask", _SYNTAX)
    if text not in known:
        near = difflib.get_close_matches(text, known, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        names = ", ".join(name for name, value in known.items() if value)
        message = f"--classes: the dataset has no class {text!r}{guess}"
        raise DaclError(message, f"its classes are: {names}")
    return known[text]


def in_order(values: Iterable[int]) -> Classes:
    """Return classes called class1, class2, ... for these values; DaclError for too many or none."""
    return Classes(_numbered(sorted({*values} - {0}), 0))


def _numbered(values: Sequence[int], taken: int) -> dict[str, tuple[int, ...]]:
    return {f"class{i}": (value,) for i, value in enumerate(values, start=taken + 1)}
