"""HTML from values: everything is escaped unless it was made here, so that no name out of the data becomes markup."""

import html
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

_VOID = frozenset({"br", "input", "link", "meta", "wbr"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | int | Markup | None | Iterable["Child"]
"""What may stand in an element: text to escape, markup to keep, nothing, or several of them."""


def escape(child: Child) -> Markup:
    """Children as HTML; None is nothing."""
    if child is None:
        return Markup("")
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int):
        return Markup(html.escape(str(child)))
    return Markup("".join(escape(one) for one in child))


def tag(name: str, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element.

    Args:
        name: of the element.
        children: see `Child`.
        attributes: `class_` is `class`, `aria_label` is `aria-label`; True stands without a value, False and None
            not at all.
    """
    words = [name]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(attribute)
        elif value is not None and value is not False:
            words.append(f'{attribute}="{html.escape(str(value))}"')
    opening = f"<{' '.join(words)}>"
    if name in _VOID:
        return Markup(opening)
    return Markup(f"{opening}{escape(children)}</{name}>")


def data_block(block_id: str, content: Any) -> Markup:
    """JSON that a script can read and no parser of HTML can be led out of; NaN and infinity become null."""
    text = json.dumps(finite(content), separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for character in "<>&":  # these occur inside strings only, where JSON has an escape for them
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{html.escape(block_id)}">{text}</script>')


def finite(value: Any) -> Any:
    """The value as JSON has it: tuples as lists, keys as text, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
