"""The file itself: template, styles, scripts and data in one, closed to everything outside it.

The Content-Security-Policy names the hashes of the one style sheet and the one script and allows images out of the file
only, so that even text which slipped through the escaping would not run, load or send anything.
"""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from dacl.analysis.figures import CONFUSED, MISSED, SPURIOUS
from dacl.analysis.report import sections
from dacl.analysis.report.content import Report
from dacl.analysis.report.markup import Markup, data_block, escape, tag
from dacl.atomic import replacing
from dacl.palette import CLASS_COLORS, CLASS_INKS

STYLES = ("theme.css", "report.css", "charts.css", "viewer.css", "print.css")
SCRIPTS = (
    "elements.js", "volumes.js", "tables.js", "panels.js", "cases.js", "viewer.js", "gallery.js", "report.js",
)  # fmt: skip
ERROR_COLORS = {"missed": MISSED, "spurious": SPURIOUS, "confused": CONFUSED}


def write_report(report: Report, path: Path) -> int:
    """Write the file so that a reader finds the old one or the new one; its size in bytes.

    Raises:
        DaclError: it cannot be written.
    """
    content = render(report).encode("utf-8")
    with replacing(path) as partial:
        partial.write_bytes(content)
    return len(content)


def render(report: Report) -> str:
    """The whole page."""
    style = "\n".join([_colors(), *map(_source, STYLES)])
    script = "\n".join(['(() => {\n"use strict";', *map(_source, SCRIPTS), "start();\n})();"])
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    content = sections.every_section(report)
    links = [
        tag("li", tag("a", heading, href=f"#{anchor}"))
        for anchor, (heading, _) in content.items()
    ]  # fmt: skip
    # After the script, which can build the page while the megabytes are still being read.
    pictures = [
        data_block(
            f"case-{number}",
            {"images": case.images, "truth": case.truth, "predictions": case.predictions},
        )
        for number, case in enumerate(report.cases)
    ]
    return _fill(
        _source("report.html"),
        policy=escape(policy),
        title=escape(report.title),
        lead=escape(report.lead),
        style=Markup(style),
        script=Markup(script),
        links=escape(links),
        notices=escape(sections.notices(report)),
        sections=Markup("\n".join(markup for _, markup in content.values())),
        footer=escape([tag("p", line) for line in report.picture_notes]),
        data=data_block("report-data", _index(report)),
        pictures=Markup("\n".join(pictures)),
    )


def _index(report: Report) -> dict[str, Any]:
    """What the script and other programs read: everything but the pictures."""
    return {
        "title": report.title,
        "synthetic": report.synthetic,
        "provenance": report.provenance,
        "runs": [
            {"name": run.name, "protocol": run.protocol, "provenance": run.provenance}
            for run in report.runs
        ],
        "cases": [
            {
                "name": case.name,
                "patient": case.patient,
                "classes": case.class_names,
                "shape": case.shape,
                "aspect": case.aspect,
                "dice": case.dice,
                "mean": [case.mean_dice(run) for run in range(len(report.runs))],
                "worst": case.worst_slice,
            }
            for case in report.cases
        ],
        "colors": CLASS_COLORS,
        "errors": ERROR_COLORS,
    }


def _colors() -> str:
    """Classes and errors as variables and classes of the style sheet; on dark they are as bright as on a scan."""
    lines = [":root {"]
    for number, (ink, color) in enumerate(zip(CLASS_INKS, CLASS_COLORS, strict=True), start=1):
        lines.append(f"  --class-{number}: light-dark({ink}, {color}); --scan-{number}: {color};")
    lines.append("}")
    for number in range(1, len(CLASS_COLORS) + 1):
        lines.append(
            f".c{number} {{ --color: var(--class-{number}); --bright: var(--scan-{number}); }}"
        )
    lines += [f".e-{key} {{ --color: {color}; }}" for key, color in ERROR_COLORS.items()]
    return "\n".join(lines)


def _fill(template: str, **parts: str) -> str:
    """Put parts in place of `{{name}}`; what a part holds is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def _source(name: str) -> str:
    return files("dacl.analysis.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
