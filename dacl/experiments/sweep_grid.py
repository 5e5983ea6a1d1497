"""Panels of Fig. 5: one parameter of the full method at a time, the others as the base has them.

The paper draws its Fig. 5 and prints few of its values; `FIG_5` is our grid. From the text: lambda_CL = 0.5 counts as
low, higher constants harm and lambda(t) is best; lambda_cross = 1 is best; a bank of 1000 is better than a smaller one
and than none; phi hardly matters; tau = 0.4 is best.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dacl.config import Config, known_keys, recipe, settings_of
from dacl.config_text import parse_assignments
from dacl.errors import DaclError
from dacl.experiments.ablation import Row, full

RAMP = "ramp"
FIG_5 = (
    "lambda_cross=0.1,0.5,1,2,ramp",
    "lambda_CL=0.1,0.5,1,2,ramp",
    "bank=0,250,500,1000,2000",
    "phi=0.5,0.7,0.8,0.9,0.95",
    "tau=0.1,0.2,0.4,0.7,1",
)
"""What a bare sweep runs. The lambda_CL of 0.1 is the ramp's ceiling held from the warm-up on: it parts the height from
the ramp."""
PAPER = {"lambda_cross": "1", "lambda_CL": RAMP, "bank": "1000", "tau": "0.4"}
"""Values that the paper prints for its own runs; phi is not among them."""
PAPER_CEILING = 0.1
"""Of lambda_CL(t)."""
SHORT = {"bank": "contrast.bank_size", "phi": "contrast.phi", "tau": "contrast.tau"}
WEIGHTS = {"lambda_cross": "cross", "lambda_CL": "contrast"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One parameter. The full method's row is in every panel under one key: run once, and differences are to it."""

    parameter: str
    """`lambda_CL`, or a dotted key."""
    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    """The values, in the order of the rows."""

    @property
    def full_label(self) -> str:
        """The value that the full method has."""
        [label] = [x for x, row in zip(self.labels, self.rows, strict=True) if not row.settings]
        return label

    @property
    def paper_label(self) -> str | None:
        """The value that the paper has, if it prints one and the panel has it."""
        short = {key: name for name, key in SHORT.items()}
        printed = PAPER.get(short.get(self.parameter, self.parameter))
        return next((label for label in self.labels if _same(label, printed)), None)


def panels(assignments: Sequence[str], base: Config) -> tuple[Panel, ...]:
    """One panel for each `NAME=v1,v2,...`; without any, the five of Fig. 5 (`FIG_5`).

    Names: `lambda_cross` and `lambda_CL` (numbers are constants; `ramp` is lambda(t), of lambda_CL with the paper's
    ceiling of 0.1), `bank`, `phi`, `tau`, or any dotted key of the configuration. A value that is the base's own
    stands for the full method, and is added to a panel that lacks it.

    Args:
        assignments: `["tau=0.2,0.4", "lambda_CL=0.1,0.5,ramp"]`.
        base: the full method.

    Raises:
        DaclError: no such parameter, a value out of range or twice, a parameter twice, or one that changes nothing.
    """
    made: dict[str, Panel] = {}
    for assignment in assignments or FIG_5:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        values = split_values(text)
        if not equals or not values:
            raise DaclError(
                f"sweep: {assignment!r} names no values", "write PARAM=v1,v2: tau=0.2,0.4,0.8"
            )
        settings = _settings_of(name, base)
        place = SHORT.get(name, name)
        if place in made:
            raise DaclError(f"sweep: {name} stands twice", "give all its values in one list")
        made[place] = _panel(name, values, settings, base)
    return tuple(made.values())


def split_values(text: str) -> list[str]:
    """At commas outside of brackets: `[8],[8,16]` are two values."""
    values, depth, current = [], 0, ""
    for character in text + ",":
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            values.append(current.replace(" ", ""))
            current = ""
        else:
            current += character
    return [value for value in values if value]


def _panel(
    name: str, values: Sequence[str], settings: Callable[[str], dict[str, Any]], base: Config
) -> Panel:
    reference = full(base)
    rows: dict[str, Row] = {}
    seen: dict[str, str] = {}
    for value in values:
        row = Row(key=f"{name}={value}", title=f"{name} {value}", settings=settings(value))
        config = repr(recipe(row.config(base, 0)))
        if config in seen:
            raise DaclError(
                f"sweep: {name} = {value} and {name} = {seen[config]} are the same configuration",
                "leave one of them out",
            )
        seen[config] = value
        rows[value] = reference if config == repr(recipe(base)) else row
    if reference not in rows.values():
        rows = _with_base(name, rows, reference, base)
    return Panel(parameter=name, rows=tuple(rows.values()), labels=tuple(rows))


def _with_base(name: str, rows: dict[str, Row], reference: Row, base: Config) -> dict[str, Row]:
    """The base's own value among the others: in their order where all are numbers, else last."""
    every = {**rows, _base_label(name, base): reference}
    try:
        return dict(sorted(every.items(), key=lambda item: float(item[0])))
    except ValueError:
        return every


def _base_label(name: str, base: Config) -> str:
    if name in WEIGHTS:
        section = getattr(base, WEIGHTS[name])
        if section.schedule == "constant":
            return f"{section.weight:g}"
        usual = PAPER_CEILING if name == "lambda_CL" else 1.0
        return RAMP if section.weight == usual else f"{RAMP} to {section.weight:g}"
    value = settings_of(base)[SHORT.get(name, name)]
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


def _settings_of(name: str, base: Config) -> Callable[[str], dict[str, Any]]:
    """Value as written -> what it sets.

    Raises:
        DaclError: an unknown name, or one that the method does not read.
    """
    if name in WEIGHTS:
        return lambda value: _weight(name, value)
    key = SHORT.get(name, name)
    dotted = [known for known in known_keys() if "." in known]
    if key not in dotted:
        names = [*WEIGHTS, *SHORT, *dotted]
        leaves = {known.rpartition(".")[2]: known for known in dotted}
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.6) or [
            leaves[leaf] for leaf in difflib.get_close_matches(name, leaves, n=3, cutoff=0.6)
        ]
        raise DaclError(
            f"sweep: no parameter {name!r}",
            f"did you mean {' or '.join(near)}?"
            if near
            else f"parameters: {', '.join([*WEIGHTS, *SHORT])}, or a key of docs/configuration.md "
            "such as contrast.anchors",
        )
    if key not in settings_of(base):
        raise DaclError(
            f"sweep: {key} changes nothing that {base.method} computes",
            f"parameters: {', '.join([*WEIGHTS, *SHORT])}, or another key of docs/configuration.md",
        )
    return lambda value: parse_assignments([f"{key}={value}"])


def _weight(name: str, value: str) -> dict[str, Any]:
    if value == RAMP:
        ceiling = {"weight": PAPER_CEILING} if name == "lambda_CL" else {}
        return {WEIGHTS[name]: {"schedule": RAMP, **ceiling}}
    constant = parse_assignments([f"{WEIGHTS[name]}.weight={value}"])
    constant[WEIGHTS[name]]["schedule"] = "constant"
    return constant


def _same(label: str, printed: str | None) -> bool:
    if printed is None or label == printed:
        return label == printed
    try:
        return float(label) == float(printed)
    except ValueError:
        return False
