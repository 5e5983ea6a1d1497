"""The page: whole, closed to the outside, and saying what its content says."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import made_report
import pytest

from dacl.analysis.report import render, write_report
from dacl.analysis.report.page import SCRIPTS, STYLES
from dacl.errors import DaclError
from dacl.palette import CLASS_COLORS

HOSTILE = (
    '</script><script>alert(1)</script><!-- <img src="http://example.org/x" onerror="alert(1)">'
)
VOID = {"meta", "link", "br", "input", "img", "wbr"}


class Page(HTMLParser):
    """Elements with their attributes, scripts and styles; fails on a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[dict[str, str | None], str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self._open.append(name)
        if name in ("script", "style"):
            self.raw.append((dict(attributes), ""))

    def handle_endtag(self, name: str) -> None:
        assert self._open.pop() == name

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            attributes, text = self.raw[-1]
            self.raw[-1] = (attributes, text + data)

    def data(self, block: str) -> dict:
        (text,) = [text for attributes, text in self.raw if attributes.get("id") == block]
        return json.loads(text)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for element, attributes in self.elements if element == name]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(made_report.report(warned="RV has had no anchor")))


def test_the_policy_allows_this_script_and_this_style_alone(page: Page) -> None:
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    for directive, attributes in (("script-src", {}), ("style-src", {})):
        name = directive.split("-")[0]
        (text,) = [
            t for a, t in page.raw if a == attributes and ("{" in t) and (("start();" in t) == (name == "script"))
        ]  # fmt: skip
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[directive] == f"'sha256-{digest}'"


def test_nothing_refers_to_the_outside(page: Page) -> None:
    for name, attributes in page.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (name, key)
            assert key != "style", name
            if key in ("src", "href", "action", "data", "srcset"):
                assert value.startswith(("#", "data:")), (name, key, value)
    for attributes, text in page.raw:
        if attributes.get("type") != "application/json":
            assert not re.search(r"https?://|//[a-z]+\.|@import|url\(|fetch\(|XMLHttp|eval\(", text)


def test_hostile_names_stay_text() -> None:
    content = made_report.report(
        names=(HOSTILE, "DACL"), case_names=(HOSTILE, "p1"), warned=HOSTILE,
        title=HOSTILE, lead=HOSTILE, mixture=(HOSTILE,), notes=(HOSTILE,),
        class_names=("background", HOSTILE, "Myo", "LV"), embedding_classes=("background", HOSTILE, "Myo", "LV"),
        embedding_notes=(HOSTILE,), provenance={"command": HOSTILE},
    )  # fmt: skip
    harmless = Page(render(made_report.report(names=("CPS", "DACL"), case_names=("p0", "p1"))))
    page = Page(render(content))
    assert len(page.all("script")) == len(harmless.all("script"))
    assert page.all("img") == []
    assert page.data("report-data")["cases"][0]["name"] == HOSTILE
    assert page.data("report-data")["title"] == HOSTILE


def test_no_part_is_filled_into_another() -> None:
    assert "{{script}}" in render(made_report.report(lead="{{script}}"))


def test_protocol_and_provenance_are_there_to_see_and_to_read() -> None:
    content = made_report.report()
    text = render(content)
    data = Page(text).data("report-data")
    for run, read in zip(content.runs, data["runs"], strict=True):
        assert read == {"name": run.name, "protocol": run.protocol, "provenance": run.provenance}
        assert f"dacl train --seed {run.provenance['seed']}" in text
    assert data["provenance"] == {"command": "dacl report"}
    assert "<dt>dataset</dt><dd>blocks</dd>" in text
    # What differs is not in the list of what is shared.
    assert "<dt>networks</dt>" not in text
    assert "Protocol fields that differ" in text


def test_every_section_is_named_and_linked(page: Page) -> None:
    sections = [section["id"] for section in page.all("section")]
    assert sections == [
        "runs", "results", "failures", "viewer", "cases", "curves", "health", "embeddings", "record",
    ]  # fmt: skip
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link["href"][1:] in ids
    for section in page.all("section"):
        assert section["aria-labelledby"] in ids
    for svg in page.all("svg"):
        assert svg.get("aria-label") or svg.get("aria-hidden") == "true"


def test_the_tables_hold_the_numbers() -> None:
    text = render(made_report.report())
    assert '<td class="number">40.00 to 60.00</td>' in text
    row = re.search(r'<tr data-class="Myo" data-run="0">.*?</tr>', text)[0]
    assert '<td class="number" data-value="0.7">70.00</td>' in row
    assert '<td class="number" data-value="">–</td>' in row  # undefined: sorted last
    assert "undefined: absent from both" in row
    assert len(re.findall(r"<tr data-class", text)) == 2 * 3 * 3


def test_settings_that_one_method_does_not_read_are_no_difference() -> None:
    text = render(made_report.report())
    differing, every = text.split("<span>Settings that differ</span>")[1].split("<details>")[:2]
    assert "seed" in differing
    assert "contrast.tau" not in differing
    assert "contrast.tau" in every


def test_the_gallery_is_the_worst_first() -> None:
    text = render(made_report.report(case_names=tuple(f"p{i}" for i in range(8))))
    of_first = text.split('<ul class="gallery">')[1]
    # Dice falls with the number of the case in `made_report`; six of eight are shown.
    assert re.findall(r'class="name">(p\d)<', of_first) == ["p7", "p6", "p5", "p4", "p3", "p2"]
    assert re.findall(r'data-slice="(\d)"', of_first) == ["1"] * 6


def test_synthetic_and_forced_are_said_at_the_top() -> None:
    text = render(made_report.report(synthetic=True, mixture=("split_hash: a != b",)))
    top = text[: text.index("<section")]
    assert "not scans" in top
    assert "Not comparable" in top
    assert "split_hash: a != b" in top
    plain = render(made_report.report())
    assert 'class="notice"' not in plain[: plain.index("<section")]


def test_one_run_has_no_column_of_runs_and_its_panels_side_by_side() -> None:
    text = render(made_report.report(names=("DACL",)))
    assert "rowgroup" not in text
    assert 'data-filter="run"' not in text
    assert '<div class="panels">' in text


def test_without_points_the_reason_stands_there() -> None:
    text = render(made_report.report(embeddings=(), embedding_notes=("left out: one class only",)))
    assert "left out: one class only" in text
    assert 'class="cloud' not in text


def test_a_run_that_was_not_judged_on_a_case_is_left_out_of_it() -> None:
    base = made_report.report()
    partial = made_report.case("p9", [None, made_report.blocks(2)], seed=0)
    content = dataclasses.replace(base, cases=[*base.cases, partial])
    data = Page(render(content)).data("report-data")
    assert data["cases"][-1]["mean"] == [None, pytest.approx(0.65)]
    assert data["cases"][-1]["worst"][0] is None


def test_every_colour_of_the_palette_is_in_the_style_sheet() -> None:
    text = render(made_report.report())
    for number, color in enumerate(CLASS_COLORS, start=1):
        assert f"--class-{number}: light-dark(" in text
        assert f"--scan-{number}: {color};" in text


@pytest.mark.parametrize("name", [*STYLES, *SCRIPTS, "report.html"])
def test_sources_are_short(name: str) -> None:
    import dacl.analysis.report

    source = Path(dacl.analysis.report.__file__).with_name(name)
    assert len(source.read_text().splitlines()) <= 400


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    size = write_report(made_report.report(names=("one",)), target)
    assert target.stat().st_size == size
    assert list(target.parent.iterdir()) == [target]
    target.unlink()
    target.mkdir()
    with pytest.raises(DaclError, match="cannot write"):
        write_report(made_report.report(names=("one",)), target)
    assert list(target.parent.iterdir()) == [target]
