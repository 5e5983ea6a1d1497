"""The report in a real browser, opened from a file: no error, no request, all by keyboard, no sideways scrolling."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_report
import pytest

from dacl.analysis.report import write_report

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")  # fmt: skip
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PHONE, DESKTOP = (360, 740), (1280, 900)
HOSTILE = '</script><script>window.broken = 1</script><img src=x onerror="window.broken = 1">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium here")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    content = made_report.report(names=("CPS", HOSTILE), case_names=("p1_ED", "p1_ES", HOSTILE))
    write_report(content, path)
    return path


CUT_NAMES = """
[...document.querySelectorAll('.cases li')].filter(row => {
  const [name, dice] = row.children;
  const letters = document.createRange();
  letters.selectNodeContents(name);
  const [text, box, scores] = [letters, name, dice].map(part => part.getBoundingClientRect());
  const beside = scores.top < text.bottom - 1 && scores.left < text.right;
  return text.right > box.right + 1 || beside || scores.right > row.getBoundingClientRect().right;
}).map(row => row.textContent)
"""
"""The cases in the list whose name is cut, or lies under the Dice."""


class Opened:
    """A page and everything that went wrong on it."""

    def __init__(self, browser: Any, file: Path, size: tuple[int, int], scheme: str) -> None:
        phone = size == PHONE
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme,
            has_touch=phone, is_mobile=phone, reduced_motion="reduce",
        )  # fmt: skip
        self.page = context.new_page()
        self.wrong: list[str] = []
        self.requested: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", lambda request: self.wrong.append(request.url[:100]))
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.goto(file.as_uri())
        self.until("document.querySelector('.place').value !== ''")

    def until(self, script: str) -> None:
        """Wait for it; playwright's own way needs `eval` in the page, which the policy forbids."""
        for _ in range(200):
            if self.page.evaluate(script):
                return
            self.page.wait_for_timeout(10)
        pytest.fail(f"it never came to {script}")

    def drawn(self, selector: str) -> str:
        """What a canvas shows."""
        self.page.wait_for_timeout(60)
        return self.page.locator(selector).first.evaluate("canvas => canvas.toDataURL()")

    def tab_to(self, script: str, most: int = 120) -> None:
        """Press Tab until `script`, of the focused element, is true."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            if self.page.evaluate(f"(element => {script})(document.activeElement)"):
                return
        pytest.fail(f"Tab never came to {script}")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_clean(browser: Any, file: Path, size: tuple[int, int], scheme: str) -> None:
    opened = Opened(browser, file, size, scheme)
    page = opened.page
    for _ in range(12):  # so that everything comes into sight and is drawn
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(20)
    assert opened.wrong == []
    assert {url.split(":", 1)[0] for url in opened.requested} <= {"file", "data"}
    assert [url for url in opened.requested if url.startswith("file")] == [file.as_uri()]
    assert page.evaluate("window.broken") is None
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    page.context.close()


@pytest.mark.parametrize(("size", "n_runs"), [(DESKTOP, 3), (PHONE, 9)], ids=["desktop", "phone"])
def test_names_of_cases_are_whole_beside_the_dice_of_many_runs(
    browser: Any, tmp_path: Path, size: tuple[int, int], n_runs: int
) -> None:
    names = ("patient023_frame09", "prostate_case00_scan_of_2007_axial_T2_repeated", HOSTILE)
    content = made_report.report(names=tuple(f"run{n}" for n in range(n_runs)), case_names=names)
    write_report(content, tmp_path / "r.html")
    opened = Opened(browser, tmp_path / "r.html", size, "light")
    assert opened.page.evaluate(CUT_NAMES) == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") == size[0]
    opened.page.context.close()


def test_the_policy_stops_what_would_slip_through(browser: Any, file: Path) -> None:
    opened = Opened(browser, file, DESKTOP, "light")
    opened.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.broken = 1";
            const image = document.createElement("img");
            image.src = "http://127.0.0.1:9/x.png";
            document.body.append(script, image);
        }"""
    )
    assert opened.page.evaluate("window.broken") is None
    assert sum("Content Security Policy" in line for line in opened.wrong) >= 2
    opened.page.context.close()


def test_the_viewer_by_keyboard(browser: Any, file: Path) -> None:
    opened = Opened(browser, file, DESKTOP, "light")
    page = opened.page
    press = page.keyboard.press
    place = lambda: page.evaluate("document.querySelector('.place').value")  # noqa: E731
    opened.tab_to("element.classList.contains('stage')")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    # The worst case of the first run at its worst slice, which is the second.
    assert place() == f"{HOSTILE}, slice 2 of 6"
    before = opened.drawn(".stage canvas")
    press("ArrowDown")
    assert place().endswith("slice 3 of 6")
    assert opened.drawn(".stage canvas") != before
    press("End")
    press("ArrowDown")
    assert place().endswith("slice 6 of 6")
    press("Home")
    assert place().endswith("slice 1 of 6")
    press("j")
    assert place() == "p1_ES, slice 2 of 6"
    shown = opened.drawn(".stage figure:nth-child(2) canvas")
    for key in ("p", "t", "e", "f", "z"):
        button = page.locator(f".controls [aria-keyshortcuts={key}]")
        pressed = button.get_attribute("aria-pressed")
        press(key)
        assert button.get_attribute("aria-pressed") != pressed
        now = opened.drawn(".stage figure:nth-child(2) canvas")
        assert now != shown or key == "f", key  # errors are on, which a fill does not cover
        shown = now
    press("2")
    assert page.locator(".stage figure:visible").count() == 2
    assert opened.wrong == []
    page.context.close()


@pytest.mark.parametrize(
    ("dice", "said"),
    [
        ({}, "not judged on this case"),
        (dict.fromkeys(made_report.CLASSES[1:]), "Dice undefined: every class absent from both"),
        ({"RV": None, "Myo": 0.5, "LV": 0.75}, "Dice 62.5 % (RV –, Myo 50.0, LV 75.0)"),
    ],
    ids=["not judged", "undefined", "defined in part"],
)
def test_a_panel_says_why_it_has_no_dice(
    browser: Any, tmp_path: Path, dice: dict[str, float | None], said: str
) -> None:
    content = made_report.report(case_names=("p1_ED",))
    [case] = content.cases
    case = replace(case, dice=[dice, case.dice[1]])
    write_report(replace(content, cases=[case]), tmp_path / "r.html")
    opened = Opened(browser, tmp_path / "r.html", DESKTOP, "light")
    assert opened.page.locator(".stage figure:nth-child(2) .scores").text_content() == said
    opened.page.context.close()


def test_the_viewer_by_wheel_and_finger(browser: Any, file: Path) -> None:
    opened = Opened(browser, file, DESKTOP, "light")
    page = opened.page
    place = lambda: page.evaluate("document.querySelector('.place').value")  # noqa: E731
    stage = page.locator(".stage")
    stage.scroll_into_view_if_needed()
    stage.hover()
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, 50)  # not chosen: the page scrolls on
    opened.until(f"scrollY !== {top}")
    assert place().endswith("slice 2 of 6")
    stage.hover()
    page.mouse.down()
    page.mouse.up()
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, 50)
    opened.until("document.querySelector('.place').value.endsWith('slice 3 of 6')")
    assert page.evaluate("scrollY") == top
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 40 + 2 * 24 + 1, box["y"] + 40, steps=8)
    page.mouse.up()
    assert place().endswith("slice 5 of 6")
    page.context.close()


def test_paper_is_light_and_nothing_is_cut_off(browser: Any, file: Path) -> None:
    opened = Opened(browser, file, (718, 1000), "dark")  # A4 without margins
    page = opened.page
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_timeout(150)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    cut = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollHeight > e.clientHeight + 1).length"
    )
    assert cut == 0
    # Every thumbnail is there, though none has come into sight.
    blank = page.evaluate(
        """[...document.querySelectorAll(".thumb canvas")].filter((canvas) =>
            !new Uint32Array(canvas.getContext("2d").getImageData(0, 0, 320, 320).data.buffer)
                .some((pixel) => pixel !== 0)).length"""
    )
    assert blank == 0
    assert not page.locator("#viewer").is_visible()
    page.context.close()


def test_the_picture_is_the_mask(browser: Any, file: Path) -> None:
    opened = Opened(browser, file, DESKTOP, "light")
    page = opened.page
    page.locator(".stage").focus()
    for key in ("t", "f"):  # no white lines; filled
        page.keyboard.press(key)
    page.wait_for_timeout(80)
    # Of the first run, whose blocks are shifted by 3 columns: pixel (row 10, column 12) is RV, (24, 22) LV.
    found = page.evaluate(
        """() => {
            const canvas = document.querySelectorAll(".stage canvas")[1];
            const [size, context] = [canvas.width, canvas.getContext("2d")];
            const scale = size / (80 * 1.25);
            const left = (size - 72 * scale) / 2;
            return [[10, 12], [24, 22], [24, 60]].map(([row, column]) =>
                [...context.getImageData(left + (column + 0.5) * scale, (row + 0.5) * 1.25 * scale, 1, 1).data]);
        }"""
    )
    rv, lv, outside = found
    assert rv[2] > rv[0]  # light blue
    assert lv[0] > lv[2] + 40  # vermilion
    assert max(outside[:3]) - min(outside[:3]) <= 12  # grey
    page.context.close()


def test_a_table_sorts_by_enter_and_undefined_stays_last(browser: Any, file: Path) -> None:
    opened = Opened(browser, file, DESKTOP, "light")
    page = opened.page
    opened.tab_to("element.closest('#cases-table') && element.textContent === 'ASD mm'")
    column = page.locator("#cases-table thead th", has_text="ASD mm")
    read = lambda: page.evaluate(  # noqa: E731
        "[...document.querySelectorAll('#cases-table tbody tr')].map(row => row.cells[4].textContent)"
    )
    assert column.get_attribute("aria-sort") == "none"
    for direction in ("ascending", "descending"):
        page.keyboard.press("Enter")
        assert column.get_attribute("aria-sort") == direction
        numbers = [float(text) for text in read() if text != "–"]
        assert numbers == sorted(numbers, reverse=direction == "descending")
        assert len(numbers) == 16
        assert read()[-2:] == ["–", "–"]
    page.locator("[data-filter=class]").select_option("Myo")
    assert page.locator("#cases-table tbody tr:visible").count() == 6
    assert page.locator("#cases-count").text_content() == "6 of 18 rows"
    page.context.close()


def test_a_failure_opens_the_viewer_there(browser: Any, file: Path) -> None:
    opened = Opened(browser, file, PHONE, "dark")
    page = opened.page
    assert page.locator(".stage figure:visible").count() == 1
    thumb = page.locator(".gallery").nth(1).locator(".thumb").nth(2)
    assert "p1_ED" in thumb.text_content()
    thumb.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('.place').value") == "p1_ED, slice 2 of 6"
    assert page.evaluate("document.activeElement.classList.contains('stage')")
    # The panel of the run whose failure it is has been opened too.
    assert page.locator(".stage figure:visible").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    assert opened.wrong == []
    page.context.close()


def test_the_colours_can_be_switched(browser: Any, file: Path) -> None:
    opened = Opened(browser, file, DESKTOP, "light")
    page = opened.page
    opened.tab_to("element.id === 'theme'")
    page.keyboard.press("Enter")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert page.locator("#theme").get_attribute("aria-label") == "Switch to light colours"
    page.context.close()


def test_contrast_of_text(browser: Any, file: Path) -> None:
    """WCAG AA: 4.5 to 1 for text, against the paper behind it."""
    for scheme in ("light", "dark"):
        opened = Opened(browser, file, DESKTOP, scheme)
        poor = opened.page.evaluate(
            """() => {
                const parse = (color) => color.match(/[\\d.]+/g).map(Number);
                const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
                    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
                const paper = (element) => {
                    for (let at = element; at; at = at.parentElement) {
                        const color = parse(getComputedStyle(at).backgroundColor);
                        if (color.length === 3 || color[3] > 0) return color;
                    }
                };
                const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
                const poor = new Set();
                for (let node; (node = walker.nextNode()); ) {
                    const element = node.parentElement;
                    if (!node.data.trim() || element.closest("script, style, noscript, title, [hidden]")) continue;
                    const style = getComputedStyle(element);
                    const color = element.closest("svg") ? style.fill : style.color;
                    const [a, b] = [light(parse(color)), light(paper(element))].sort((x, y) => y - x);
                    if ((a + 0.05) / (b + 0.05) < 4.5) poor.add(`${element.tagName} ${element.className} ${color}`);
                }
                return [...poor];
            }"""
        )
        assert poor == []
        opened.page.context.close()
