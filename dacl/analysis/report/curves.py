"""The panels of a run's journal as inline SVG, several runs side by side on the same scales.

What belongs into a panel is decided by `dacl.training.progress`; docs/health.md says what is normal in each.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import cycle

from dacl.analysis.report import axes
from dacl.analysis.report.axes import Scale
from dacl.analysis.report.content import ReportRun
from dacl.analysis.report.markup import Markup, tag
from dacl.palette import CLASS_COLORS
from dacl.training.progress import Lines, Panel, chosen_panels

CURVES = 2
"""Panels that are about learning; those after them are about health."""
STYLES = ("solid", "dashed", "dotted", "dashdot")


def sections(
    runs: Sequence[ReportRun], class_names: Sequence[str]
) -> tuple[list[Markup], list[Markup]]:
    """Figures of the curves, and those of the health panel.

    Args:
        runs: with their journals; a run without records is left out.
        class_names: foreground, in the order of the colours.
    """
    panels = [chosen_panels(run.records) if run.records else [] for run in runs]
    titles = list(dict.fromkeys(panel.title for of_run in panels for panel in of_run))
    figures = [
        _figure(
            title,
            [next((p for p in of_run if p.title == title), None) for of_run in panels],
            runs,
            class_names,
        )
        for title in titles
    ]
    return figures[:CURVES], figures[CURVES:]


def class_legend(
    class_names: Sequence[str], *, background: str | None = None, warnings: bool = False
) -> Markup:
    """Which colour is which foreground class, with the background and the line of warnings where they are drawn."""
    items = [tag("li", tag("i", class_="swatch c0"), background)] if background else []
    items += [
        tag("li", tag("i", class_=f"swatch c{color_number(label)}"), name)
        for label, name in enumerate(class_names, start=1)
    ]
    if warnings:
        items.append(tag("li", tag("i", class_="swatch warning"), "warning"))
    return tag("ul", items, class_="legend")


def color_number(label: int) -> int:
    """Of the style sheet's colours, from 1, that of a foreground class."""
    return (label - 1) % len(CLASS_COLORS) + 1


def _figure(
    title: str,
    panels: Sequence[Panel | None],
    runs: Sequence[ReportRun],
    class_names: Sequence[str],
) -> Markup:
    """One panel of every run."""
    there = [panel for panel in panels if panel is not None]
    groups = [lines for panel in there for lines in panel.lines]
    limits = there[0].limits or axes.spread(
        [value for lines in groups for value in _values(lines)], log=there[0].log
    )
    right = max((v for panel in there if panel.right for v in _values(panel.right)), default=None)
    last = max((r["step"] for run in runs for r in run.records), default=1)
    charts = []
    for run, panel in zip(runs, panels, strict=True):
        drawn = (
            tag("p", "No such number in this run's journal.", class_="absent")
            if panel is None
            else _chart(run, panel, class_names, limits, right, last)
        )
        name = tag("h4", run.name) if len(runs) > 1 else None
        charts.append(tag("div", name, drawn, class_="chart"))
    note = tag("p", there[0].note, class_="note") if there[0].note else None
    caption = tag("figcaption", tag("h3", title[0].upper() + title[1:]), note, _styles(there))
    return tag("figure", caption, tag("div", charts, class_="charts"), class_="panel")


def _styles(panels: Sequence[Panel]) -> Markup | None:
    """What solid and dashed stand for; styles go by position, which is the same in every run of a panel."""
    labels: dict[str, str] = {}
    for panel in panels:
        for lines, style in _styled(panel):
            if lines.label and lines.curves:
                labels.setdefault(lines.label, style)
    items = [
        tag("li", tag("svg", tag("path", d="M0 4H26", class_=f"line {style}"), viewBox="0 0 26 8",
                      class_="sample", aria_hidden="true"), label)
        for label, style in labels.items()
    ]  # fmt: skip
    return tag("ul", items, class_="legend") if items else None


def _styled(panel: Panel) -> Iterator[tuple[Lines, str]]:
    yield from zip(panel.lines, cycle(STYLES))
    if panel.right is not None and panel.right.curves:
        yield panel.right, STYLES[2]


def _chart(
    run: ReportRun,
    panel: Panel,
    class_names: Sequence[str],
    limits: tuple[float, float],
    right_high: float | None,
    last: int,
) -> Markup:
    margin = axes.RIGHT if right_high is None else axes.RIGHT_WITH_AXIS
    x = Scale(0, last * 1.02, axes.LEFT, axes.WIDTH - margin)
    bottom = axes.HEIGHT - axes.BOTTOM
    y = Scale(*limits, bottom, axes.TOP, panel.log)
    right = None if right_high is None else Scale(0, 1.1 * right_high or 1, bottom, axes.TOP)
    parts = [axes.frame(x, y, "step", right)]
    if panel.bound is not None:
        at = round(y(panel.bound), 1)
        parts.append(tag("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="bound"))
    for step in sorted({r["step"] for r in run.records if r["kind"] == "warning"}):
        at = round(x(step), 1)
        label = tag("title", f"warning at step {step}")
        parts.append(tag("line", label, x1=at, x2=at, y1=y.end, y2=y.start, class_="warning"))
    for lines, style in _styled(panel):
        vertical = right if lines is panel.right and right is not None else y
        parts += _curves(lines, style, x, vertical, class_names)
    return tag(
        "svg", parts, viewBox=f"0 0 {axes.WIDTH} {axes.HEIGHT}", role="img",
        aria_label=_in_words(run, panel),
    )  # fmt: skip


def _curves(
    lines: Lines, style: str, x: Scale, y: Scale, class_names: Sequence[str]
) -> Iterator[Markup]:
    for name, values in lines.curves.items():
        color = f" c{color_number(class_names.index(name) + 1)}" if name in class_names else ""
        # A class that one batch lacks leaves no gap, which would look like another style.
        points = [
            (x(s), y(v)) for s, v in zip(lines.steps, values, strict=True) if not math.isnan(v)
        ]
        what = tag("title", ", ".join(word for word in (name, lines.label) if word))
        if len(points) == 1:  # a line of one point cannot be seen
            ((cx, cy),) = points
            yield tag("circle", what, cx=f"{cx:.1f}", cy=f"{cy:.1f}", r=3, class_=f"dot{color}")
        elif points:
            yield tag("path", what, d=axes.path(points), class_=f"line {style}{color}")


def _values(lines: Lines) -> list[float]:
    return [v for values in lines.curves.values() for v in values if not math.isnan(v)]


def _in_words(run: ReportRun, panel: Panel) -> str:
    """Where every curve ends, for those who cannot see it."""
    ends = []
    for lines, _ in _styled(panel):
        for name, values in lines.curves.items():
            defined = [v for v in values if not math.isnan(v)]
            if defined:
                words = " ".join(word for word in (lines.label, name) if word) or "value"
                ends.append(f"{words} {defined[-1]:.3g}")
    return f"{panel.title}, {run.name}. Last values: {', '.join(ends) or 'none'}."
