"""Pictures of predictions beside the reference, for the eye to judge what the numbers say."""

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Integer

from dacl.data.case import SpacingMm
from dacl.palette import class_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MISSED, SPURIOUS, CONFUSED = "#E69F00", "#CC79A7", "#FFFFFF"
ERRORS = {
    "missed (reference only)": MISSED,
    "spurious (prediction only)": SPURIOUS,
    "wrong class": CONFUSED,
}
HEADINGS = ("image", "reference", "prediction", "errors")
MAX_ROWS = 4
MARGIN = 0.3
CELL_INCHES = 2.1
LEGEND_COLUMNS = 5


def why_no_pictures() -> str | None:
    """A line that says why nothing can be drawn here, or None if it can."""
    if find_spec("matplotlib") is None:
        return "no pictures were drawn: matplotlib is not installed (pip install matplotlib)"
    return None


def draw_overlay(
    path: Path,
    image_ZHW: Float[np.ndarray, "Z H W"],
    truth_ZHW: Integer[np.ndarray, "Z H W"],
    pred_ZHW: Integer[np.ndarray, "Z H W"],
    *,
    class_names: Sequence[str],
    spacing_mm: SpacingMm | None,
    title: str,
) -> None:
    """Write a PNG: rows are slices through the foreground, columns `HEADINGS`.

    Args:
        path: where to.
        image_ZHW: any intensities; shown from the 1st to the 99th percentile.
        truth_ZHW: class indices of the reference.
        pred_ZHW: class indices of the prediction.
        class_names: background first.
        spacing_mm: (z, y, x); gives pixels their shape.
        title: one or two lines.
    """
    from matplotlib.figure import Figure

    slices = chosen_slices(truth_ZHW, pred_ZHW)
    window = foreground_window((truth_ZHW > 0) | (pred_ZHW > 0))
    aspect = 1.0 if spacing_mm is None else spacing_mm[1] / spacing_mm[2]
    height, width = image_ZHW[0][window].shape
    cell_height = float(np.clip(CELL_INCHES * height * aspect / width, 1.0, 2 * CELL_INCHES))
    legend_rows = math.ceil((len(class_names) - 1) / LEGEND_COLUMNS)
    head, foot = 0.75, 0.5 + 0.2 * legend_rows
    size = (4 * CELL_INCHES + 0.5, len(slices) * cell_height + head + foot)
    figure = Figure(figsize=size, dpi=150, facecolor="white")
    cells = figure.subplots(len(slices), 4, squeeze=False)
    figure.subplots_adjust(
        left=0.45 / size[0], right=1 - 0.05 / size[0], wspace=0.03,
        bottom=foot / size[1], top=1 - head / size[1], hspace=0.03,
    )  # fmt: skip
    low, high = np.percentile(image_ZHW[slices][(slice(None), *window)], [1, 99])
    high = max(high, low + 1e-6)
    for row, z in zip(cells, slices, strict=True):
        image, truth, pred = (volume[z][window] for volume in (image_ZHW, truth_ZHW, pred_ZHW))
        for axes in row:
            axes.imshow(
                image, cmap="gray", vmin=low, aspect=aspect, interpolation="nearest",
                # Errors stand out on a dimmed image.
                vmax=high if axes is not row[3] else low + 2 * (high - low),
            )  # fmt: skip
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"slice {z + 1} of {len(image_ZHW)}", fontsize=8)
        draw_contours(row[1], truth, len(class_names))
        draw_contours(row[2], pred, len(class_names))
        _draw_errors(row[3], truth, pred)
    for axes, heading in zip(cells[0], HEADINGS, strict=True):
        axes.set_title(heading, fontsize=9, pad=4)
    figure.suptitle(title, fontsize=10, y=1 - 0.12 / size[1], va="top")
    _draw_legends(figure, class_names)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def chosen_slices(
    truth_ZHW: Integer[np.ndarray, "Z H W"], pred_ZHW: Integer[np.ndarray, "Z H W"]
) -> list[int]:
    """At most four slices, evenly over those with foreground in either mask; else the middle."""
    used = np.flatnonzero(((truth_ZHW > 0) | (pred_ZHW > 0)).any(axis=(1, 2)))
    if not used.size:
        return [len(truth_ZHW) // 2]
    places = np.linspace(0, used.size - 1, min(MAX_ROWS, used.size))
    return [int(used[round(place)]) for place in places]


def foreground_window(foreground_ZHW: np.ndarray) -> tuple[slice, slice]:
    """The foreground's box in plane with a margin, or the whole slice without foreground."""
    height, width = foreground_ZHW.shape[1:]
    if not foreground_ZHW.any():
        return slice(0, height), slice(0, width)
    box = []
    for others, size in (((0, 2), height), ((0, 1), width)):
        used = np.flatnonzero(foreground_ZHW.any(axis=others))
        margin = max(8, round(MARGIN * (used[-1] - used[0] + 1)))
        box.append(slice(max(0, int(used[0]) - margin), min(size, int(used[-1]) + 1 + margin)))
    return box[0], box[1]


def _draw_legends(figure: "Figure", class_names: Sequence[str]) -> None:
    """Classes in rows of five, and the errors below them."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    lines = [
        Line2D([], [], color=class_color(label), linewidth=2, label=name)
        for label, name in enumerate(class_names[1:], start=1)
    ]
    patches = [
        Patch(facecolor=color, edgecolor="gray", label=name) for name, color in ERRORS.items()
    ]
    for handles, inches in ((lines, 0.38), (patches, 0.10)):
        figure.legend(
            handles=handles, loc="lower center", fontsize=8, frameon=False, borderpad=0,
            ncols=min(len(handles), LEGEND_COLUMNS),
            bbox_to_anchor=(0.5, inches / figure.get_figheight()), borderaxespad=0,
        )  # fmt: skip


def draw_contours(
    axes: "Axes", mask_HW: np.ndarray, n_classes: int, *, linewidth: float = 1.4
) -> None:
    """Outline every foreground class in its colour; the limits of the axes become those of the mask."""
    padded = np.pad(mask_HW, 1)  # closes the contours of what touches the edge
    rows, columns = (np.arange(-1, n + 1) for n in mask_HW.shape)
    for label in range(1, n_classes):
        if (mask_HW == label).any():
            axes.contour(
                columns, rows, padded == label, levels=[0.5], colors=[class_color(label)],
                linewidths=linewidth,
            )  # fmt: skip
    axes.set(xlim=(-0.5, mask_HW.shape[1] - 0.5), ylim=(mask_HW.shape[0] - 0.5, -0.5))


def _draw_errors(axes: "Axes", truth_HW: np.ndarray, pred_HW: np.ndarray) -> None:
    from matplotlib.colors import to_rgba

    wrong = truth_HW != pred_HW
    colors = np.zeros((*truth_HW.shape, 4))
    colors[wrong & (pred_HW == 0)] = to_rgba(MISSED)
    colors[wrong & (truth_HW == 0)] = to_rgba(SPURIOUS)
    colors[wrong & (truth_HW > 0) & (pred_HW > 0)] = to_rgba(CONFUSED)
    axes.imshow(colors, aspect=axes.get_aspect(), interpolation="nearest")
