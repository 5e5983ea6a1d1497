"""The journal's panels as SVG: what is drawn where, on which scale, and in words."""

import dataclasses
import re

import made_report
import pytest

from dacl.analysis.report import axes, curves
from dacl.analysis.report.axes import Scale
from dacl.analysis.report.content import ReportRun


def runs(**options: object) -> list[ReportRun]:
    return list(made_report.report(**options).runs)


def test_a_scale_is_linear_or_logarithmic() -> None:
    assert Scale(0, 10, 100, 200)(2.5) == pytest.approx(125)
    assert Scale(1, 100, 200, 0, log=True)(10) == pytest.approx(100)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1.03, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 2040, [0, 500, 1000, 1500, 2000]),
        (-0.3, 0.31, [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]),
        (3, 3.06, [3, 3.01, 3.02, 3.03, 3.04, 3.05, 3.06]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert axes.ticks(low, high) == pytest.approx(expected)


def test_ticks_of_a_logarithmic_axis() -> None:
    assert axes.log_ticks(0.05, 7) == pytest.approx([0.1, 0.3, 1, 3])
    assert axes.log_ticks(0.9, 1200) == pytest.approx([1, 10, 100, 1000])
    assert axes.log_ticks(1.1, 4) == pytest.approx([2])


def test_limits_hold_every_value_and_never_collapse() -> None:
    for values in ([1.0, 2.0], [3.0], [0.0], []):
        low, high = axes.spread(values)
        assert low < min(values, default=1.0) <= max(values, default=1.0) < high
    low, high = axes.spread([0.1, 10.0], log=True)
    assert 0 < low < 0.1 < 10 < high


@pytest.mark.parametrize(
    ("value", "text"), [(30000.0, "30000"), (0.30000000000000004, "0.3"), (-0.5, "−0.5")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert axes.number(value) == text


def test_learning_comes_before_health() -> None:
    of_curves, of_health = curves.sections(runs(), made_report.CLASSES[1:])
    titles = [re.search(r"<h3>(.*?)</h3>", figure)[1] for figure in (*of_curves, *of_health)]
    assert titles[:2] == ["Loss terms, before their weights", "Validation Dice"]
    assert titles[2:] == ["Confident share of pseudo-labels", "Bank fill and anchors"]


def test_a_curve_goes_through_its_points_in_its_class_colour() -> None:
    (_, dice), _ = curves.sections(runs(names=("one",)), made_report.CLASSES[1:])
    lines = re.findall(r'<path d="(M[^"]*)" class="line (\w+) c(\d)"', dice)
    # Network b lacks the RV; a and b have a style of their own.
    assert [(style, color) for _, style, color in lines] == [
        ("solid", "1"), ("solid", "2"), ("solid", "3"), ("dashed", "2"), ("dashed", "3"),
    ]  # fmt: skip
    x = Scale(0, 30 * 1.02, axes.LEFT, axes.WIDTH - axes.RIGHT)
    y = Scale(0, 1.03, axes.HEIGHT - axes.BOTTOM, axes.TOP)
    expected = [(x(step), y(step / 100)) for step in (10, 20, 30)]
    found = [tuple(map(float, pair.split())) for pair in lines[0][0][1:].split("L")]
    for (found_x, found_y), (expected_x, expected_y) in zip(found, expected, strict=True):
        assert found_x == pytest.approx(expected_x, abs=0.051)
        assert found_y == pytest.approx(expected_y, abs=0.051)


def test_runs_share_their_scales_and_a_gap_is_said() -> None:
    first, second = runs()
    fewer = [
        {**r, "diagnostics": {}, "parts": {k: v / 5 for k, v in r["parts"].items()}}
        if r["kind"] == "train"
        else r
        for r in second.records
    ]
    second = dataclasses.replace(second, records=fewer)
    (losses, _), health = curves.sections([first, second], made_report.CLASSES[1:])
    charts = losses.split("<h4>")[1:]
    ticks = [re.findall(r'class="tick end">(.*?)<', chart) for chart in charts]
    assert ticks[0] == ticks[1]
    assert all(figure.count("No such number") == 1 for figure in health)


def test_warnings_are_lines_in_the_run_that_had_them() -> None:
    (losses, _), _ = curves.sections(runs(warned="agree"), made_report.CLASSES[1:])
    first, second = losses.split("<h4>")[1:]
    assert first.count('class="warning"') == 1
    assert "warning at step 20" in first
    assert 'class="warning"' not in second


def test_a_chart_is_told_in_words() -> None:
    (_, dice), _ = curves.sections(runs(names=("one",)), made_report.CLASSES[1:])
    said = re.search(r'aria-label="(.*?)"', dice)[1]
    assert said.startswith("validation Dice, one. Last values: a RV 0.3, a Myo 0.4")


def test_a_run_without_a_journal_has_no_chart() -> None:
    without = dataclasses.replace(runs()[0], records=[])
    assert curves.sections([without], made_report.CLASSES[1:]) == ([], [])
    of_curves, _ = curves.sections([without, runs()[1]], made_report.CLASSES[1:])
    assert of_curves[0].count("<svg viewBox=\"0 0 360") == 1  # fmt: skip
