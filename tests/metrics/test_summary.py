"""Averages, intervals and the self-check."""

import math

import numpy as np
import pytest

from dacl.errors import DaclError
from dacl.metrics.conventions import METRICS, Score
from dacl.metrics.summary import ScoredClass, check_identity, check_means, summarize


def row(
    patient: str, frame: int, dice: float, *, name: str = "lv", network: str = "a"
) -> ScoredClass:
    status = "undefined" if math.isnan(dice) else "ok"
    values = dict.fromkeys(METRICS[2:], 10 * (1 - dice))
    score = Score(class_name=name, dice=dice, jc=dice / (2 - dice), status=status, **values)
    return ScoredClass(case=f"{patient}_{frame}", patient=patient, network=network, score=score)


UNEVEN = [row("p1", 1, 0.9), row("p1", 2, 0.7), row("p2", 1, 0.4)]


def test_volumes_of_a_patient_are_averaged_first() -> None:
    dice = summarize(UNEVEN, averaging="patients")["a"]["lv"]["dice"]
    assert dice["mean"] == pytest.approx((0.8 + 0.4) / 2)
    assert dice["mean_over_volumes"] == pytest.approx(2.0 / 3)
    assert dice["std_over_patients"] == pytest.approx(np.std([0.8, 0.4], ddof=1))


def test_published_tables_average_volumes() -> None:
    found = summarize(UNEVEN, averaging="volumes")["a"]["lv"]
    assert found["dice"]["mean"] == pytest.approx(2.0 / 3)
    assert found["asd_vox"]["mean"] == pytest.approx((1 + 3 + 6) / 3)


def test_foreground_is_the_mean_of_the_class_means() -> None:
    rows = [*UNEVEN, row("p1", 1, 0.2, name="rv"), row("p2", 1, 0.6, name="rv")]
    found = summarize(rows, averaging="patients")["a"]
    assert found["foreground"]["dice"]["mean"] == pytest.approx((0.6 + 0.4) / 2)
    assert found["foreground"]["n_ok"] == 5


def test_networks_are_kept_apart() -> None:
    found = summarize([*UNEVEN, row("p1", 1, 0.1, network="b")], averaging="patients")
    assert list(found) == ["a", "b"]
    assert found["b"]["lv"]["dice"]["mean"] == pytest.approx(0.1)


@pytest.mark.parametrize("averaging", ["patients", "volumes"])
def test_undefined_scores_leave_the_mean_and_are_counted(averaging: str) -> None:
    rows = [*UNEVEN, row("p3", 1, math.nan), row("p3", 2, math.nan)]
    found = summarize(rows, averaging=averaging)["a"]["lv"]
    assert (
        found["dice"]["mean"] == summarize(UNEVEN, averaging=averaging)["a"]["lv"]["dice"]["mean"]
    )
    assert (found["n_ok"], found["n_undefined"]) == (3, 2)


def test_nothing_defined_has_no_mean_and_no_interval() -> None:
    rows = [row("p1", 1, math.nan), row("p2", 1, math.nan)]
    dice = summarize(rows, averaging="patients")["a"]["foreground"]["dice"]
    assert set(dice.values()) == {None}


def bootstrap_by_hand(values: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(7)
    means = [np.mean(rng.choice(values, values.size)) for _ in range(4000)]
    return tuple(np.percentile(means, [2.5, 97.5]))


def test_interval_resamples_patients_and_not_volumes() -> None:
    dice_P = np.random.default_rng(1).uniform(0.5, 0.95, 20)
    # Two equal volumes each: an interval over volumes would be narrower by the square root of two.
    rows = [row(f"p{p}", frame, d) for p, d in enumerate(dice_P) for frame in (1, 2)]
    for averaging in ("patients", "volumes"):
        found = summarize(rows, averaging=averaging)["a"]["lv"]["dice"]["ci95_over_patients"]
        np.testing.assert_allclose(found, bootstrap_by_hand(dice_P), atol=0.01)


def test_the_interval_is_the_same_every_time_and_absent_for_one_patient() -> None:
    first, second = (summarize(UNEVEN, averaging="patients") for _ in range(2))
    assert first == second
    alone = summarize(UNEVEN[:2], averaging="patients")["a"]["lv"]["dice"]
    assert alone["ci95_over_patients"] is None
    assert alone["std_over_patients"] is None


def test_a_jaccard_that_is_not_that_of_the_dice_is_refused() -> None:
    score = Score(
        class_name="lv", dice=0.9, jc=0.7612, status="ok", **dict.fromkeys(METRICS[2:], 0.0)
    )
    bad = ScoredClass(case="p1_1", patient="p1", network="a", score=score)
    with pytest.raises(DaclError, match="p1_1, lv, network a"):
        check_identity([bad])
    with pytest.raises(DaclError, match="not D / "):
        summarize([bad], averaging="patients")


def test_means_below_the_bound_are_refused() -> None:
    # Two numbers of a published table: no set of cases has this pair of means.
    with pytest.raises(DaclError, match="no set of cases"):
        check_means("printed", 0.9012, 0.7612)
    check_means("possible", 0.9012, 0.8202)
    check_means("undefined", math.nan, math.nan)


def test_a_dice_without_its_jaccard_is_refused() -> None:
    with pytest.raises(DaclError):
        check_means("half", 0.5, math.nan)
