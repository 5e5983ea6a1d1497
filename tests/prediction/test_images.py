"""Files and folders become scans."""

from pathlib import Path

import pytest

from dacl.data.nifti_names import stem_of
from dacl.errors import DaclError
from dacl.prediction.images import Scan, find_scans


def touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def test_a_folder_is_what_lies_directly_in_it(tmp_path: Path) -> None:
    b, a, *_ = touch(tmp_path, "b.nii", "a.nii.gz", "notes.txt", "._a.nii.gz")
    touch(tmp_path / "deeper", "c.nii.gz")
    assert find_scans([tmp_path]) == [Scan("a", (a,)), Scan("b", (b,))]
    # a file that is given twice is one scan
    assert find_scans([b, tmp_path, b]) == [Scan("b", (b,)), Scan("a", (a,))]


def test_numbers_from_0000_on_are_channels_and_others_are_names(tmp_path: Path) -> None:
    x1, x0, year, y0 = touch(
        tmp_path, "x_0001.nii.gz", "x_0000.nii.gz", "scan_2021.nii.gz", "y_0000.nii"
    )
    assert find_scans([tmp_path]) == [
        Scan("scan_2021", (year,)), Scan("x", (x0, x1)), Scan("y", (y0,)),
    ]  # fmt: skip
    # alone it is a scan of its own name
    assert find_scans([x1]) == [Scan("x_0001", (x1,))]


def test_numbers_of_several_files_are_names_where_scans_have_one_channel(tmp_path: Path) -> None:
    x0, x1, x3, y0 = touch(
        tmp_path, "x_0000.nii.gz", "x_0001.nii.gz", "x_0003.nii.gz", "y_0000.nii.gz"
    )
    assert find_scans([tmp_path], 1) == [
        Scan("x_0000", (x0,)), Scan("x_0001", (x1,)), Scan("x_0003", (x3,)), Scan("y", (y0,)),
    ]  # fmt: skip
    assert find_scans([x0, x1], 2) == [Scan("x", (x0, x1))]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["x_0000.nii", "x_0000.nii.gz"], "two scans are called x"),
        (["x_0000.nii.gz", "x_0000.NII.GZ"], "two scans are called x_0000"),
        (["x_0000.nii.gz", "x_0002.nii.gz"], "_0001 is missing"),
        (["x_0000.nii.gz", "x.nii.gz"], "two scans are called x"),
        (["x.nii", "x.nii.gz"], "two scans are called x"),
        (["x.mha"], "no NIfTI file directly in"),
    ],
)
def test_what_is_no_set_of_scans_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DaclError, match=said):
        find_scans([tmp_path])


def test_files_that_are_not_there_or_not_nifti_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DaclError, match="no file"):
        find_scans([tmp_path / "absent.nii.gz"])
    (dicom,) = touch(tmp_path, "slice.dcm")
    with pytest.raises(DaclError, match="no NIfTI file") as caught:
        find_scans([dicom])
    assert "dcm2niix" in caught.value.hint


def test_two_folders_may_not_hold_scans_of_one_name(tmp_path: Path) -> None:
    one, two = touch(tmp_path / "1", "x.nii.gz") + touch(tmp_path / "2", "x.nii.gz")
    with pytest.raises(DaclError, match="two scans are called x") as caught:
        find_scans([one, two])
    assert str(one) in caught.value.message
    assert str(two) in caught.value.message


def test_dots_in_names_stay() -> None:
    assert stem_of(Path("a.b.nii.gz")) == "a.b"
    assert stem_of(Path("a.b.nii")) == "a.b"


def test_endings_may_be_in_capitals(tmp_path: Path) -> None:
    a, x0, x1 = touch(tmp_path, "A.NII", "x_0000.nii.gz", "x_0001.NII.GZ")
    assert find_scans([tmp_path]) == [Scan("A", (a,)), Scan("x", (x0, x1))]
    assert find_scans([a]) == [Scan("A", (a,))]


def test_channels_belong_together_however_an_accent_is_written(tmp_path):
    """As macOS writes it, in two characters."""
    files = [tmp_path / f"fa\u0308ll_000{channel}.nii.gz" for channel in (0, 1)]
    for file in files:
        file.touch()
    assert find_scans([tmp_path], 2) == [Scan("f\u00e4ll", tuple(files))]
