"""progress.png: the journal of a run as curves. docs/health.md says what is normal in each panel.

A class has one colour in every panel, a line style says which of several numbers of that class is meant.
"""

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from dacl.palette import class_ink
from dacl.training.health import COLLAPSED_AGREEMENT, DOMINANT_SHARE
from dacl.training.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMNS = 3
PANEL_INCHES = (4.2, 3.1)
FONT_POINTS = 12  # three panels side by side on a page shrink to half their size
UNIT = (0.0, 1.03)  # a curve at 1 is not cut in half
STYLES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
INK, FAINT, WARNING = "#333333", "#999999", "#AA3377"

Curve = dict[str, list[float]]
"""{class name: values}; the one curve of a scalar has the name ""."""


class Lines(NamedTuple):
    """Curves of one style in a panel."""

    label: str
    """What the style stands for; empty where a panel has one style."""
    steps: list[int]
    curves: Curve


class Panel(NamedTuple):
    """One pair of axes."""

    title: str
    lines: list[Lines]
    note: str = ""
    """In small letters, where no styles are explained."""
    limits: tuple[float, float] | None = None
    bound: float | None = None
    """A faint horizontal line, above which `dacl.training.health` warns."""
    log: bool = False
    right: Lines | None = None
    """Curves with a scale of their own on the right."""


def draw_progress(records: Sequence[Record], target: Path) -> None:
    """Write a PNG of as many panels as the records have numbers for."""
    draw_panels(chosen_panels(records), records, target)


def draw_panels(
    panels: Sequence[Panel], records: Sequence[Record], target: Path, *, title: str = ""
) -> None:
    """Write one picture of these panels; the old file stays until the new one is whole.

    Args:
        panels: at least one.
        records: the journal that they come from, for classes, warnings and the last step.
        target: where to; the ending says which format.
        title: a line above all.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = math.ceil(len(panels) / COLUMNS)
    columns = min(len(panels), COLUMNS)
    size = (PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows + 0.5)
    with rc_context({"font.size": FONT_POINTS}):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        cells = list(figure.subplots(rows, columns, squeeze=False).flat)
        classes = _class_names(records)
        for axes, panel in zip(cells, panels, strict=False):
            _draw_panel(axes, panel, classes)
        for axes in cells[len(panels) :]:
            axes.remove()
        _share_steps(cells[: len(panels)], records)
        _draw_warnings(cells[: len(panels)], records)
        _draw_legend(figure, classes, records)
        if title:
            figure.suptitle(title, fontsize=FONT_POINTS)
        partial = target.with_name(f"{target.stem}.partial{target.suffix}")
        figure.savefig(partial, dpi=100)
    partial.replace(target)


def chosen_panels(records: Sequence[Record]) -> list[Panel]:
    """Losses and validation Dice always; of the others those with at least one number."""
    train = [r for r in records if r["kind"] == "train"]
    val = [r for r in records if r["kind"] == "val"]

    def diagnostic(key: str, label: str = "") -> Lines:
        return diagnostic_lines(train, key, label)

    def dice(network: str) -> Lines:
        found = [r["dice"].get(network) for r in val]
        return Lines(network, [r["step"] for r in val], _curves(found))

    def pseudo_label(measure: str) -> Lines:
        found = [_mean_of_networks(r.get(f"pseudo_label_{measure}", {})) for r in val]
        return Lines(measure, [r["step"] for r in val], _curves(found))

    label = f"validation (line: {COLLAPSED_AGREEMENT:g})"
    agreement = Lines(label, [r["step"] for r in val], _curves([r.get("agreement") for r in val]))
    losses = _curves([r["parts"] for r in train])
    steps = [r["step"] for r in train]
    always = [
        Panel("loss terms, before their weights",
              [Lines(name, steps, {"": _positive(values)}) for name, values in losses.items()], log=True),
        Panel("validation Dice",
              [dice(name) for name in dict.fromkeys(name for r in val for name in r["dice"])], limits=UNIT),
    ]  # fmt: skip
    others = [
        feature_panel(train),
        Panel("confident share of pseudo-labels", [diagnostic("confident")], "on unlabelled slices", UNIT),
        Panel("agreement of the networks",
              [agreement, diagnostic("agreement", "batches, dropout")], limits=UNIT,
              bound=COLLAPSED_AGREEMENT if agreement.curves else None),
        Panel("pseudo-labels on validation", [pseudo_label("precision"), pseudo_label("recall")], limits=UNIT),
        Panel("bank fill and anchors", [diagnostic("bank_fill", "fill")], limits=UNIT,
              right=diagnostic("anchors", "anchors (right)")),
        density_panel(train),
        Panel("spread of positiveness", [diagnostic("weight_spread")], "sd of w; 0: every anchor weighs the same"),
        Panel("gradient share of the contrast", [diagnostic("gradient_share")], "at the feature maps", UNIT,
              bound=DOMINANT_SHARE),
    ]  # fmt: skip
    return always + [panel for panel in others if any(lines.curves for lines in panel.lines)]


def diagnostic_lines(train: Sequence[Record], key: str, label: str = "") -> Lines:
    """One diagnostic of the train records, a curve per class; no curve where no record has it."""
    found = [r["diagnostics"].get(key) for r in train]
    return Lines(label, [r["step"] for r in train], _curves(found))


def feature_panel(train: Sequence[Record]) -> Panel:
    """What every method has: the decoder map at annotated pixels."""
    lines = [diagnostic_lines(train, f"feature_{key}", key) for key in ("compactness", "density")]
    return Panel("features of annotated pixels", lines)


def density_panel(train: Sequence[Record]) -> Panel:
    """What Eq. 6 and 7 choose from."""
    lines = {"density": "class", "key_density": "keys", "anchor_density": "anchors"}
    return Panel(
        "density of the contrast's units",
        [diagnostic_lines(train, key, label) for key, label in lines.items()],
    )


def compactness_panel(train: Sequence[Record]) -> Panel:
    """How tightly the contrast's units lie around their class's direction, in the projection."""
    return Panel("compactness of the contrast's units", [diagnostic_lines(train, "compactness")])


def _mean_of_networks(by_network: dict[str, dict[str, float | None]]) -> dict[str, float]:
    """{network: {class: value}} -> {class: mean of what is defined}; the networks differ by less than the classes."""
    rows = by_network.values()
    names = dict.fromkeys(name for row in rows for name in row)
    defined = {name: [v for row in rows if (v := row.get(name)) is not None] for name in names}
    return {name: sum(values) / len(values) for name, values in defined.items() if values}


def _curves(found: Sequence[Any]) -> Curve:
    """One number or {class: number} per record, any of them absent -> curves with NaN in the gaps."""
    rows = [item if isinstance(item, dict) else {"": item} for item in found]
    names = dict.fromkeys(name for row in rows for name in row)
    curves = {name: [_or_nan(row.get(name)) for row in rows] for name in names}
    return {name: v for name, v in curves.items() if not all(map(math.isnan, v))}


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _positive(values: list[float]) -> list[float]:
    """What a logarithmic axis can show."""
    return [value if value > 0 else math.nan for value in values]


def _class_names(records: Sequence[Record]) -> list[str]:
    """Foreground classes in the dataset's order, as every record of them has it."""
    for record in records:
        groups = [*record.get("dice", {}).values(), *record.get("diagnostics", {}).values()]
        for values in groups:
            if isinstance(values, dict):
                return list(values)
    return []


def _draw_panel(axes: "Axes", panel: Panel, classes: list[str]) -> None:
    handles = _draw_lines(axes, panel.lines, STYLES, classes)
    if panel.right is not None and panel.right.curves:
        twin = axes.twinx()
        twin.set_ylim(0, 1.1 * max(map(_largest, panel.right.curves.values())) or 1)
        twin.tick_params(labelsize=FONT_POINTS - 2)
        handles += _draw_lines(twin, [panel.right], STYLES[2:], classes)
    if panel.bound is not None:
        axes.axhline(panel.bound, color=FAINT, linewidth=0.8, zorder=0.9)  # under the curves
    axes.set_title(panel.title, loc="left", fontsize=FONT_POINTS, pad=24)
    axes.tick_params(labelsize=FONT_POINTS - 2)
    axes.grid(axis="y", color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.limits is not None:
        axes.set_ylim(*panel.limits)
    if panel.log:
        _logarithmic(axes)
    if panel.note:
        axes.annotate(panel.note, (0, 1), (2, 5), xycoords="axes fraction", textcoords="offset points",
                      fontsize=FONT_POINTS - 2)  # fmt: skip
    if handles:  # over the axes, where no curve is
        axes.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), frameon=False,
            borderpad=0.2, borderaxespad=0, handlelength=1.8, columnspacing=1.2, handletextpad=0.5,
            fontsize=FONT_POINTS - 2,
        )  # fmt: skip


def _draw_lines(
    axes: "Axes",
    groups: Sequence[Lines],
    styles: Sequence[Literal["-", "--", ":", "-."]],
    classes: list[str],
) -> list["Line2D"]:
    """Draw, and answer what the styles stand for."""
    from matplotlib.lines import Line2D

    handles = []
    for group, style in zip(groups, cycle(styles), strict=False):
        for name, values in group.curves.items():
            color = class_ink(classes.index(name) + 1) if name in classes else INK
            # A class that one batch lacks leaves no gap, which would look like another style.
            points = [(s, v) for s, v in zip(group.steps, values, strict=True) if not math.isnan(v)]
            if not points:
                continue
            alone = len(points) == 1  # a line of one point cannot be seen
            axes.plot(*zip(*points, strict=True), style, color=color, linewidth=1.4,
                      marker="o" if alone else None, markersize=4)  # fmt: skip
        if group.label and group.curves:
            handles.append(Line2D([], [], color=INK, linestyle=style, label=group.label))
    return handles


def _logarithmic(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # under a decade is usual
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _largest(values: list[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=0.0)


def _share_steps(cells: Sequence["Axes"], records: Sequence[Record]) -> None:
    from matplotlib.ticker import MaxNLocator

    last = max((r["step"] for r in records), default=1)
    for axes in cells:
        axes.set_xlim(0, last * 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
        axes.set_xlabel("step", fontsize=FONT_POINTS - 2)


def _draw_warnings(cells: Sequence["Axes"], records: Sequence[Record]) -> None:
    for step in sorted({r["step"] for r in records if r["kind"] == "warning"}):
        for axes in cells:
            axes.axvline(step, color=WARNING, linewidth=0.9, zorder=0.9)


def _draw_legend(figure: "Figure", classes: list[str], records: Sequence[Record]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=class_ink(number), linewidth=2.5, label=name)
        for number, name in enumerate(classes, start=1)
    ]
    if any(r["kind"] == "warning" for r in records):
        label = "warning (its text stands in metrics.jsonl)"
        handles.append(Line2D([], [], color=WARNING, linewidth=0.9, label=label))
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False)
