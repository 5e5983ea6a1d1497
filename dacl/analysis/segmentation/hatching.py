"""Regions marked on a scan: white hatching and outline with a dark rim, to be seen on dark and on bright tissue."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP_POINTS = 3.6
"""Between neighbouring diagonals, along a row."""
STROKES = (("#000000", 0.9), ("#FFFFFF", 0.4))
"""Colour and width in points, the lower one first. No class has these colours."""


def draw_hatched(
    axes: "Axes",
    region_HW: Bool[np.ndarray, "H W"],
    spacing_yx: tuple[float, float],
    mm_per_point: float,
) -> None:
    """Hatch and outline a region; the outline shows what is too small to be hatched.

    Args:
        axes: in pixel coordinates.
        region_HW: may be empty.
        spacing_yx: of pixels.
        mm_per_point: scale of the picture.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.patheffects import withStroke

    if not region_HW.any():
        return
    ends_N22 = diagonals(region_HW, spacing_yx, STEP_POINTS * mm_per_point)
    codes = np.tile([Path.MOVETO, Path.LINETO], len(ends_N22))
    # One path for all lines: in a file it takes a fraction of what as many paths take.
    lines = Path(ends_N22.reshape(-1, 2), codes)
    for color, linewidth in STROKES:
        axes.add_patch(
            PathPatch(
                lines, fill=False, edgecolor=color, linewidth=linewidth, capstyle="butt", zorder=1.5
            )
        )
    (rim, rim_width), (color, linewidth) = STROKES
    rows, columns = (np.arange(-1, n + 1) for n in region_HW.shape)
    outline = axes.contour(
        columns, rows, np.pad(region_HW, 1), levels=[0.5], colors=[color], linewidths=linewidth, zorder=1.6
    )  # fmt: skip
    outline.set_path_effects([withStroke(linewidth=rim_width, foreground=rim)])


def diagonals(
    region_HW: Bool[np.ndarray, "H W"], spacing_yx: tuple[float, float], step_mm: float
) -> Float[np.ndarray, "N 2 2"]:
    """Ends (x, y), in pixels, of the lines that hatch a region, to a tenth of a pixel.

    Args:
        region_HW: the region.
        spacing_yx: of pixels; lines rise by 45 degrees in space.
        step_mm: between neighbouring lines, along a row.
    """
    (height, width), (mm_y, mm_x) = region_HW.shape, spacing_yx
    # Line k is x + y = k * step, in millimetres; it is followed from left to right.
    x_T = np.arange(-0.45, width - 0.5, 0.1) * mm_x
    sum_K = np.arange(0, width * mm_x + height * mm_y, step_mm)
    y_KT = sum_K[:, None] - x_T
    row_KT, column_T = np.rint(y_KT / mm_y).astype(int), np.rint(x_T / mm_x).astype(int)
    inside_KT = (row_KT >= 0) & (row_KT < height)
    inside_KT &= region_HW[np.clip(row_KT, 0, height - 1), column_T]
    change_KT = np.diff(np.pad(inside_KT, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(change_KT == 1), np.argwhere(change_KT == -1)
    place_N2 = np.stack([starts[:, 1], ends[:, 1] - 1], axis=1)
    x_N2 = x_T[place_N2]
    return np.stack([x_N2 / mm_x, (sum_K[starts[:, :1]] - x_N2) / mm_y], axis=-1)
