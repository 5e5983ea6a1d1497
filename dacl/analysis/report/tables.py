"""The tables of a report. Those with `data-sortable` are sorted in the browser by `data-value`, or by their text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dacl.analysis.report.content import Average, Metric, Report, ReportRun, Score
from dacl.analysis.report.curves import color_number
from dacl.analysis.report.markup import Child, Markup, finite, tag

UNREAD = "–"
STATUS = {
    "ok": "",
    "missed": "missed: absent from the prediction only",
    "spurious": "spurious: absent from the reference only",
    "undefined": "undefined: absent from both",
}


def runs_table(runs: Sequence[ReportRun]) -> Markup:
    """A row per fact, a column per run."""
    return _by_run("What was run", runs, {key: [run.facts[key] for run in runs] for key in runs[0].facts})  # fmt: skip


def settings_tables(runs: Sequence[ReportRun]) -> Markup:
    """The settings in which runs that read them differ, and all of them folded away."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    rows = {key: [_setting(run.settings, key) for run in runs] for key in keys}
    # A method that does not read a setting does not differ in it.
    read = {key: {value for value in values if value != UNREAD} for key, values in rows.items()}
    differing = {key: rows[key] for key, values in read.items() if len(values) > 1}
    parts: list[Child] = []
    if differing:
        parts.append(_by_run("Settings that differ", runs, differing))
    elif len(runs) > 1:
        parts.append(tag("p", "The runs do not differ in any setting.", class_="note"))
    if rows:
        every = _by_run(f"Every setting; {UNREAD}: not read by the method", runs, rows)
        parts.append(tag("details", tag("summary", f"All {len(rows)} settings"), every))
    return tag("div", parts)


def summary_table(report: Report) -> Markup:
    """A row per run and class: means over patients, and the interval of Dice."""
    dice = report.metrics[0]
    many = len(report.runs) > 1
    heads = [_head("Class"), _head(dice.heading, number=True)]
    heads.append(_head("95 % interval", number=True))
    heads += [_head(metric.heading, number=True) for metric in report.metrics[1:]]
    bodies = []
    for run in report.runs:
        rows = []
        if many:
            group = tag("th", run.name, colspan=len(heads), scope="rowgroup", class_="group")
            rows.append(tag("tr", group))
        for name, averages in run.averages.items():
            in_order = name in report.class_names
            label = report.class_names.index(name) if in_order else 0
            cells = [
                tag("th", _swatch(label), name, scope="row"),
                _average(averages[dice.key], dice),
                _interval(averages[dice.key], dice),
                *(_average(averages[metric.key], metric) for metric in report.metrics[1:]),
            ]
            rows.append(tag("tr", cells, class_=None if in_order else "mean"))
        bodies.append(tag("tbody", rows))
    caption = (
        "Means over patients, frames of a patient averaged first; interval: bootstrap over patients"
    )
    return _table(caption, tag("tr", heads), bodies)


def cases_table(report: Report) -> Markup:
    """A row per case, class and run, sortable."""
    many = len(report.runs) > 1
    heads = [_head("Case"), _head("Class", class_="of-class")]
    heads += [_head("Run", class_="of-run")] if many else []
    heads += [_head(metric.heading, number=True) for metric in report.metrics]
    heads.append(_head("Remark"))
    rows = [
        _case_row(report, number, run, score, many=many)
        for number, run in enumerate(report.runs)
        for score in run.scores
    ]
    caption = "Every case and class; choose a heading to sort, a case to see it"
    return _table(caption, tag("tr", heads), [tag("tbody", rows)], id="cases-table", sortable=True)


def protocol_fields(runs: Sequence[ReportRun]) -> list[Child]:
    """What must agree for a comparison: a list where it does, a table where it does not."""
    keys = dict.fromkeys(key for run in runs for key in run.protocol)
    values = {
        key.replace("_", " "): [_shown(run.protocol.get(key)) for run in runs] for key in keys
    }
    shared = {key: texts[0] for key, texts in values.items() if len(set(texts)) == 1}
    rows = [tag("div", tag("dt", key), tag("dd", text)) for key, text in shared.items()]
    parts: list[Child] = [tag("h3", "Protocol"), tag("dl", rows, class_="facts")]
    differing = {key: texts for key, texts in values.items() if key not in shared}
    if differing:
        parts.append(_by_run("Protocol fields that differ", runs, differing))
    return parts


def json_details(title: str, content: Mapping[str, Any]) -> Markup:
    """A block of a result file as it stands there, folded away."""
    text = json.dumps(finite(content), indent=2, ensure_ascii=False)
    return tag("details", tag("summary", title), tag("pre", tag("code", text), tabindex=0))


def _case_row(
    report: Report, number: int, run: ReportRun, score: Score, *, many: bool
) -> Markup:  # fmt: skip
    case = report.cases[score.case]
    slice_ = case.worst_slice[number]
    in_order = score.class_name in report.class_names
    label = report.class_names.index(score.class_name) if in_order else 0
    link = tag(
        "a", case.name, href="#viewer", data_case=score.case, data_slice=slice_, data_run=number
    )
    cells = [
        tag("th", link, scope="row"),
        tag("td", _swatch(label), score.class_name, class_="of-class"),
        tag("td", run.name, class_="of-run") if many else None,
        *(_number(score.values.get(metric.key), metric) for metric in report.metrics),
        tag("td", STATUS.get(score.status, score.status)),
    ]
    return tag("tr", cells, data_class=score.class_name, data_run=number)


def _by_run(
    caption: str, runs: Sequence[ReportRun], rows: Mapping[str, Sequence[str]]
) -> Markup:  # fmt: skip
    heads = tag("tr", tag("td"), [tag("th", run.name, scope="col") for run in runs])
    body = [
        tag("tr", tag("th", key, scope="row"), [tag("td", value) for value in values])
        for key, values in rows.items()
    ]
    return _table(caption, heads, [tag("tbody", body)], class_="by-run")


def _table(
    caption: str,
    head: Markup,
    bodies: Sequence[Markup],
    *,
    id: str | None = None,
    class_: str | None = None,
    sortable: bool = False,
) -> Markup:
    """A table that scrolls in its own frame, by keyboard too."""
    table = tag(
        "table", tag("caption", tag("span", caption)), tag("thead", head), bodies, id=id, class_=class_,
        data_sortable=sortable,
    )  # fmt: skip
    return tag(
        "div",
        table,
        class_="scroll tall" if sortable else "scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def _head(text: str, *, number: bool = False, class_: str | None = None) -> Markup:
    return tag("th", text, scope="col", class_="number" if number else class_)


def _swatch(label: int) -> Markup | None:
    return tag("i", class_=f"swatch c{color_number(label)}") if label else None


def _number(value: float | None, metric: Metric) -> Markup:
    shown = metric.show(value)
    return tag("td", shown, class_="number", data_value="" if value is None else f"{value:.8g}")


def _average(average: Average, metric: Metric) -> Markup:
    return tag("td", metric.show(average.mean), class_="number")


def _interval(average: Average, metric: Metric) -> Markup:
    if average.ci95 is None:
        return tag("td", metric.show(None), class_="number")
    low, high = (metric.show(bound) for bound in average.ci95)
    return tag("td", f"{low} to {high}", class_="number")


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return UNREAD if value is None else str(value)


def _setting(settings: Mapping[str, Any], key: str) -> str:
    if key not in settings:
        return UNREAD
    value = settings[key]
    return value if isinstance(value, str) else json.dumps(finite(value))
