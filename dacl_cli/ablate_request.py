"""What `dacl ablate` was asked for: which options go together, seeds, rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dacl.errors import DaclError

if TYPE_CHECKING:
    from dacl.config import Config
    from dacl.experiments.ablation import Row

EXAMPLES = {
    "--seeds": "--seeds 0,1,2",
    "--rows": "--rows I,VI",
    "--without": "--without bank,ms",
}


def check_options(
    what: str, params: list[str] | None, rows: str | None, without: str | None, upper_bound: bool
) -> None:
    """Refuse options that do not go together.

    Raises:
        DaclError: says which.
    """
    if what != "sweep" and params:
        raise DaclError(
            f"{params[0]} is a parameter of a sweep",
            f"dacl ablate sweep {' '.join(params)}; for all cells alike, --set KEY=VALUE",
        )
    of_components = {"--rows": rows, "--without": without, "--upper-bound": upper_bound or None}
    given = [name for name, value in of_components.items() if value is not None]
    if what == "sweep" and given:
        raise DaclError(f"{given[0]} chooses among the parts, not among the values of a sweep",
                        "leave it away, or leave sweep away")  # fmt: skip
    if without is not None and len(given) > 1:
        other = next(name for name in given if name != "--without")
        raise DaclError(
            f"--without makes a table of the full method and what is removed from it; {other} is "
            "about the table of the parts added one by one",
            "give one of the two",
        )


def read_seeds(text: str) -> tuple[int, ...]:
    """`0,1,2`.

    Raises:
        DaclError: none, one twice, or something else than a whole number from 0.
    """
    words = _words("--seeds", text)
    for word in words:
        if not word.isdecimal():
            raise DaclError(
                f"--seeds: {word!r} is no seed", "write whole numbers from 0: --seeds 0,1,2"
            )
    return tuple(int(seed) for seed in _once("--seeds", [str(int(word)) for word in words]))


def _words(option: str, text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise DaclError(
            f"{option} {text!r} names nothing", f"separate by commas, as in {EXAMPLES[option]}"
        )
    return words


def _once(option: str, words: list[str]) -> list[str]:
    twice = next((word for word in words if words.count(word) > 1), None)
    if twice is not None:
        raise DaclError(f"{option} names {twice} twice", "name each once")
    return words


def choose_rows(
    base: Config, rows: str | None, without: str | None, upper_bound: bool
) -> tuple[Row, ...]:
    """The rows of the table of the parts, or of the method without parts.

    Raises:
        DaclError: no such row or part, or one twice.
    """
    from dacl.experiments import ablation

    if without is not None:
        return ablation.without(base, _once("--without", _words("--without", without)))
    if rows is None:
        return ablation.components(upper_bound=upper_bound)
    keys = _once("--rows", _words("--rows", rows))
    chosen = ablation.choose(ablation.components(upper_bound=True), keys)
    if upper_bound and ablation.ALL_LABELED not in keys:
        chosen += ablation.components(upper_bound=True)[-1:]
    return chosen
