"""The picture of segmentations that papers print (Fig. 3 and 4): rows are cases, columns the truth and each run.

Class contours over the scan, the errors of a prediction hatched in white, and the Dice of its volume in a corner. It is
one column of a journal wide, up to four columns of cells, and two beyond. Lengths are points, y counts upwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Integer

from dacl.analysis.figure_files import simplify_contours, write_figure
from dacl.analysis.figures import draw_contours
from dacl.analysis.segmentation.hatching import STEP_POINTS, STROKES, draw_hatched
from dacl.analysis.segmentation.layout import (
    HANDLE,
    HEADING,
    LINE,
    ROW_GAP,
    SMALL,
    crop,
    flow,
    free_corner,
    sheet,
    square_window,
    wrap,
)
from dacl.palette import class_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUTH = "truth"
ERROR_LABEL = "prediction differs from the truth"
DICE_NOTE = "Numbers: Dice of the whole volume in %, mean over the foreground classes."
SMALL_LINE, LARGE_LINE, LEGEND_LINE = SMALL * LINE, HEADING * LINE, 1.2 * SMALL * LINE
BASELINE = 0.85
"""From the top of a line, in its height."""
BRIGHTEST = 1.15
"""White in units of the brightest tissue: contours and hatching are brighter than the scan."""
UNSEEN_POINTS = 0.06
"""How far a contour may lie beside the voxels' edges: a tenth of its own width."""
BOX = (10.0, 22.0)
"""Height and width of the number in the corner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """One slice of a case and what each run made of it."""

    caption: str
    """Which case, why this one, and which slice."""
    image_HW: Float[np.ndarray, "H W"]
    """Any intensities."""
    truth_HW: Integer[np.ndarray, "H W"]
    """Class indices."""
    predictions_HW: Sequence[Integer[np.ndarray, "H W"]]
    """Class indices, a mask for each run."""
    dice: Sequence[float]
    """Of the volumes, mean over foreground classes, a fraction of 1 for each run; NaN: undefined."""
    spacing_yx: tuple[float, float] | None
    """Millimetres; None, where unknown, draws pixels square."""


def draw_segmentations(
    paths: Sequence[Path],
    rows: Sequence[CaseRow],
    labels: Sequence[str],
    *,
    class_names: Sequence[str],
    title: str = "",
    note: str = "",
) -> None:
    """Write the picture, files of less than 1 MB where `write_figure` can.

    Every cell of a row shows the same square of its slice, which holds all foreground of the truth and of every
    prediction, in the same grey values: the 1st to the 99.5th percentile of what is seen.

    Args:
        paths: where to; the endings (.png, .svg, .pdf) say which formats. PNG has 300 to 600 dots per inch.
        rows: at least one.
        labels: of the runs, in the order of the rows' predictions.
        class_names: background first.
        title: above everything; empty for none.
        note: below the legend; empty for none.

    Raises:
        ValueError: more rows or columns than a page holds.
    """
    figure = compose(rows, labels, class_names=class_names, title=title, note=note)
    for path in paths:
        write_figure(figure, path)


def compose(
    rows: Sequence[CaseRow],
    labels: Sequence[str],
    *,
    class_names: Sequence[str],
    title: str = "",
    note: str = "",
) -> "Figure":
    """The picture of `draw_segmentations`, not yet written."""
    # The width of texts does not depend on how high the cells may be, but the other way round.
    plan = sheet(len(labels) + 1, 1, 0)
    titles = wrap(title, plan.width, HEADING)
    headings = [wrap(label, plan.cell, HEADING) for label in (TRUTH, *labels)]
    captions = [wrap(row.caption, plan.width, SMALL) for row in rows]
    entries = [*class_names[1:], ERROR_LABEL]
    legend = flow(entries, plan.width, SMALL)
    notes = [*wrap(DICE_NOTE, plan.width, SMALL), *wrap(note, plan.width, SMALL)]
    head = (len(titles) + max(map(len, headings))) * LARGE_LINE + (5 if titles else 2)
    under = [2 + len(caption) * SMALL_LINE + ROW_GAP for caption in captions]
    foot = len(legend) * LEGEND_LINE + len(notes) * SMALL_LINE + 2
    plan = sheet(len(labels) + 1, len(rows), head + sum(under) + foot)

    page = _Page(plan.width, head + len(rows) * plan.cell + sum(under) + foot)
    for i, line in enumerate(titles):
        page.write(line, plan.width / 2, page.height - (i + BASELINE) * LARGE_LINE, HEADING)
    top = page.height - head
    for lines, left in zip(headings, plan.lefts, strict=True):
        for i, line in enumerate(reversed(lines)):
            page.write(line, left + plan.cell / 2, top + 3.5 + i * LARGE_LINE, HEADING)
    for row, caption, below in zip(rows, captions, under, strict=True):
        top -= plan.cell
        cells = [page.add_cell(left, top, plan.cell) for left in plan.lefts]
        _draw_row(cells, row, len(class_names), plan.cell)
        for i, line in enumerate(caption):
            y = top - 2 - (i + BASELINE) * SMALL_LINE
            page.write(line, plan.lefts[0], y, SMALL, align="left")
        top -= below
    for line_of_entries in legend:
        top -= LEGEND_LINE
        for entry, left in line_of_entries:
            if entry < len(entries) - 1:
                page.draw_line((left, left + HANDLE), (top + 2, top + 2), class_color(entry + 1), 2)
            else:
                page.draw_hatched_box(left, top - 0.5)
            page.write(entries[entry], left + HANDLE + 3, top, SMALL, align="left")
    for i, line in enumerate(notes):
        page.write(line, plan.width / 2, top - 2 - (i + BASELINE) * SMALL_LINE, SMALL)
    return page.figure


class _Page:
    """A figure measured in points from its lower left corner."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), facecolor="white")

    def write(self, line: str, x: float, y: float, size: float, *, align: str = "center") -> None:
        # A dollar sign in a name starts no formula.
        self.figure.text(
            x / self.width, y / self.height, line, fontsize=size, ha=align, va="baseline", parse_math=False
        )  # fmt: skip

    def add_cell(self, left: float, bottom: float, side: float) -> "Axes":
        width, height = self.width, self.height
        return self.figure.add_axes((left / width, bottom / height, side / width, side / height))

    def draw_line(
        self, xs: tuple[float, float], ys: tuple[float, float], color: str, linewidth: float
    ) -> None:
        from matplotlib.lines import Line2D

        places = [x / self.width for x in xs], [y / self.height for y in ys]
        line = Line2D(
            *places, color=color, linewidth=linewidth, solid_capstyle="butt",
            transform=self.figure.transFigure,
        )  # fmt: skip
        self.figure.add_artist(line)

    def draw_hatched_box(self, left: float, bottom: float, height: float = 6.0) -> None:
        from matplotlib.patches import Rectangle

        corner = (left / self.width, bottom / self.height)
        size = (HANDLE / self.width, height / self.height)
        self.figure.add_artist(Rectangle(corner, *size, facecolor="#707070", linewidth=0))
        for color, linewidth in STROKES:
            for start in np.arange(left, left + HANDLE - height + 0.1, STEP_POINTS * 5 / 6):
                self.draw_line((start, start + height), (bottom, bottom + height), color, linewidth)
            self.figure.add_artist(
                Rectangle(corner, *size, facecolor="none", edgecolor=color, linewidth=linewidth)
            )


def _draw_row(cells: Sequence["Axes"], row: CaseRow, n_classes: int, cell: float) -> None:
    spacing_yx = row.spacing_yx or (1.0, 1.0)
    foreground_HW = np.any([row.truth_HW > 0, *(mask > 0 for mask in row.predictions_HW)], axis=0)
    window = square_window(foreground_HW, spacing_yx)
    seen = crop(row.image_HW.shape, window)
    low, high = np.percentile(row.image_HW[seen], [1, 99.5])
    grey = np.clip((row.image_HW[seen] - low) / max(high - low, 1e-6), 0, 1)
    linewidth = float(np.clip(cell / 105, 0.55, 1.0))
    mm_per_point = (window.right - window.left) * spacing_yx[1] / cell
    corner = free_corner(foreground_HW, window, (BOX[0] / cell, BOX[1] / cell))
    for n, (axes, mask_HW) in enumerate(
        zip(cells, (row.truth_HW, *row.predictions_HW), strict=True)
    ):
        _draw_scan(axes, grey, seen)
        draw_hatched(axes, mask_HW != row.truth_HW, spacing_yx, mm_per_point)
        draw_contours(axes, mask_HW, n_classes, linewidth=linewidth)
        simplify_contours(axes, UNSEEN_POINTS * mm_per_point / max(spacing_yx))
        axes.set(xlim=(window.left, window.right), ylim=(window.bottom, window.top))
        if n:
            _write_dice(axes, row.dice[n - 1], corner)


def _draw_scan(axes: "Axes", grey: np.ndarray, seen: tuple[slice, slice]) -> None:
    """The scan's own pixels, also in vector files; black where the window reaches beyond the slice."""
    rows, columns = seen
    axes.imshow(
        grey, cmap="gray", vmin=0, vmax=BRIGHTEST, aspect="auto", interpolation="none",
        extent=(columns.start - 0.5, columns.stop - 0.5, rows.stop - 0.5, rows.start - 0.5),
    )  # fmt: skip
    axes.set(xticks=[], yticks=[], facecolor="black")
    axes.spines[:].set_visible(False)


def _write_dice(axes: "Axes", dice: float, corner: tuple[bool, bool]) -> None:
    top, left = corner
    axes.text(
        0.03 if left else 0.97, 0.97 if top else 0.03,
        "n/a" if np.isnan(dice) else f"{100 * dice:.1f}",
        transform=axes.transAxes, fontsize=SMALL, color="white", zorder=5,
        ha="left" if left else "right", va="top" if top else "bottom",
        bbox={"boxstyle": "square,pad=0.18", "facecolor": "black", "alpha": 0.7, "linewidth": 0},
    )  # fmt: skip
