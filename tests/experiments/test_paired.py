"""Differences patient by patient, against numbers worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from dacl.errors import DaclError
from dacl.experiments import paired
from dacl.experiments.case_scores import CaseScores, foreground_by_patient, read_scores
from dacl.experiments.claims import (
    few_patients_lines,
    few_seeds_lines,
    normal_coverage,
    why_no_claim,
)
from dacl.experiments.paired import (
    LEAST_PATIENTS,
    LEAST_SEEDS,
    RESAMPLES,
    SEED,
    Difference,
    coverage_bound,
    difference_of_runs,
    off_zero,
    paired_difference,
)

HEADER = "case,patient,class,network,dice,status\n"


def patient_dice(path, network="a"):
    scores = read_scores(path, network)
    return foreground_by_patient(scores.values_VC, scores.patients)


def write(path, *rows):
    path.write_text(HEADER + "".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def test_frames_are_averaged_before_classes_and_undefined_values_left_out(tmp_path):
    cases = write(
        tmp_path / "cases.csv",
        "p1_frame01,p1,RV,a,0.2,ok",
        "p1_frame02,p1,RV,a,,undefined",
        "p1_frame01,p1,LV,a,0.6,ok",
        "p1_frame02,p1,LV,a,1.0,ok",
        "p1_frame01,p1,LV,b,0.0,missed",
        "p2_frame01,p2,LV,a,0.0,missed",
    )
    # RV 0.2, LV (0.6 + 1.0) / 2 = 0.8; the plain mean of the three would be 0.6
    assert patient_dice(cases) == pytest.approx({"p1": 0.5, "p2": 0.0})
    assert patient_dice(cases, "b") == {"p1": 0.0}


def test_a_patient_without_a_defined_value_is_not_there(tmp_path):
    cases = write(tmp_path / "c.csv", "x,p1,RV,a,0.5,ok", "y,p2,RV,a,,undefined")
    assert patient_dice(cases) == {"p1": 0.5}


def test_no_file_and_no_such_network(tmp_path):
    with pytest.raises(DaclError, match=r"no .*cases\.csv") as error:
        patient_dice(tmp_path / "cases.csv")
    assert "dacl evaluate" in error.value.hint
    cases = write(tmp_path / "cases.csv", "x,p1,RV,a,0.5,ok")
    with pytest.raises(DaclError, match="network 'mean'"):
        patient_dice(cases, "mean")


def test_difference_of_two_seeds_and_three_patients():
    first = [{"p1": 0.9, "p2": 0.8, "p3": 0.5}, {"p1": 0.7, "p2": 0.8, "p3": 0.6}]
    # the order of patients must not matter
    second = [{"p3": 0.6, "p1": 0.6, "p2": 0.7}, {"p1": 0.6, "p2": 0.7, "p3": 0.8}]
    found = paired_difference(first, second)
    # gains: seed 0 (0.3, 0.1, -0.1), seed 1 (0.1, 0.1, -0.2); by patient (0.2, 0.1, -0.15)
    assert found.by_seed == pytest.approx((0.1, 0.0))
    assert found.mean == pytest.approx(0.05)
    assert found.std_over_seeds == pytest.approx(0.1 / 2**0.5)
    assert (found.better_patients, found.patients) == (2, 3)
    low, high = found.ci95_over_patients
    # with three patients, 1 draw in 27 is one patient three times: the bounds are the extremes
    assert (low, high) == pytest.approx((-0.15, 0.2))


def test_the_interval_narrows_around_the_mean_with_the_patients():
    def interval(n):
        first = [{f"p{i}": 0.8 + 0.02 * (i % 2) for i in range(n)}]
        found = paired_difference(first, [dict.fromkeys(first[0], 0.8)])
        assert found.mean == pytest.approx(0.01)
        assert found.ci95_over_patients[0] < found.mean < found.ci95_over_patients[1]
        return found.ci95_over_patients

    (low_few, high_few), (low_many, high_many) = interval(8), interval(200)
    assert low_few < low_many < high_many < high_few
    # 1.96 standard errors of a mean of 200 values that are 0.01 from it
    assert high_many - low_many == pytest.approx(2 * 1.96 * 0.01 / 200**0.5, rel=0.1)


def test_a_constant_gain_has_no_width_and_one_seed_no_spread():
    found = paired_difference([{"p1": 0.75, "p2": 0.5}], [{"p1": 0.5, "p2": 0.25}])
    assert found.ci95_over_patients == (0.25, 0.25)
    assert found.std_over_seeds is None
    assert found.better_patients == 2


def test_seeds_are_averaged_within_a_patient_before_resampling():
    # each seed alone swings by 0.5 from patient to patient, their mean not at all
    first = [{"p1": 0.75, "p2": 0.25}, {"p1": 0.25, "p2": 0.75}]
    found = paired_difference(first, [{"p1": 0.25, "p2": 0.25}] * 2)
    assert found.ci95_over_patients == (0.25, 0.25)


def gains(gain_SP):
    """Both sides of a pair with these gains."""
    first = [{f"p{p:03}": float(gain) for p, gain in enumerate(row)} for row in gain_SP]
    return first, [dict.fromkeys(first[0], 0.0)] * len(first)


def reference(gain_SP):
    """Both bootstraps, resample by resample."""
    n_seeds, n_patients = gain_SP.shape
    rng = np.random.default_rng(SEED)
    patients = rng.integers(n_patients, size=(RESAMPLES, n_patients))
    seeds = rng.integers(n_seeds, size=(RESAMPLES, n_seeds))
    over_patients, over_both = [], []
    for drawn_patients, drawn_seeds in zip(patients, seeds, strict=True):
        over_patients.append(np.mean([gain_SP[:, p].mean() for p in drawn_patients]))
        # crossed: the patients drawn are the same for every seed drawn
        over_both.append(np.mean([np.mean(gain_SP[s, drawn_patients]) for s in drawn_seeds]))
    return [np.percentile(means, [2.5, 97.5]) for means in (over_patients, over_both)]


def test_both_intervals_are_those_of_the_loop():
    gain_SP = np.random.default_rng(1).normal(0.01, 0.05, size=(3, 7))
    found = paired_difference(*gains(gain_SP))
    over_patients, over_both = reference(gain_SP)
    assert found.ci95_over_patients == pytest.approx(over_patients, abs=1e-12)
    assert found.ci95_over_patients_and_seeds == pytest.approx(over_both, abs=1e-12)


def test_with_one_seed_the_two_intervals_are_one():
    found = paired_difference(*gains(np.random.default_rng(2).normal(size=(1, 9))))
    assert found.ci95_over_patients_and_seeds == found.ci95_over_patients
    assert found.ci95_over_seeds is None
    assert not found.excludes_zero


def test_what_a_seed_does_to_all_patients_widens_the_second_interval_alone():
    # seeds +0.02 and +0.04 for every patient: patients draw nothing, seeds draw their own values
    found = paired_difference(*gains(np.array([[0.02] * 5, [0.04] * 5])))
    assert found.ci95_over_patients == pytest.approx((0.03, 0.03))
    assert found.ci95_over_patients_and_seeds == pytest.approx((0.02, 0.04))


def test_the_second_interval_has_the_variance_of_both_spreads():
    rng = np.random.default_rng(3)
    n_seeds, n_patients = 12, 30
    gain_SP = rng.normal(0, 0.02, (n_seeds, 1)) + rng.normal(0, 0.05, (1, n_patients))
    low, high = paired_difference(*gains(gain_SP)).ci95_over_patients_and_seeds
    variance = gain_SP.mean(axis=0).var() / n_patients + gain_SP.mean(axis=1).var() / n_seeds
    assert high - low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.05)


def difference(by_seed, ci95=(0.001, 0.02), patients=6, std_over_patients=0.001):
    return Difference(
        mean=float(np.mean(by_seed)), ci95_over_patients=(0.1, 0.2), ci95_over_patients_and_seeds=ci95,
        by_seed=by_seed, std_over_patients=std_over_patients, better_patients=1, patients=patients,
    )  # fmt: skip


def test_the_interval_over_seeds_is_students():
    by_seed = (0.01, 0.02, 0.06)
    expected = stats.ttest_1samp(by_seed, 0.0).confidence_interval(0.95)
    assert difference(by_seed).ci95_over_seeds == pytest.approx(tuple(expected))
    # two seeds, 0.01 apart: 0.025 ± 12.706 * 0.005
    assert difference((0.02, 0.03)).ci95_over_seeds == pytest.approx((-0.03853, 0.08853), abs=1e-5)


@pytest.mark.parametrize(("low", "high"), [(-0.01, 0.02), (-0.02, 0.0), (0.0, 0.0)])
def test_an_interval_that_touches_zero_does_not_exclude_it(low, high):
    assert not difference((0.01, 0.01, 0.01), (low, high)).excludes_zero
    assert difference((0.01, 0.01, 0.01), (0.001, 0.02)).excludes_zero
    assert difference((-0.01, -0.01, -0.01), (-0.02, -0.001)).excludes_zero


def test_the_interval_over_patients_is_students_too():
    gain_SP = np.array([[0.01, 0.02, 0.06], [0.03, 0.00, 0.10]])
    found = paired_difference(*gains(gain_SP))
    expected = stats.ttest_1samp(gain_SP.mean(axis=0), 0.0).confidence_interval(0.95)
    assert found.t95_over_patients == pytest.approx(tuple(expected))
    assert paired_difference(*gains(gain_SP[:, :1])).t95_over_patients is None


def test_a_difference_needs_all_intervals_three_seeds_and_six_patients():
    # all seeds above 0, and their t interval is not
    assert not difference((0.01, 0.02, 0.06)).excludes_zero
    assert difference((0.01, 0.02, 0.02)).excludes_zero
    assert not difference((0.01, 0.02, 0.02), (-0.001, 0.02)).excludes_zero
    assert not difference((0.02, 0.02)).excludes_zero
    assert not difference((0.01, 0.02, 0.02), patients=5).excludes_zero
    assert not difference((0.01, 0.02, 0.02), std_over_patients=0.05).excludes_zero
    assert (LEAST_SEEDS, LEAST_PATIENTS) == (3, 6)


@pytest.mark.parametrize(
    ("over_seeds", "over_patients", "patients", "too_many", "how_many"),
    [
        (0.05, 0.002, 20, "ci95_over_patients_and_seeds", 0.2),
        (0.0005, 0.05, 20, "ci95_over_seeds", 0.2),
        (0.0005, 0.05, 6, "ci95_over_patients_and_seeds", 0.1),
    ],
    ids=["seeds are the larger spread", "patients are the larger spread", "patients are few"],
)
def test_false_claims_are_few_where_one_interval_alone_makes_many(
    monkeypatch, over_seeds, over_patients, patients, too_many, how_many
):
    monkeypatch.setattr(paired, "RESAMPLES", 1000)
    rng = np.random.default_rng(5)
    found = [
        paired_difference(
            *gains(rng.normal(0, over_seeds, (3, 1)) + rng.normal(0, over_patients, (1, patients)))
        )
        for _ in range(1000)
    ]
    assert np.mean([x.excludes_zero for x in found]) < 0.07
    assert np.mean([paired.off_zero(getattr(x, too_many)) for x in found]) > how_many


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_few_seeds_cover_less_than_they_say(n):
    # seeds without patients' spread: the interval covers the true 0 no more often than the bound
    rng = np.random.default_rng(4)
    samples = rng.normal(size=(400, n))
    resampled = samples[:, rng.integers(n, size=(1000, n))].mean(axis=2)
    low, high = np.percentile(resampled, [2.5, 97.5], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) <= coverage_bound(n) + 0.05
    assert coverage_bound(3) == 0.75


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([{"p1": 0.5}], [{"p2": 0.5}]),
        ([{"p1": 0.5}], [{"p1": 0.5, "p2": 0.5}]),
        ([{"p1": 0.5}, {"p1": 0.5}], [{"p1": 0.5}]),
        ([{"p1": 0.5}, {"p2": 0.5}], [{"p1": 0.5}, {"p2": 0.5}]),
        ([], []),
        ([{}], [{}]),
    ],
)
def test_unequal_sides_are_refused(first, second):
    with pytest.raises(DaclError, match="same patients"):
        paired_difference(first, second)


def scores(*rows, classes=("RV", "LV")):
    """A volume per patient; None is undefined."""
    patients = tuple(f"p{n}" for n in range(1, len(rows) + 1))
    values_VC = np.array([[math.nan if x is None else x for x in row] for row in rows])
    return CaseScores(cases=patients, patients=patients, classes=classes, values_VC=values_VC)


def test_what_one_run_paints_of_an_absent_class_and_another_does_not_is_charged_beside():
    # p1 has no RV: the first run finds none, the second paints it
    first = scores((None, 0.5), *[(0.5, 0.5)] * 6)
    second = scores((0.0, 0.5), *[(0.5, 0.5)] * 6)
    found, shared = difference_of_runs([first], [second])
    assert (shared.undefined, shared.contested) == (1, 1)
    # on the cells that both define there is no difference
    assert found.mean == 0.0
    # charged, p1 is (1 + 0.5) / 2 against (0 + 0.5) / 2
    assert found.charged.mean == pytest.approx(0.5 / 7)
    assert found.charged.patients == found.patients == 7


def test_a_class_that_no_run_paints_is_left_out_and_charged_to_nobody():
    runs = [scores((None, 0.5), (0.5, 0.5)), scores((None, 0.25), (0.5, 0.5))]
    found, shared = difference_of_runs(runs[:1], runs[1:])
    assert (shared.undefined, shared.contested) == (1, 0)
    assert found.charged is None
    assert found.mean == pytest.approx(0.125)


def test_a_claim_that_absent_classes_charged_would_undo_is_none():
    """The side that paints a class in five patients of seven is a little better elsewhere."""
    rng = np.random.default_rng(0)
    first, second = [], []
    for _ in range(3):
        better = 0.5 + rng.uniform(0.01, 0.03, (7, 2))
        first.append(
            scores(*[(0.0, lv) if n < 5 else (rv, lv) for n, (rv, lv) in enumerate(better)])
        )
        second.append(scores(*[(None, 0.5) if n < 5 else (0.5, 0.5) for n in range(7)]))
    found, shared = difference_of_runs(first, second)
    assert shared.contested == 5
    assert found.mean > 0
    assert off_zero(found.ci95_over_patients_and_seeds)
    assert off_zero(found.ci95_over_seeds)
    assert found.charged.mean < 0
    assert found.undone_by_charge
    assert not found.excludes_zero
    assert why_no_claim(found) == "not so if what is painted of absent classes is charged"


def test_runs_that_share_no_cell_have_no_difference():
    own, other = scores((0.5,), classes=("RV",)), scores((0.5,), classes=("LV",))
    assert difference_of_runs([own], [other]) == (None, None)
    nothing = scores((None, None))
    found, shared = difference_of_runs([nothing], [nothing])
    assert found is None
    assert (shared.undefined, shared.contested) == (2, 0)


def test_seeds_that_cancel_make_no_patient_better():
    # gains -0.2, -0.5, +0.7: their mean is 1e-17 and not 0
    first = [{"p1": 0.1}, {"p1": 0.3}, {"p1": 0.8}]
    second = [{"p1": 0.3}, {"p1": 0.8}, {"p1": 0.1}]
    assert paired_difference(first, second).better_patients == 0


def test_more_seeds_narrow_the_interval_over_patients_that_answer_to_them_differently():
    rng = np.random.default_rng(0)

    def half_width(seeds):
        gains_SP = rng.normal(0, 0.05, (seeds, 20))  # no patient gains more than another on average
        runs = [{f"p{n}": float(gain) for n, gain in enumerate(gains_P)} for gains_P in gains_SP]
        return paired_difference(
            runs, [dict.fromkeys(runs[0], 0.0)] * seeds
        ).half_width_over_patients

    assert half_width(100) < 0.4 * half_width(3)


def test_the_coverage_said_of_few_patients_is_what_the_interval_covers(monkeypatch):
    monkeypatch.setattr("dacl.experiments.paired.RESAMPLES", 1000)
    rng = np.random.default_rng(0)
    covered = 0
    for gains_P in rng.normal(0, 0.03, (1000, 6)):
        first = {f"p{n}": float(gain) for n, gain in enumerate(gains_P)}
        low, high = paired_difference([first], [dict.fromkeys(first, 0.0)]).ci95_over_patients
        covered += low <= 0 <= high
    assert covered / 1000 == pytest.approx(normal_coverage(6), abs=0.03)
    assert normal_coverage(6) == pytest.approx(0.866, abs=1e-3)
    assert "about 87 %" in few_patients_lines([6])[0]
    assert few_patients_lines([20]) == []


def test_few_seeds_and_few_patients_are_said_with_what_their_intervals_cover():
    assert few_seeds_lines([1, 20]) == []
    (line,) = few_seeds_lines([6, 3, 6])
    assert "in at most 75 % from 3 seeds, about 87 % from 6 seeds; a claim" in line
    (line,) = few_patients_lines([30, 4])
    assert line.endswith("from 4 they cover the truth in at most 87.5 % of cases")
