"""Nothing out of the data becomes markup or script."""

import json
import math
from html.parser import HTMLParser

import pytest

from dacl.analysis.report.markup import Markup, data_block, escape, tag

HOSTILE = "</script><script>alert(1)</script><!-- \" ' & \u2028 ]]> <img src=x onerror=alert(1)>"


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_text_and_attributes_come_back_as_they_were() -> None:
    read = Reader(tag("p", HOSTILE, title=HOSTILE))
    assert read.tags == [("p", {"title": HOSTILE})]
    assert read.text == HOSTILE


def test_markup_is_kept_and_children_may_be_nested() -> None:
    assert tag("ul", [tag("li", 1), tag("li", "<"), None]) == "<ul><li>1</li><li>&lt;</li></ul>"
    assert escape(None) == ""
    assert isinstance(escape("a"), Markup)


def test_attributes() -> None:
    made = tag("input", class_="a", aria_label="b", hidden=True, disabled=False, id=None, max=3)
    assert made == '<input class="a" aria-label="b" hidden max="3">'


@pytest.mark.parametrize("content", [HOSTILE, {HOSTILE: [HOSTILE]}, "<!--<script>", "]]>&lt;"])
def test_a_block_of_data_cannot_be_left(content: object) -> None:
    block = data_block("x", content)
    read = Reader(block + "<b>after</b>")
    assert [name for name, _ in read.tags] == ["script", "b"]
    inside = block[block.index(">") + 1 : block.rindex("<")]
    assert not set("<>&") & set(inside)
    assert json.loads(inside) == content


def test_what_json_lacks_is_null() -> None:
    block = data_block("x", {"a": math.nan, 1: (math.inf, 2.5)})
    assert '{"a":null,"1":[null,2.5]}' in block
