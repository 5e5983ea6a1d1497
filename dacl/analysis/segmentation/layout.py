"""Where everything of a picture of segmentations stands, in points (1/72 inch): sheets, cells, lines of text, windows.

Text is measured before it is placed, so that nothing overlaps whatever runs, cases and classes are called.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

ONE_COLUMN, TWO_COLUMNS = 3.5 * 72, 7.2 * 72
"""Widths of a journal's column and of its page."""
PAGE_HEIGHT = 9.2 * 72
MAX_ON_ONE_COLUMN = 4
SMALL, HEADING = 6.0, 7.0
"""Font sizes; 6 is the least that journals print."""
LINE = 1.22
"""Height of a line of text in font sizes."""
GAP = 1.5
ROW_GAP = 4.0
SMALLEST_CELL = 36.0
HANDLE = 12.0
MARGIN = 0.12
LEAST_MARGIN = 5
"""Around the foreground: a share of its longer side, and pixels."""


class Window(NamedTuple):
    """Edges in pixel coordinates of the slice, of which pixel i covers i - 0.5 to i + 0.5."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Width of the picture, side of its square cells, and the left edge of each column."""

    width: float
    cell: float
    lefts: tuple[float, ...]


def sheet(n_columns: int, n_rows: int, other_height: float) -> Sheet:
    """One journal column wide up to four columns of cells, else two; on one page.

    Args:
        n_columns: cells beside each other.
        n_rows: cells above each other.
        other_height: what is no cell, in points.

    Raises:
        ValueError: cells would be too small to be read.
    """
    width = ONE_COLUMN if n_columns <= MAX_ON_ONE_COLUMN else TWO_COLUMNS
    by_width = (width - GAP * (n_columns - 1)) / n_columns
    cell = min(by_width, (PAGE_HEIGHT - other_height) / n_rows)
    if cell < SMALLEST_CELL:
        raise ValueError(f"{n_rows} rows of {n_columns} cells do not fit on a page")
    start = (width - n_columns * cell - GAP * (n_columns - 1)) / 2
    return Sheet(
        width=width, cell=cell, lefts=tuple(start + i * (cell + GAP) for i in range(n_columns))
    )


def text_width(text: str, size: float) -> float:
    """Of one line, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    measured = text_to_path.get_text_width_height_descent(
        text, FontProperties(size=size), ismath=False
    )
    return float(measured[0])


def wrap(text: str, width: float, size: float) -> list[str]:
    """Lines no wider than `width` points: broken at spaces, after joints of a name, else anywhere."""
    lines = [""]
    for piece in re.findall(r"[^\s\-_/.,]*[\-_/.,]*\s*", text):
        if text_width((lines[-1] + piece).rstrip(), size) <= width:
            lines[-1] += piece
            continue
        lines.append("")
        for character in piece:
            if lines[-1] and text_width((lines[-1] + character).rstrip(), size) > width:
                lines.append("")
            lines[-1] += character
    return [line.strip() for line in lines if line.strip()]


def flow(labels: Sequence[str], width: float, size: float) -> list[list[tuple[int, float]]]:
    """Entries of a legend in centred lines: for each line, (entry, left edge of its handle)."""
    between = 9.0
    widths = [HANDLE + 3 + text_width(label, size) for label in labels]
    lines: list[list[int]] = [[]]
    for i, entry in enumerate(widths):
        taken = sum(widths[j] + between for j in lines[-1])
        if lines[-1] and taken + entry > width - between / 2:  # a little air at the margins
            lines.append([])
        lines[-1].append(i)
    placed = []
    for line in lines:
        total = sum(widths[i] for i in line) + between * (len(line) - 1)
        left = max(0.0, (width - total) / 2)
        edges = left + np.cumsum([0.0, *(widths[i] + between for i in line[:-1])])
        placed.append([(i, float(edge)) for i, edge in zip(line, edges, strict=True)])
    return placed


def square_window(
    foreground_HW: Bool[np.ndarray, "H W"], spacing_yx: tuple[float, float]
) -> Window:
    """The smallest square, in millimetres, around all foreground and a margin.

    All of it, specks far from the organ too: what a network paints elsewhere is an error like others. The square is
    moved into the slice where it fits; where it does not, it reaches beyond. The whole slice without foreground.

    Args:
        foreground_HW: of the reference and of every prediction.
        spacing_yx: of pixels.
    """
    if not foreground_HW.any():
        box = [(0, n - 1) for n in foreground_HW.shape]
        margin = 0.0
    else:
        used = [np.flatnonzero(foreground_HW.any(axis=axis)) for axis in (1, 0)]
        box = [(int(places[0]), int(places[-1])) for places in used]
        longest = max((b - a + 1) * mm for (a, b), mm in zip(box, spacing_yx, strict=True))
        margin = max(MARGIN * longest, LEAST_MARGIN * max(spacing_yx))
    side_mm = 2 * margin + max((b - a + 1) * mm for (a, b), mm in zip(box, spacing_yx, strict=True))
    whole_mm = max(n * mm for n, mm in zip(foreground_HW.shape, spacing_yx, strict=True))
    side_mm = min(side_mm, whole_mm)
    edges = []
    for (first, last), mm, n in zip(box, spacing_yx, foreground_HW.shape, strict=True):
        side = side_mm / mm
        low = (first + last) / 2 - side / 2
        # Inside the slice if it fits, else centred on it.
        low = min(max(low, -0.5), n - 0.5 - side) if side <= n else (n - 1 - side) / 2
        edges.append((low, low + side))
    (top, bottom), (left, right) = edges
    return Window(left, right, top, bottom)


def crop(shape_HW: tuple[int, int], window: Window) -> tuple[slice, slice]:
    """The pixels that a window touches."""
    return (
        slice(
            max(0, math.floor(window.top + 0.5)), min(shape_HW[0], math.ceil(window.bottom + 0.5))
        ),
        slice(
            max(0, math.floor(window.left + 0.5)), min(shape_HW[1], math.ceil(window.right + 0.5))
        ),
    )


def free_corner(
    foreground_HW: Bool[np.ndarray, "H W"], window: Window, share_yx: tuple[float, float]
) -> tuple[bool, bool]:
    """(top, left) of the corner where a box hides least foreground; the upper left one where several hide as little.

    Args:
        foreground_HW: of the reference and of every prediction.
        window: what is seen.
        share_yx: height and width of the box, as shares of the window.
    """
    rows, columns = np.nonzero(foreground_HW)
    down = (rows - window.top) / (window.bottom - window.top)
    right = (columns - window.left) / (window.right - window.left)
    hidden = {}
    for top in (True, False):
        for left in (True, False):
            in_rows = down < share_yx[0] if top else down > 1 - share_yx[0]
            in_columns = right < share_yx[1] if left else right > 1 - share_yx[1]
            hidden[top, left] = int((in_rows & in_columns).sum())
    return min(hidden, key=lambda corner: hidden[corner])
