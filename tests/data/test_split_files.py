import json

import pytest
from made_folders import run, write

from dacl.data.split_files import SplitFile
from dacl.data.splits import Split
from dacl.errors import DaclError

PATIENT_OF = {f"p{n}_t{t}": f"p{n}" for n in range(1, 7) for t in (1, 2)}
MASKED = {f"p{n}" for n in range(1, 6)}


def read(path, content, fold=None):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return SplitFile(path, fold).read(PATIENT_OF, MASKED)


def test_our_json_with_patients(tmp_path):
    content = {
        "name": "mine", "train": ["p3", "p1", "p6"], "val": ["p2"], "test": ["p4", "p5"],
        "labeled_sets": {"1": ["p1"]}, "missing": [], "hash": "x",
    }  # fmt: skip
    split = read(tmp_path / "s.json", content)
    parts = ("p3", "p1", "p6"), ("p2",), ("p4", "p5")
    assert split == Split("mine", *parts, labeled_sets={1: ("p1",)})
    assert split.labeled(1) == ("p1",)
    assert split.labeled(2) == ("p3", "p1")


def test_a_labeled_set_of_cases_counts_their_patients(tmp_path):
    content = {"train": ["p1", "p2"], "labeled_sets": {"1": ["p2_t1", "p2_t2"]}}
    assert read(tmp_path / "s.json", content).labeled(1) == ("p2",)


def test_lines_with_cases(tmp_path):
    text = "# mine\ntrain p1_t1\ntrain p1_t2\n\nval p2_t1 # one frame\ntest p3\n"
    assert read(tmp_path / "s.txt", text) == Split("s", ("p1",), ("p2",), ("p3",))


def test_names_with_spaces_stand_in_lines_too(tmp_path):
    path = tmp_path / "s.txt"
    path.write_text("train case 1\nval  case 2 # the second\n")
    split = SplitFile(path).read({"case 1": "case 1", "case 2": "case 2"}, {"case 1", "case 2"})
    assert split == Split("s", ("case 1",), ("case 2",), ())


@pytest.mark.parametrize("name", ["s.json", "s.txt"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, name):
    text = '{"train": ["p1"], "val": ["p2"]}' if name == "s.json" else "train p1\nval p2\n"
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    split = SplitFile(tmp_path / name).read(PATIENT_OF, MASKED)
    assert split == Split("s", ("p1",), ("p2",), ())


def test_an_accent_is_the_same_however_it_is_written(tmp_path):
    path = tmp_path / "s.txt"
    path.write_text("train fa\u0308ll\nval p2\n", encoding="utf-8")
    split = SplitFile(path).read({"f\u00e4ll": "f\u00e4ll", "p2": "p2"}, set())
    assert split.train == ("f\u00e4ll",)


def test_nnunets_folds(tmp_path):
    folds = [
        {"train": ["p1_t1", "p2_t1"], "val": ["p3_t1"]},
        {"train": ["p3_t1", "p2_t1"], "val": ["p1_t1"]},
    ]
    path = tmp_path / "splits_final.json"
    # p6 has no mask, and nnU-Net knows no cases without one.
    assert read(path, folds, 1) == Split("splits_final:1", ("p3", "p2", "p6"), ("p1",), ())
    for fold in (None, 2):
        with pytest.raises(DaclError) as caught:
            read(path, folds, fold)
        assert caught.value.hint == "choose --fold from 0 to 1"
    assert SplitFile(path, 1).options == ("--split-file", str(path), "--fold", "1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"train": ["p1", "q7"], "val": ["q8"]}, "names 2 that the dataset does not have: q7, q8"),
        ({"train": ["p1"], "labeled_sets": {"1": ["q1"]}}, "does not have: q1"),
        ({"train": ["p1"], "val": ["p1_t2"]}, "p1 in train and in val"),
        ({"train": "p1"}, "train is not a list of names"),
        ({"train": ["p1"], "validation": ["p2"]}, "s.json has 'validation': the parts of a split"),
        ({"training": ["p1"], "val": ["p2"]}, "s.json has 'training': the parts of a split"),
        ([{"val": ["p2"]}], "has 1 folds, none is chosen"),
        ({"val": ["p2"], "test": ["p3"]}, "s.json has no train: the parts of a split"),
        ({"train": ["p1"], "labeled_sets": {"2": ["p1"]}}, "the labeled set of 2 is of 1 patients"),
        (
            {"train": ["p1"], "labeled_sets": {"2": ["p1_t1", "p1_t2"]}},
            "the labeled set of 2 is of 1 patients",
        ),
        ({"train": ["p1"], "labeled_sets": {"x": ["p1"]}}, "labeled_sets is not a table"),
        ([1, 2], "holds no split"),
        ("{", "cannot be read"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, content, said):
    with pytest.raises(DaclError, match=said) as caught:
        read(tmp_path / "s.json", content)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["train", "tarin p1", "p1 train"])
def test_lines_that_are_none(tmp_path, text):
    with pytest.raises(DaclError, match="cannot be read: line"):
        read(tmp_path / "s.txt", text)


def test_a_fold_of_a_file_without_folds(tmp_path):
    with pytest.raises(DaclError, match="has no folds"):
        read(tmp_path / "s.json", {"train": ["p1"]}, 0)


def test_no_file(tmp_path):
    with pytest.raises(DaclError, match="cannot be read"):
        SplitFile(tmp_path / "s.json").read(PATIENT_OF, MASKED)


def test_a_part_without_masks_is_a_note(tmp_path):
    raw, path = write(tmp_path / "raw"), tmp_path / "s.json"
    path.write_text(json.dumps({"train": ["c1", "c2"], "val": ["c5"], "test": ["c3"]}))
    report = run(raw, tmp_path / "out", split=SplitFile(path))
    lost = [note for note in report.notes if note.startswith("none of the")]
    assert lost == [
        "none of the 1 val patients has a mask: a run cannot choose its best step, and keeps latest.pt alone"
    ]
