"""Values per volume and class, and means by patient, against numbers worked out by hand."""

import numpy as np
import pytest

from dacl.errors import DaclError
from dacl.experiments.case_scores import patient_means, read_scores

HEADER = "case,patient,class,network,dice,asd_vox\n"
LINES = (
    "p1_ED,p1,RV,a,0.25,3.0",
    "p1_ED,p1,LV,a,,",
    "p1_ED,p1,RV,b,0.75,1.0",
    "p2_ED,p2,RV,a,0.5,2.0",
    "p2_ED,p2,LV,a,1.0,0.0",
    "p1_ES,p1,RV,a,0.75,1.0",
    "p1_ES,p1,LV,a,0.5,4.0",
)


def write(path, *lines):
    path.write_text(HEADER + "".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_network_and_a_metric_are_read_in_the_order_of_the_file(tmp_path):
    found = read_scores(write(tmp_path / "cases.csv", *LINES), "a", "asd_vox")
    assert found.cases == ("p1_ED", "p2_ED", "p1_ES")
    assert found.patients == ("p1", "p2", "p1")
    assert found.classes == ("RV", "LV")
    np.testing.assert_array_equal(found.values_VC, [[3.0, np.nan], [2.0, 0.0], [1.0, 4.0]])


def test_frames_of_a_patient_are_averaged_without_what_is_undefined(tmp_path):
    found = read_scores(write(tmp_path / "cases.csv", *LINES))
    patients, dice_PC = patient_means(found.values_VC, found.patients)
    assert patients == ("p1", "p2")
    np.testing.assert_array_equal(dice_PC, [[0.5, 0.5], [0.5, 1.0]])


def test_cases_and_classes_can_be_chosen_and_ordered(tmp_path):
    chosen = read_scores(write(tmp_path / "cases.csv", *LINES)).of(["p1_ES", "p2_ED"], ["LV"])
    assert (chosen.cases, chosen.patients, chosen.classes) == (
        ("p1_ES", "p2_ED"), ("p1", "p2"), ("LV",)
    )  # fmt: skip
    np.testing.assert_array_equal(chosen.values_VC, [[0.5], [1.0]])


def test_a_class_that_a_volume_does_not_list_is_undefined_there(tmp_path):
    found = read_scores(write(tmp_path / "c.csv", "x,p1,RV,a,0.5,1", "y,p2,LV,a,0.25,1"))
    np.testing.assert_array_equal(found.values_VC, [[0.5, np.nan], [np.nan, 0.25]])


@pytest.mark.parametrize(
    ("lines", "options", "said"),
    [
        (LINES, {"metric": "jc"}, "no column 'jc'"),
        (LINES, {"network": "mean"}, "nothing of network 'mean'"),
        ((*LINES, LINES[0]), {}, "p1_ED RV, network a twice"),
        (LINES[:-1], {"volumes": 3}, "5 lines of 2 classes, where 3 volumes were judged"),
        (LINES[:-2], {"volumes": 3}, "4 lines of 2 classes, where 3 volumes were judged"),
        ((*LINES[:-1], "p1_ES,p1,LV,a,0.5"), {}, "line 8 is not whole"),
        ((*LINES[:-1], "p1_ES,p1,LV,a,0,5,4.0"), {}, "line 8 is not whole"),
        ((*LINES[:-1], "p1_ES,p1,LV,a,half,4.0"), {}, "'half' is no number"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, lines, options, said):
    with pytest.raises(DaclError, match=said):
        read_scores(write(tmp_path / "cases.csv", *lines), **options)


def test_marks_and_line_ends_of_a_spreadsheet_change_nothing(tmp_path):
    path = write(tmp_path / "cases.csv", *LINES)
    plain = read_scores(path, volumes=3)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    marked = read_scores(path, volumes=3)
    assert (marked.cases, marked.classes) == (plain.cases, plain.classes)
    np.testing.assert_array_equal(marked.values_VC, plain.values_VC)


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(DaclError, match=r"cases\.csv") as error:
        read_scores(tmp_path / "cases.csv")
    assert "dacl evaluate" in error.value.hint
