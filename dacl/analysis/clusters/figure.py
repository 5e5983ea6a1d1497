"""The picture of `dacl analyze clusters`: a panel per checkpoint, the paper's Fig. 1 (b)."""

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Integer

from dacl.palette import BACKGROUND_INK, class_ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_INCHES, LINE_INCHES, GAP_INCHES = 2.9, 0.145, 0.2
LONE_INCHES = 4.6
"""Of a single panel, which title and legend must fit."""
MOST_COLUMNS = 4
DPI = 220
SVG_DPI = 110
"""Of the points inside an SVG, so that many panels stay below 1 MB; letters are vectors."""
LETTERS_PER_INCH = 13.5
"""Of the title, 9 points high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPanel:
    """One checkpoint."""

    title: str
    xy_P2: Float[np.ndarray, "P 2"]
    classes_P: Integer[np.ndarray, "P"]
    lines: tuple[str, ...]
    """Written below the points; as many in every panel."""


def draw_clusters(
    paths: Sequence[Path],
    panels: Sequence[ClusterPanel],
    class_names: Sequence[str],
    *,
    title: str,
    columns: int | None = None,
) -> None:
    """Write the picture to every path, by its suffix: PNG, or SVG with the points as an image.

    Args:
        paths: where to.
        panels: in rows.
        class_names: with the background; those without a point are left out of the legend.
        title: lines that say what is seen, and whether on synthetic data.
        columns: panels in a row; None chooses.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(columns or best_columns(len(panels)), len(panels))
    rows = math.ceil(len(panels) / columns)
    side = PANEL_INCHES if columns > 1 else LONE_INCHES
    below = LINE_INCHES * max(len(panel.lines) for panel in panels) + 0.12
    width = columns * (side + GAP_INCHES) + GAP_INCHES
    present = np.unique(np.concatenate([panel.classes_P for panel in panels])).tolist()
    per_row = max(1, int(width / (0.4 + 0.07 * max(len(class_names[n]) for n in present))))
    legend_rows = math.ceil(len(present) / per_row)
    words = "\n".join(
        textwrap.fill(line, int(width * LETTERS_PER_INCH)) for line in title.splitlines()
    )
    head = 0.12 + 0.16 * (words.count("\n") + 1)
    row_height = 0.25 + side + below
    foot = 0.12 + 0.2 * legend_rows
    height = head + rows * row_height + foot
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        top = height - head - row * row_height - 0.25
        axes = figure.add_axes(
            (
                (GAP_INCHES + column * (side + GAP_INCHES)) / width,
                (top - side) / height,
                side / width,
                side / height,
            )
        )
        _draw_panel(axes, panel)
    handles = [
        Line2D(
            [], [], marker="o", linestyle="none", markersize=5, color=ink(label),
            label=class_names[label],
        )
        for label in present
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="lower center", ncols=min(per_row, len(handles)), fontsize=8,
        frameon=False, borderpad=0, borderaxespad=0, handletextpad=0.2, columnspacing=1.2,
        bbox_to_anchor=(0.5, 0.06 / height),
    )  # fmt: skip
    figure.suptitle(words, fontsize=9, x=0.5, y=1 - 0.07 / height, va="top")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".svg":
            figure.savefig(path, dpi=SVG_DPI, metadata={"Date": None})
        else:
            _write_png(figure, path)


def _write_png(figure: "Figure", path: Path) -> None:
    """In 256 colours: flat dots and letters have few, and thousands of dots take half the space."""
    from PIL import Image

    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    picture = Image.open(content).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(path, optimize=True, dpi=(DPI, DPI))


def ink(label: int) -> str:
    """Colour of a class on white, the background's grey for 0."""
    return class_ink(label) if label else BACKGROUND_INK


def best_columns(panels: int) -> int:
    """Panels in a row: one row up to four, then rows as equal as can be."""
    if panels <= MOST_COLUMNS:
        return panels
    return math.ceil(panels / math.ceil(panels / MOST_COLUMNS))


def _draw_panel(axes: "Axes", panel: ClusterPanel) -> None:
    count = len(panel.xy_P2)
    # In random order, so that no class lies on top of another.
    order_P = np.random.default_rng(0).permutation(count)
    colors = np.array([ink(label) for label in panel.classes_P.tolist()])
    size = float(np.clip(12_000 / max(count, 1), 2.2, 16))
    x_P, y_P = panel.xy_P2[order_P].T
    axes.scatter(
        x_P, y_P, s=size, c=colors[order_P].tolist(), linewidths=0, alpha=0.8,
        rasterized=True,
    )  # fmt: skip
    low_2, high_2 = panel.xy_P2.min(axis=0), panel.xy_P2.max(axis=0)
    middle_2, half = (low_2 + high_2) / 2, float(max((high_2 - low_2).max() / 2, 1e-6)) * 1.04
    axes.set(
        xlim=(middle_2[0] - half, middle_2[0] + half),
        ylim=(middle_2[1] - half, middle_2[1] + half),
        xticks=[], yticks=[],
    )  # fmt: skip
    for spine in axes.spines.values():
        spine.set(color="#CCCCCC", linewidth=0.8)
    axes.set_title(panel.title, fontsize=9, pad=4)
    axes.annotate(
        "\n".join(panel.lines), (0, 0), (0, -4), xycoords="axes fraction",
        textcoords="offset points", va="top", ha="left", fontsize=7.5, annotation_clip=False,
        linespacing=1.3,
    )  # fmt: skip
