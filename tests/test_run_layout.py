"""Where things lie in the folder of a run."""

from pathlib import Path

import pytest

from dacl.run_layout import RUN_FILES, evaluation_folder, is_run


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ((), "val-latest"),
        (("largest-component",), "val-latest-largest-component"),
        (("none", "mcnet"), "val-latest-mcnet"),
    ],
)
def test_the_folder_of_an_evaluation_names_what_is_not_the_default(how, name):
    assert evaluation_folder(Path("run"), "val", "latest", *how) == Path("run/evaluation") / name


@pytest.mark.parametrize("name", RUN_FILES)
def test_each_file_of_a_run_makes_its_folder_one(tmp_path, name):
    assert not is_run(tmp_path)
    (tmp_path / name).touch()
    assert is_run(tmp_path)
