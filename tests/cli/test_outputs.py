"""A place that cannot be written to is refused before any work."""

import os
from pathlib import Path

import pytest

from dacl.errors import DaclError
from dacl_cli.outputs import writable


def test_a_place_is_looked_at_and_not_made(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    assert writable(target) == target
    assert not (tmp_path / "new").exists()
    (tmp_path / "old.html").write_text("")
    assert writable(tmp_path / "old.html").name == "old.html"


def test_a_file_on_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DaclError, match="file is a file") as error:
        writable(tmp_path / "file" / "below" / "it")
    assert "--out" in error.value.hint


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DaclError, match="file is a file"):
        writable(tmp_path / "file", folder=True)
    assert writable(tmp_path, folder=True) == tmp_path
    assert writable(tmp_path / "new", folder=True).name == "new"


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "run", "scan.nii.gz"],
        ["analyze", "density", "run"],
        ["analyze", "clusters", "run"],
    ],
)
def test_commands_that_fill_a_folder_refuse_a_file(
    run_dacl, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    outcome = run_dacl(*command, "--out", tmp_path / "file")
    assert (outcome.code, outcome.out) == (1, "")
    assert "file is a file" in outcome.err


def test_a_folder_without_permission_is_named(tmp_path: Path, monkeypatch) -> None:
    # Root may write everywhere, so the answer of the system is replaced.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(DaclError, match="no permission"):
        writable(tmp_path / "new")


@pytest.mark.parametrize("command", [["analyze", "density"], ["analyze", "clusters"], ["report"]])
def test_commands_refuse_before_they_work(run_dacl, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("")
    outcome = run_dacl(*command, tmp_path / "no-such-run", "--out", tmp_path / "file" / "below")
    assert outcome.code == 1
    assert (
        "file is a file" in outcome.err
    )  # and not that the run is missing, which would be met later
    assert outcome.out == ""
