"""Differences patient by patient, against numbers worked out by hand."""

import pytest

from dacl.errors import DaclError
from dacl.experiments.paired import paired_difference, patient_dice

HEADER = "case,patient,class,network,dice,status\n"


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
