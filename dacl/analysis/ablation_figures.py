"""Pictures of an ablation and of a sweep: every seed, means, spreads and intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of Okabe and Ito's palette, as in dacl/palette.py, and a grey.
OURS, PLAIN, PAPER, MARKED = "#0072B2", "#777777", "#D55E00", "#009E73"
ROW_INCHES = 0.36
PANEL_INCHES = 2.5
# Ticks nearer to each other than this share of an axis would run into one another.
NEAREST_TICKS = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceDots:
    """A difference of Dice in points and its 95 % interval over patients and seeds."""

    points: float
    low: float
    high: float
    excludes_zero: bool
    """With the interval over seeds alone too: may be claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDots:
    """A row of a dot plot."""

    label: str
    dice_percent_by_seed: tuple[float, ...]
    difference: DifferenceDots | None = None
    printed_percent: float | None = None
    """What the paper prints for as many labels."""
    apart: bool = False
    """A baseline so far off that it would set the scale: its difference is written and not drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepDots:
    """A panel: Dice against one parameter."""

    parameter: str
    labels: tuple[str, ...]
    dice_percent_by_seed: tuple[tuple[float, ...], ...]
    """For each label; empty where no run is there."""
    full: str | None = None
    """Label of the full method's value."""
    paper: str | None = None
    """Label of the paper's own value, where it prints one."""


def draw_rows(path: Path, rows: Sequence[RowDots], *, title: str, difference_to: str) -> None:
    """Write a PNG: Dice of every row and seed, and beside it the differences to one row.

    Args:
        path: where to.
        rows: from top to bottom.
        title: says what was measured, and whether on synthetic data.
        difference_to: the row that differences are taken to.
    """
    from matplotlib.figure import Figure

    two = any(row.difference for row in rows)
    figure = Figure(
        figsize=(11 if two else 7, 1.7 + ROW_INCHES * len(rows)),
        dpi=150, facecolor="white", layout="constrained",
    )  # fmt: skip
    every = figure.subplots(1, 2 if two else 1, sharey=True, squeeze=False)[0]
    _draw_dice(every[0], rows)
    if two:
        _draw_differences(every[1], rows, difference_to)
    for axes in every:
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="x", color="#E5E5E5", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    if two:
        _write_differences(every[1], rows)
    _finish(figure, path, title, [row.dice_percent_by_seed for row in rows], every)


def _draw_dice(axes: "Axes", rows: Sequence[RowDots]) -> None:
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=9)
    axes.set_xlabel("Dice, %")
    for y, row in enumerate(rows):
        values = row.dice_percent_by_seed
        if values:
            spread = stdev(values) if len(values) > 1 else None
            axes.errorbar(
                mean(values), y, xerr=spread, fmt="o", color=OURS, markersize=5.5, capsize=3,
                label="mean, bar: ± sd over seeds" if spread is not None else "mean",
            )  # fmt: skip
            if len(values) > 1:
                # Below the line, or they would be hidden by the mean and its bar.
                axes.plot(
                    values, [y + 0.24] * len(values), "o", color=PLAIN, markersize=3.5,
                    linestyle="none", label="a seed",
                )  # fmt: skip
        if row.printed_percent is not None:
            axes.plot(
                row.printed_percent, y, "D", markerfacecolor="none", markeredgecolor=PAPER,
                markersize=7, linestyle="none", label="printed in the paper",
            )  # fmt: skip


def _draw_differences(axes: "Axes", rows: Sequence[RowDots], to: str) -> None:
    axes.axvline(0, color="black", linewidth=0.9)
    axes.set_xlabel(f"difference to {to}, points of Dice")
    # Rows apart would set the scale for the others; alone they are the scale.
    alone = all(row.apart for row in rows if row.difference is not None)
    for y, row in enumerate(rows):
        found = row.difference
        if found is None or (row.apart and not alone):
            continue
        color = MARKED if found.excludes_zero else PLAIN
        axes.errorbar(
            found.points, y, xerr=[[found.points - found.low], [found.high - found.points]],
            fmt="s", color=color, markersize=5.5, capsize=3,
            label="95 % interval: a claim" if found.excludes_zero else "95 % interval: no claim",
        )  # fmt: skip


def _write_differences(axes: "Axes", rows: Sequence[RowDots]) -> None:
    """The numbers, at the right edge."""
    texts = [
        f"{found.points:+.2f} [{found.low:+.2f}, {found.high:+.2f}]" if found is not None else ""
        for found in (row.difference for row in rows)
    ]
    edge = axes.secondary_yaxis("right")
    edge.set_yticks(range(len(rows)), texts, fontsize=8)
    edge.tick_params(axis="y", length=0)


def draw_sweep(path: Path, panels: Sequence[SweepDots], *, title: str) -> None:
    """Write a PNG: a panel for each parameter, mean Dice with bars over seeds on one scale.

    Args:
        path: where to.
        panels: from left to right.
        title: says what was measured, and whether on synthetic data.
    """
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(1.0 + PANEL_INCHES * max(2, len(panels)), 3.6),
        dpi=150, facecolor="white", layout="constrained",
    )  # fmt: skip
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(every, panels, strict=True):
        _draw_panel(axes, panel)
    every[0].set_ylabel("Dice, %")
    seeds = [values for panel in panels for values in panel.dice_percent_by_seed]
    _finish(figure, path, title, seeds, every)


def _draw_panel(axes: "Axes", panel: SweepDots) -> None:
    places = tick_places(panel.labels)
    axes.set_xticks(places, panel.labels, fontsize=8)
    axes.set_xlabel(panel.parameter)
    width = max(places) - min(places) or 1.0
    axes.set_xlim(min(places) - 0.1 * width, max(places) + 0.1 * width)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)
    there = [
        (x, label, values)
        for x, label, values in zip(places, panel.labels, panel.dice_percent_by_seed, strict=True)
        if values
    ]
    numbers = sorted((x, mean(values)) for x, label, values in there if _is_number(label))
    axes.plot([x for x, _ in numbers], [y for _, y in numbers], color=OURS, alpha=0.4)
    for x, name, values in there:
        full = name == panel.full
        spread = stdev(values) if len(values) > 1 else None
        label = "full method" if full else "another value"
        axes.errorbar(
            x, mean(values), yerr=spread, fmt="*" if full else "o", capsize=3,
            color=MARKED if full else OURS, markersize=12 if full else 5.5,
            label=label if spread is None else f"{label}, bar: ± sd over seeds",
        )  # fmt: skip
        if len(values) > 1:
            axes.plot(
                [x + 0.045 * width] * len(values), values, "o", color=PLAIN, markersize=3,
                linestyle="none", label="a seed",
            )  # fmt: skip
    if panel.paper is not None and panel.paper in panel.labels:
        axes.plot(
            places[panel.labels.index(panel.paper)], 0.0, "^", transform=axes.get_xaxis_transform(),
            color=PAPER, markersize=8, linestyle="none", clip_on=False,
            label="the paper's value",
        )  # fmt: skip


def tick_places(labels: Sequence[str]) -> list[float]:
    """Positions on the x axis: the values where all are numbers and far enough apart, else one step each."""
    if all(_is_number(label) for label in labels):
        places = [float(label) for label in labels]
        ordered = sorted(places)
        gaps = [b - a for a, b in pairwise(ordered)]
        if gaps and min(gaps) >= NEAREST_TICKS * (ordered[-1] - ordered[0]):
            return places
    return [float(n) for n in range(len(labels))]


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _finish(
    figure: "Figure", path: Path, title: str, seeds: Sequence[Sequence[float]], every: Any
) -> None:
    """Title, one legend for all axes, and the file."""
    if max((len(values) for values in seeds), default=0) <= 1:
        title += "\none seed: no spread over seeds to hold differences against"
    figure.suptitle(title, fontsize=10)
    handles: dict[str, Any] = {}
    for axes in every:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", fontsize=8, frameon=False,
        ncols=min(len(handles), 5),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
