"""Axes of the report's charts in SVG: scales, round ticks, frames. Colours come from classes of the style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dacl.analysis.report.markup import Markup, tag

WIDTH, HEIGHT = 360, 212
LEFT, RIGHT, TOP, BOTTOM = 42, 10, 8, 34
RIGHT_WITH_AXIS = 36
MINUS = "−"


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of values on a range of pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        low, high = self._bend(self.low), self._bend(self.high)
        share = (self._bend(value) - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def _bend(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self, most: int = 6) -> list[float]:
        """Round values inside, at most about so many."""
        return log_ticks(self.low, self.high) if self.log else ticks(self.low, self.high, most)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from `low` to `high`, at most `most` + 1 of them."""
    power = 10.0 ** math.floor(math.log10((high - low) / (most + 1)))
    for step in (power, 2 * power, 5 * power, 10 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first <= most:
            break
    return [step * n for n in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; powers alone where that is enough."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        inside = [m * 10.0**p for p in powers for m in steps if low <= m * 10.0**p <= high]
        if len(inside) >= 3:
            break
    return inside if len(inside) <= 6 else inside[:: math.ceil(len(inside) / 6)]


def spread(values: Sequence[float], *, log: bool = False) -> tuple[float, float]:
    """Limits that hold every value with a little air; never of no width."""
    low, high = min(values, default=1.0), max(values, default=1.0)
    if log:
        return low / 1.15, high * 1.15
    air = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - air, high + air


def number(value: float) -> str:
    """As a tick says it."""
    return f"{value:.6g}".replace("-", MINUS)


def frame(x: Scale, y: Scale, x_label: str, right: Scale | None = None) -> Markup:
    """Grid lines, ticks and their labels."""
    parts: list[Markup] = []
    for value in y.ticks():
        at = round(y(value), 1)
        parts.append(tag("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="grid"))
        parts.append(tag("text", number(value), x=x.start - 5, y=at + 3.5, class_="tick end"))
    if right is not None:
        for value in right.ticks():
            at = round(right(value), 1)
            parts.append(tag("text", number(value), x=x.end + 5, y=at + 3.5, class_="tick"))
    for value in x.ticks():
        at = round(x(value), 1)
        parts.append(tag("text", number(value), x=at, y=y.start + 15, class_="tick middle"))
    middle = round((x.start + x.end) / 2, 1)
    parts.append(tag("text", x_label, x=middle, y=y.start + 29, class_="tick middle"))
    parts.append(tag("line", x1=x.start, x2=x.end, y1=y.start, y2=y.start, class_="axis"))
    return Markup("".join(parts))


def path(points: Sequence[tuple[float, float]]) -> str:
    """SVG path data through pixels."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
