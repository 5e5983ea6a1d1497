"""Which cases and slices are shown, on numbers that can be ranked by eye."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from dacl.errors import DaclError
from dacl.experiments.case_choice import (
    Choice,
    choose_cases,
    choose_slice,
    foreground_dice,
    named_cases,
    read_case_dice,
)


def shown(dice: dict[str, dict[str, float]]) -> list[tuple[str, str]]:
    return [(choice.why, choice.case) for choice in choose_cases(dice)]


def test_one_run_shows_its_median_its_worst_and_its_best_case() -> None:
    dice = {"e": 0.9, "a": 0.7, "b": 0.2, "d": 0.8, "c": 0.5}
    assert shown({"run": dice}) == [("Median", "a"), ("Worst", "b"), ("Best", "e")]


def test_of_an_even_number_the_lower_median_is_taken() -> None:
    assert shown({"run": {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}})[0] == ("Median", "b")


def test_several_runs_show_where_they_differ_most() -> None:
    dice = {
        "one": {"a": 0.5, "b": 0.60, "c": 0.9, "d": 0.1, "e": 0.7},
        "two": {"a": 0.5, "b": 0.62, "c": 0.6, "d": 0.2, "e": 0.7},
    }
    # Means: d 0.15, a 0.50, b 0.61, e 0.70, c 0.75. Spreads: c 0.3, d 0.1, b 0.02, a and e none.
    assert shown(dice) == [("Median", "b"), ("Worst", "d"), ("Most different", "c")]
    assert [choice.slice_rule for choice in choose_cases(dice)] == [
        "most foreground",
        "most errors",
        "errors differ most",
    ]


def test_a_case_stands_there_once_and_its_row_does_not_claim_too_much() -> None:
    dice = {
        "one": {"a": 0.0, "b": 0.50, "c": 0.9},
        "two": {"a": 0.4, "b": 0.51, "c": 0.9},
    }
    assert shown(dice) == [("Median", "b"), ("Worst", "a"), ("Most different of the others", "c")]


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ({"r": {"a": 0.3}}, [("Only case", "a")]),
        ({"r": {"a": 0.3, "b": 0.2}}, [("Better of two", "a"), ("Worse of two", "b")]),
        ({"r": {"b": 0.0, "c": 0.0, "a": 0.0}}, [("Median", "b"), ("Worst", "a"), ("Best", "c")]),
    ],
)
def test_few_cases_and_ties(dice: dict, expected: list[tuple[str, str]]) -> None:
    assert shown(dice) == expected


def test_no_rule_depends_on_the_order_of_cases_or_runs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = int(rng.integers(1, 8))
        names = [f"c{i}" for i in range(n)]
        # Few values, so that ties are common.
        dice = {run: dict(zip(names, rng.integers(0, 3, n) / 2, strict=True)) for run in "xy"}
        turned = {
            run: {case: dice[run][case] for case in rng.permutation(names).tolist()} for run in "yx"
        }
        assert shown(dice) == shown(turned)
        assert len({case for _, case in shown(dice)}) == min(n, 3)


def test_cases_that_a_run_lacks_are_left_out() -> None:
    dice = {
        "one": {"a": 0.1, "b": 0.5, "c": 0.6, "d": math.nan},
        "two": {"b": 0.5, "c": 0.6, "d": 0.2, "e": 0.0},
    }
    assert {case for _, case in shown(dice)} == {"b", "c"}
    with pytest.raises(DaclError, match="no case has a Dice in every one of one, two"):
        choose_cases({"one": {"a": 0.1}, "two": {"b": 0.1}})
    with pytest.raises(DaclError, match="no runs"):
        choose_cases({})


def test_named_cases_keep_their_order() -> None:
    assert named_cases(["b", "a"], ["a", "b", "c"]) == [Choice("b", "Named"), Choice("a", "Named")]


@pytest.mark.parametrize("names", [["a", "x"], ["a", "a"], [], [f"p{i}" for i in range(7)], [""]])
def test_cases_that_cannot_be_are_answered_with_what_can(names: list[str]) -> None:
    valid = ["a", *(f"p{i}" for i in range(9))]
    with pytest.raises(DaclError) as error:
        named_cases(names, valid)
    if set(names) - set(valid):
        assert "p0, p1, p2, p3, p4, ... (4 more)" in error.value.hint
        assert repr(names[-1]) in error.value.message
    else:
        assert "one to 6" in error.value.hint


def volume(*foreground: int) -> np.ndarray:
    """So many voxels of class 1 in each slice of 4 x 4."""
    mask = np.zeros((len(foreground), 16), np.uint8)
    for z, n in enumerate(foreground):
        mask[z, :n] = 1
    return mask.reshape(-1, 4, 4)


def test_slices_follow_the_rule() -> None:
    truth, one, two = volume(2, 6, 4), volume(2, 5, 0), volume(7, 6, 0)
    # Wrong voxels: one (0, 1, 4), two (5, 0, 4); together (5, 1, 8), apart (5, 1, 0).
    assert choose_slice(truth, [one, two], "most foreground") == (1, "most foreground")
    assert choose_slice(truth, [one, two], "most errors") == (2, "most errors")
    assert choose_slice(truth, [one, two], "errors differ most") == (0, "errors differ most")


def test_a_rule_that_tells_nothing_is_replaced_and_not_named() -> None:
    truth, empty = volume(1, 3, 3), volume(0, 0, 0)
    assert choose_slice(truth, [truth], "most errors") == (1, "most foreground")
    assert choose_slice(truth, [empty, empty], "errors differ most") == (1, "most foreground")
    assert choose_slice(empty, [volume(0, 0, 2)], "most foreground") == (2, "most predicted")
    assert choose_slice(empty, [empty], "most errors") == (1, "middle")
    assert choose_slice(volume(4), [volume(0)], "most errors") == (0, "most errors")


def test_foreground_is_the_mean_of_what_is_defined() -> None:
    assert foreground_dice([1.0, 0.5, math.nan, 0.7]) == pytest.approx(0.6)
    assert math.isnan(foreground_dice([1.0, math.nan]))


def write(path: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "class", "network", "dice", "status"])
        for case, network, dice, status in rows:
            writer.writerow([case, "LV", network, dice, status])
    return path


def test_dice_are_read_as_masks_and_not_as_a_convention_has_them(tmp_path: Path) -> None:
    path = write(
        tmp_path / "cases.csv",
        [
            ("p1", "a", "0.5", "ok"), ("p1", "b", "0.9", "ok"), ("p1", "a", "1.0", "undefined"),
            ("p2", "a", "0.8", "ok"), ("p2", "a", "1.0", "missed"), ("p3", "a", "", "undefined"),
        ],
    )  # fmt: skip
    dice = read_case_dice(path, "a")
    assert dice == pytest.approx({"p1": 0.5, "p2": 0.4, "p3": math.nan}, nan_ok=True)
    with pytest.raises(DaclError, match="nothing of network 'mean'") as error:
        read_case_dice(path, "mean")
    assert "a, b" in error.value.hint
    with pytest.raises(DaclError, match="no "):
        read_case_dice(tmp_path / "nothing.csv", "a")
