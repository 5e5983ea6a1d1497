"""Picture of a comparison: per class the difference between two sides, its interval, and every patient behind it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dacl.analysis.ablation_figures import MARKED, PLAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 8.0
ROW_INCHES = 0.42
INNER_PERCENT = 90
"""Patients that the axis shows at least; those beyond it are arrows at its edge, or one of them would set the scale."""
LINE_CHARACTERS = 78
SIDE_CHARACTERS = 34
GRID = "#E5E5E5"


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    """A class; numbers in the unit of the axis."""

    label: str
    color: str
    """Of its patients."""
    patients: tuple[float, ...]
    """Difference of every patient."""
    mean: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    claim: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferencePanel:
    """Two sides."""

    title: str
    """The side that is not the reference."""
    left: str
    """Who is better below zero."""
    right: str
    """Who is better above zero."""
    rows: tuple[DifferenceRow, ...]
    warning: str | None = None
    """Why the two may not be compared."""


def draw_comparison(
    paths: Sequence[Path],
    panels: Sequence[DifferencePanel],
    *,
    title: str,
    unit: str,
    interval: str,
) -> None:
    """Write one picture in several formats: panels below each other on one axis.

    Args:
        paths: where to; the endings (.png, .svg, .pdf) say which formats.
        panels: from top to bottom.
        title: says what was measured, and whether on synthetic data.
        unit: label of the axis.
        interval: what the intervals are, for the legend.
    """
    from matplotlib.figure import Figure

    n_rows = sum(len(panel.rows) for panel in panels)
    titles = [_heading(panel, alone=len(panels) == 1) for panel in panels]
    n_lines = sum(text.count("\n") + 1 for text in titles if text)
    height = 1.7 + ROW_INCHES * n_rows + 0.42 * len(panels) + 0.2 * n_lines
    figure = Figure(
        figsize=(WIDTH_INCHES, height), dpi=150, facecolor="white", layout="constrained"
    )
    every: list[Axes] = figure.subplots(
        len(panels), 1, squeeze=False, sharex=True,
        height_ratios=[max(1, len(panel.rows)) for panel in panels],
    )[:, 0].tolist()  # fmt: skip
    low, high = _limits(panels)
    for axes, panel, heading in zip(every, panels, titles, strict=True):
        _draw_panel(axes, panel, low, high, interval)
        _write_sides(axes, panel, heading)
    every[0].set_xlim(low, high)
    every[-1].set_xlabel(unit, fontsize=9)
    _finish(figure, every, title)
    for path in paths:
        _save(figure, path)


def _limits(panels: Sequence[DifferencePanel]) -> tuple[float, float]:
    """Of an axis with zero, all intervals and most patients on it, and a margin."""
    rows = [row for panel in panels for row in panel.rows]
    ends = [0.0, *(bound for row in rows for bound in (row.low, row.high, row.mean))]
    for row in rows:
        outer = (100 - INNER_PERCENT) / 2
        ends += np.percentile(row.patients, [outer, 100 - outer]).tolist()
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def _draw_panel(
    axes: "Axes", panel: DifferencePanel, low: float, high: float, interval: str
) -> None:
    axes.axvline(0, color="black", linewidth=0.9)
    for y, row in enumerate(panel.rows):
        gains = np.array(row.patients)
        inside = (gains >= low) & (gains <= high)
        # Spread in order, so that patients of one value lie beside each other.
        height = y + np.linspace(-0.26, 0.26, len(gains))[np.argsort(np.argsort(gains))]
        axes.plot(
            gains[inside], height[inside], "o", color=row.color, markersize=2.6, alpha=0.65,
            markeredgewidth=0, linestyle="none",
        )  # fmt: skip
        for beyond, end, marker in ((gains < low, low, "<"), (gains > high, high, ">")):
            # Without any, an empty line that is not clipped would count as lying at the origin of the picture.
            if beyond.any():
                axes.plot(
                    [end] * int(beyond.sum()), height[beyond], marker, color=row.color,
                    markersize=3.5, markeredgewidth=0, linestyle="none", clip_on=False,
                )  # fmt: skip
        axes.errorbar(
            row.mean, y, xerr=[[row.mean - row.low], [row.high - row.mean]], fmt="s",
            color=MARKED if row.claim else PLAIN, markersize=5.5, capsize=3,
            markeredgecolor="white", markeredgewidth=0.7, zorder=3,
            label=f"mean, {interval}: {'a claim' if row.claim else 'no claim'}",
        )  # fmt: skip
    axes.set_yticks(range(len(panel.rows)), [row.label for row in panel.rows], fontsize=9)
    axes.set_ylim(len(panel.rows) - 0.5, -0.5)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    edge = axes.secondary_yaxis("right")
    edge.set_yticks(range(len(panel.rows)), [_numbers(row) for row in panel.rows], fontsize=8)
    edge.tick_params(axis="y", length=0)


def _numbers(row: DifferenceRow) -> str:
    return f"{row.mean:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"


def _heading(panel: DifferencePanel, *, alone: bool) -> str:
    """Lines above a panel; a panel alone is named by the title of the picture."""
    lines = [] if alone else textwrap.wrap(panel.title, LINE_CHARACTERS)
    return "\n".join([*lines, *([panel.warning] if panel.warning else [])])


def _write_sides(axes: "Axes", panel: DifferencePanel, heading: str) -> None:
    """Who is better on which side, at the ends of the axis; the heading above."""
    sides = f"← {_shortened(panel.left)}", f"{_shortened(panel.right)} →"
    for x, align, text in ((0.0, "left", sides[0]), (1.0, "right", sides[1])):
        axes.annotate(
            text, (x, 1.0), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points",
            ha=align, va="bottom", fontsize=8, color="#333333",
        )  # fmt: skip
    if heading:
        color = "#B00020" if panel.warning else "black"
        axes.set_title(heading, fontsize=9, loc="left", pad=18, color=color)


def _shortened(text: str) -> str:
    """`a very long name... better`: the name is cut, not the word."""
    name, _, word = text.rpartition(" ")
    room = SIDE_CHARACTERS - len(word) - 1
    return text if len(name) <= room else f"{name[: room - 3]}... {word}"


def _finish(figure: "Figure", every: Sequence["Axes"], title: str) -> None:
    from matplotlib.lines import Line2D

    figure.suptitle("\n".join(textwrap.wrap(title, LINE_CHARACTERS)), fontsize=10)
    handles: dict[str, Any] = {}
    for axes in every:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    marker = Line2D([], [], color=PLAIN, marker="o", markersize=3.5, linestyle="none")
    handles["a patient, seeds averaged"] = marker
    if any(line.get_marker() in ("<", ">") for axes in every for line in axes.lines):
        arrow = Line2D([], [], color=PLAIN, marker=">", markersize=4.5, linestyle="none")
        handles["a patient beyond the axis"] = arrow
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", fontsize=8, frameon=False,
        ncols=2 if len(handles) > 2 else len(handles),
    )  # fmt: skip


def _save(figure: "Figure", path: Path) -> None:
    """The same picture gives the same bytes."""
    import matplotlib

    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "dacl"}):
        figure.savefig(path, metadata=undated)
