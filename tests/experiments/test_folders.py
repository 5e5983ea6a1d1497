"""Where evaluations lie, and the command that makes a missing one."""

from pathlib import Path

import pytest

from dacl.errors import DaclError
from dacl.experiments.folders import Place, find_evaluation, find_evaluations, run_of

PLACES = [
    (Place(), "test-best", "dacl evaluate runs/one"),
    (
        Place(split="val", checkpoint="latest"),
        "val-latest",
        "dacl evaluate runs/one --split val --checkpoint latest",
    ),
    (
        Place(post="largest-component", convention="mcnet"),
        "test-best-largest-component-mcnet",
        "dacl evaluate runs/one --post largest-component --convention mcnet",
    ),
]


@pytest.mark.parametrize(("place", "folder", "command"), PLACES)
def test_folder_and_command_name_what_is_not_the_default(place, folder, command):
    assert place.folder_name == folder
    assert place.command(Path("runs/one")) == command


def test_a_path_with_a_space_is_quoted():
    assert Place().command(Path("my runs/one")) == "dacl evaluate 'my runs/one'"


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


def test_a_run_and_its_evaluation_mean_the_same_folder(tmp_path):
    run = tmp_path / "one"
    touch(run / "run.json")
    evaluation = touch(run / "evaluation" / "test-best" / "summary.json").parent
    assert find_evaluation(run, Place()) == evaluation
    # an evaluation is its own answer, whatever place is asked for
    assert find_evaluation(evaluation, Place(split="val")) == evaluation
    assert run_of(evaluation) == run


def test_an_evaluation_apart_from_its_run_has_none(tmp_path):
    assert run_of(touch(tmp_path / "results" / "one" / "summary.json").parent) is None
    assert run_of(touch(tmp_path / "run" / "evaluation" / "x" / "summary.json").parent) is None


def test_all_missing_evaluations_are_told_at_once(tmp_path):
    for name in ("one", "two", "three"):
        touch(tmp_path / name / "best.pt")
    touch(tmp_path / "two" / "evaluation" / "test-best" / "summary.json")
    with pytest.raises(DaclError) as error:
        find_evaluations([tmp_path / name for name in ("one", "two", "three")], Place())
    assert (
        error.value.hint
        == f"dacl evaluate {tmp_path / 'one'} && dacl evaluate {tmp_path / 'three'}"
    )
    assert "two" not in error.value.message


@pytest.mark.parametrize(
    ("made", "given", "said"),
    [
        ("one/notes.txt", "one", "neither a run nor an evaluation"),
        ("one/best.pt", "one/best.pt", "is a checkpoint"),
        ("one/cases.csv", "one", "unfinished evaluation"),
        ("one/x", "two", "no such folder"),
    ],
)
def test_what_is_neither_is_refused(tmp_path, made, given, said):
    touch(tmp_path / made)
    with pytest.raises(DaclError, match=said):
        find_evaluation(tmp_path / given, Place())
