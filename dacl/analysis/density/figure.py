"""Pictures of densities: the units of every class with its anchors and keys, and one slice (the paper's Fig. 2a)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from dacl.analysis.density.slices import SliceDensity
from dacl.analysis.density.units import ClassDensity
from dacl.analysis.figures import draw_contours, foreground_window
from dacl.palette import class_color, class_ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

COLUMNS = 4
CELL_INCHES = 2.9
BINS = 30
DENSITY_MAP = "viridis"
ANCHOR, KEY, BANK = "#E6007E", "#111111", "#C8C8C8"
"""On the colours of `DENSITY_MAP` and on white paper."""
DPI = 200


def draw_units(
    paths: Sequence[Path], classes: Sequence[ClassDensity], *, title: str, at_random: bool = False
) -> None:
    """For every class the units of one batch in the plane, coloured by density, and below the histogram of all.

    Anchors and keys are marked in both; the bars have the colours of the plane, so that they are its legend.

    Args:
        paths: where to; the endings say which formats.
        classes: those with at least two units are drawn.
        title: what was looked at, and whether on synthetic data.
        at_random: anchors and keys were drawn by chance (plain contrast), which the legend says.

    Raises:
        ValueError: no class has two units.
    """
    from matplotlib.figure import Figure

    shown = [(n, found) for n, found in enumerate(classes, start=1) if len(found.density_M) >= 2]
    if not shown:
        raise ValueError("no class has two units")
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(
        figsize=(CELL_INCHES * max(columns, 2) + 0.8, 1.75 * CELL_INCHES * rows + 0.9),
        dpi=DPI, facecolor="white", layout="constrained",
    )  # fmt: skip
    blocks = figure.subfigures(rows, columns, squeeze=False).ravel()
    lowest = min(float(np.percentile(found.density_M, 1)) for _, found in shown)
    limits = (max(-1.0, math.floor(20 * min(lowest, 0.99)) / 20), 1.0)
    for block, (label, found) in zip(blocks, shown, strict=False):
        _draw_class(block, found, label, limits)
    _legend(figure, at_random, any(len(found.bank_LD) for _, found in shown))
    figure.suptitle(title, fontsize=10)
    _save(figure, paths)


def _draw_class(
    block: "SubFigure", found: ClassDensity, label: int, limits: tuple[float, float]
) -> None:
    upper, lower = block.subplots(2, 1, gridspec_kw={"height_ratios": (1.15, 1)})
    anchors, keys = int(found.anchor_M.sum()), int(found.key_M.sum())
    block.suptitle(
        f"{found.name}: {len(found.density_M)} units, {anchors} anchors, {keys} keys",
        fontsize=9, color=class_ink(label), fontweight="bold",
    )  # fmt: skip
    _draw_scatter(upper, found, limits)
    _draw_histogram(lower, found, limits)


def _draw_scatter(axes: "Axes", found: ClassDensity, limits: tuple[float, float]) -> None:
    """The first batch and the bank on the two directions in which all units spread most."""
    units_M2, bank_L2 = principal_plane(found.units_MD, found.bank_LD)
    axes.plot(
        bank_L2[:, 0], bank_L2[:, 1], ".", color=BANK, markersize=2.5, linestyle="none",
        rasterized=True, zorder=1,
    )  # fmt: skip
    first_M = found.batch_M == found.batch_M.min()
    plain_M = first_M & ~found.anchor_M & ~found.key_M
    marks: tuple[tuple[np.ndarray, dict[str, Any]], ...] = (
        (plain_M, {"s": 7, "linewidths": 0}),
        (first_M & found.key_M, {"s": 20, "marker": "s", "edgecolors": KEY, "linewidths": 0.8}),
        (first_M & found.anchor_M, {"s": 24, "marker": "^", "edgecolors": ANCHOR, "linewidths": 0.9}),
    )  # fmt: skip
    for order, (mask_M, look) in enumerate(marks, start=2):
        axes.scatter(
            units_M2[mask_M, 0], units_M2[mask_M, 1], c=found.density_M[mask_M], cmap=DENSITY_MAP,
            vmin=limits[0], vmax=limits[1], rasterized=True, zorder=order, **look,
        )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("first two principal directions, one batch", fontsize=8)
    axes.set_aspect("equal", adjustable="datalim")


def principal_plane(
    units_MD: Float[np.ndarray, "M D"], others_LD: Float[np.ndarray, "L D"]
) -> tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, "L 2"]]:
    """Both on the first two principal directions of the units, centred on their mean."""
    centre_D = units_MD.mean(axis=0)
    _, _, directions_KD = np.linalg.svd(units_MD - centre_D, full_matrices=False)
    plane_2D = np.zeros((2, units_MD.shape[1]), units_MD.dtype)
    plane_2D[: min(2, len(directions_KD))] = directions_KD[:2]
    return (units_MD - centre_D) @ plane_2D.T, (others_LD - centre_D) @ plane_2D.T


def _draw_histogram(axes: "Axes", found: ClassDensity, limits: tuple[float, float]) -> None:
    """Shares of the class on a logarithmic axis; what is sparser than the limit is gathered in the first bin."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    edges = np.linspace(*limits, BINS + 1)
    width = edges[1] - edges[0]
    colors = colormaps[DENSITY_MAP](Normalize(*limits)(edges[:-1] + width / 2))

    def shares(mask_M: np.ndarray) -> np.ndarray:
        counts, _ = np.histogram(np.clip(found.density_M[mask_M], *limits), edges)
        return 100 * counts / len(found.density_M)

    lowest = 100 / len(found.density_M) / 2
    axes.bar(
        edges[:-1], shares(np.ones_like(found.key_M)), width, align="edge", color=colors,
        edgecolor="#777777", linewidth=0.4,
    )  # fmt: skip
    for mask_M, color in ((found.key_M, KEY), (found.anchor_M, ANCHOR)):
        if mask_M.any():
            axes.stairs(shares(mask_M), edges, baseline=lowest, color=color, linewidth=1.6)
            axes.axvline(
                float(found.density_M[mask_M].mean()), color=color, linewidth=1, dashes=(4, 2)
            )
    axes.set(xlim=limits, yscale="log", ylim=(lowest, 130))
    axes.set_xlabel("density, all batches (first bar: and below)", fontsize=8)
    axes.set_ylabel("units, %", fontsize=8)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: "Figure", at_random: bool, has_bank: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def mark(marker: str, color: str, label: str, size: float) -> Line2D:
        return Line2D(
            [], [], marker=marker, linestyle="none", markerfacecolor="#22A884",
            markeredgecolor=color, markersize=size, label=label,
        )  # fmt: skip

    ends = ("at random", "at random") if at_random else ("sparse end (Eq. 6)", "dense end (Eq. 7)")
    bank = Line2D([], [], marker=".", linestyle="none", color=BANK, label="memory bank")
    handles = [
        mark("^", ANCHOR, f"anchor: {ends[0]}", 6),
        mark("s", KEY, f"key: {ends[1]}", 5),
        *([bank] if has_bank else []),
        Patch(facecolor="#22A884", edgecolor="#777777", label="all units"),
        Line2D([], [], color=ANCHOR, linewidth=1.6, label="anchors"),
        Line2D([], [], color=KEY, linewidth=1.6, label="keys; dashed: means"),
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles) if figure.get_figwidth() > 9 else 2,
        frameon=False, fontsize=8,
    )  # fmt: skip


def draw_slice(
    paths: Sequence[Path], found: SliceDensity, class_names: Sequence[str], *, title: str
) -> None:
    """The image, the reference, the prediction, and the density of each predicted pixel with the anchors marked.

    Args:
        paths: where to; the endings say which formats.
        found: the slice.
        class_names: background first.
        title: what was looked at, and whether on synthetic data.
    """
    from matplotlib.figure import Figure

    window = foreground_window(((found.truth_HW > 0) | (found.predicted_HW > 0))[None])
    image = found.image_HW[window]
    aspect = 1.0 if found.spacing_mm is None else found.spacing_mm[1] / found.spacing_mm[2]
    height = float(np.clip(2.3 * image.shape[0] * aspect / image.shape[1], 1.2, 4))
    figure = Figure(figsize=(9.8, height + 1.2), dpi=DPI, facecolor="white", layout="constrained")
    cells = figure.subplots(1, 4)
    low, high = np.percentile(image, [1, 99])
    high = max(high, low + 1e-6)
    for axes in cells:
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, aspect=aspect, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
    draw_contours(cells[1], found.truth_HW[window], len(class_names))
    draw_contours(cells[2], found.predicted_HW[window], len(class_names))
    _draw_density(figure, cells[3], found.density_HW[window], aspect)
    draw_contours(cells[3], found.truth_HW[window], len(class_names), linewidth=0.9)
    rows, columns = np.nonzero(found.anchor_HW[window])
    cells[3].plot(columns, rows, ".", color=ANCHOR, markersize=2, linestyle="none")
    for axes, heading in zip(cells, ("image", "reference", "prediction", "density"), strict=True):
        axes.set_title(heading, fontsize=9)
    _slice_legend(figure, class_names)
    figure.suptitle(title, fontsize=9)
    _save(figure, paths)


def _draw_density(figure: "Figure", axes: "Axes", density_HW: np.ndarray, aspect: float) -> None:
    """Densities over the image with their bar of colours, which begins above the sparsest hundredth of them."""
    known = density_HW[~np.isnan(density_HW)]
    if not len(known):
        axes.annotate(
            "nothing is predicted here", (0.5, 0.04), xycoords="axes fraction", ha="center",
            fontsize=8, color="white",
        )  # fmt: skip
    lowest = min(float(np.percentile(known, 1)), 0.99) if len(known) else 0.0
    drawn = axes.imshow(
        density_HW, cmap=DENSITY_MAP, vmin=lowest, vmax=1, aspect=aspect, interpolation="nearest"
    )
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.ax.tick_params(labelsize=7)


def _slice_legend(figure: "Figure", class_names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=class_color(n), linewidth=2, label=name)
        for n, name in enumerate(class_names[1:], start=1)
    ]
    handles.append(
        Line2D([], [], marker=".", color=ANCHOR, linestyle="none", label="anchor (Eq. 6)")
    )
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(8, len(handles)),
        frameon=False, fontsize=8,
    )  # fmt: skip


def _save(figure: "Figure", paths: Sequence[Path]) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
