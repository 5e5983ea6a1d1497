"""The sections of a report, each a heading and what stands under it."""

from dacl.analysis.report import curves, scatter, tables
from dacl.analysis.report.content import Report
from dacl.analysis.report.markup import Child, Markup, tag

GALLERY = 6
"""Worst cases of every run."""


def every_section(report: Report) -> dict[str, tuple[str, Markup]]:
    """Anchor -> heading and content, in order; a section without content is left out."""
    of_curves, of_health = curves.sections(report.runs, report.class_names[1:])
    content: dict[str, tuple[str, Child]] = {
        "runs": ("Runs", tables.runs_table(report.runs)),
        "results": ("Results", _results(report)),
        "failures": ("Failures", _failures(report)),
        "viewer": ("Slices", _viewer()),
        "cases": ("Cases", _cases(report)),
        "curves": ("Curves", [_legend(report), _panels(report, of_curves)] if of_curves else None),
        "health": ("Health", _health(report, of_health)),
        "embeddings": ("Embeddings", _embeddings(report)),
        "record": ("Record", _record(report)),
    }
    return {
        anchor: (heading, _section(anchor, heading, body))
        for anchor, (heading, body) in content.items()
        if body is not None
    }


def notices(report: Report) -> list[Markup]:
    """What must be read before anything else."""
    found = []
    if report.synthetic:
        text = "Synthetic data, not scans: nothing here says anything about patients."
        found.append(tag("p", tag("strong", "Synthetic. "), text, class_="notice"))
    if report.mixture:
        lines = tag("ul", [tag("li", line) for line in report.mixture])
        said = tag(
            "p",
            tag("strong", "Not comparable. "),
            "These runs were not measured alike; the report was forced.",
        )
        found.append(tag("div", said, lines, class_="notice", role="note"))
    return found


def _section(anchor: str, heading: str, body: Child) -> Markup:
    title = tag("h2", heading, id=f"{anchor}-heading")
    return tag("section", title, body, id=anchor, aria_labelledby=f"{anchor}-heading")


def _results(report: Report) -> list[Child]:
    lines = [*report.notes, *_by_runs(report)]
    notes = tag("ul", [tag("li", line) for line in lines], class_="notes")
    return [tables.summary_table(report), notes if lines else None]


def _by_runs(report: Report) -> list[str]:
    """Notes of the runs, each once; what not all of them say begins with who says it."""
    said: dict[str, list[str]] = {}
    for run in report.runs:
        for note in dict.fromkeys(run.notes):
            said.setdefault(note, []).append(run.name)
    every = len(report.runs)
    return [
        note if len(who) == every else f"{', '.join(who)}: {note}" for note, who in said.items()
    ]


def _failures(report: Report) -> list[Child]:
    """The worst cases of every run; the pictures are drawn in the browser from the viewer's data."""
    parts: list[Child] = [
        tag("p", "The cases with the lowest mean Dice, each at its slice with the most wrong pixels. "
                 "Choose one to see it in the viewer.", class_="note"),
        tag("ul", [tag("li", tag("i", class_=f"swatch e-{key}"), text) for key, text in ERROR_NAMES.items()],
            class_="legend"),
    ]  # fmt: skip
    for number, run in enumerate(report.runs):
        ranked = sorted(
            (dice, index)
            for index, case in enumerate(report.cases)
            if (dice := case.mean_dice(number)) is not None
        )
        items = []
        for dice, index in ranked[:GALLERY]:
            case = report.cases[index]
            z = case.worst_slice[number] or 0
            words = f"slice {z + 1} of {case.shape[0]}"
            items.append(
                tag("li", tag(
                    "a", tag("canvas", width=320, height=320, aria_hidden="true"),
                    tag("span", case.name, class_="name"),
                    tag("span", f"Dice {report.metrics[0].show(dice)} %, {words}", class_="detail"),
                    href="#viewer", data_case=index, data_slice=z, data_run=number, class_="thumb",
                ))
            )  # fmt: skip
        name = tag("h3", run.name) if len(report.runs) > 1 else None
        parts.append(tag("div", name, tag("ul", items, class_="gallery")))
    return parts


ERROR_NAMES = {"missed": "missed", "spurious": "spurious", "confused": "wrong class"}


def _viewer() -> list[Child]:
    """What the script fills; without it a sentence."""
    needs = "The viewer and the thumbnails are drawn by the script in this file, which is switched off here."
    return [
        tag("noscript", tag("p", needs, class_="notice")),
        tag("div", id="viewer-root", class_="viewer"),
    ]


def _cases(report: Report) -> list[Child]:
    options = [tag("option", "all classes", value="")]
    options += [tag("option", name, value=name) for name in report.class_names[1:]]
    filters = [tag("label", "Class ", tag("select", options, data_filter="class"))]
    if len(report.runs) > 1:
        options = [tag("option", "all runs", value="")]
        options += [tag("option", run.name, value=n) for n, run in enumerate(report.runs)]
        filters.append(tag("label", "Run ", tag("select", options, data_filter="run")))
    count = tag("output", class_="note", id="cases-count")
    return [
        tag("div", filters, count, class_="filters invisible", data_table="cases-table"),
        tables.cases_table(report),
    ]


def _panels(report: Report, figures: list[Markup]) -> Markup:
    """Panels of several runs fill a row each; those of one stand side by side."""
    return tag("div", figures, class_="panels" if len(report.runs) == 1 else None)


def _legend(report: Report) -> Markup:
    warned = any(record["kind"] == "warning" for run in report.runs for record in run.records)
    return curves.class_legend(report.class_names[1:], warnings=warned)


def _health(report: Report, figures: list[Markup]) -> list[Child] | None:
    warned = [
        tag("li", tag("strong", f"{run.name}, step {record['step']}: "), record["text"])
        for run in report.runs
        for record in run.records
        if record["kind"] == "warning"
    ]
    if not any(run.records for run in report.runs):
        return None
    said: Child = (
        tag("ul", warned, class_="notice warnings")
        if warned
        else tag("p", "No warning was written while training.", class_="note")
    )
    where = "What is normal in each panel stands in docs/health.md of dacl."
    return [said, tag("p", where, class_="note"), _legend(report), _panels(report, figures)]


def _embeddings(report: Report) -> list[Child] | None:
    if not report.embeddings and not report.embedding_notes:
        return None
    notes = tag("ul", [tag("li", line) for line in report.embedding_notes], class_="notes")
    if not report.embeddings:
        return [notes]
    names = report.embedding_classes
    legend = curves.class_legend(names[1:], background=names[0])
    figures = [scatter.figure(embedding, names) for embedding in report.embeddings]
    return [legend, tag("div", figures, class_="embeddings"), notes]


def _record(report: Report) -> list[Child]:
    """Settings, protocol and provenance: what another needs to repeat or to compare."""
    parts: list[Child] = [tables.settings_tables(report.runs)]
    parts += tables.protocol_fields(report.runs)
    for run in report.runs:
        parts.append(tables.json_details(f"Protocol of {run.name} as JSON", run.protocol))
        parts.append(tables.json_details(f"Provenance of {run.name} as JSON", run.provenance))
    parts.append(tables.json_details("Provenance of this report as JSON", report.provenance))
    return parts
