"""What the names of files in a folder mean: channels, cases and patients."""

import os
import sys

import numpy as np
import pytest
from made_folders import LPS, discover, image, mask, problems, run, save, write

from dacl.data.prepared import PreparedDataset
from dacl.data.readers.folder import Folder
from dacl.errors import DaclError


def test_channels_by_suffix(tmp_path):
    raw = write(tmp_path / "raw", suffix="_0000")
    for i in range(1, 6):
        save(raw / f"images/c{i}_0001.nii.gz", image(100 + i))
    report = run(raw, tmp_path / "out", channels=("T1", "T2"))
    assert report.channels == ("T1", "T2")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.channels == ("T1", "T2")
    image_CZHW = dataset.read_image("c3")
    assert image_CZHW.shape == (2, 4, 8, 10)
    for channel, seed in zip(image_CZHW, (3, 103), strict=True):
        low, high = np.percentile(image(seed), (0.5, 99.5))
        np.testing.assert_allclose(
            channel.T, (np.clip(image(seed), low, high) - low) / (high - low), atol=1e-6
        )
    assert discover(raw).channels == ("channel0", "channel1")
    assert "name them with --channels" in discover(raw).notes[0]


def test_channels_of_unlike_types_become_float(tmp_path):
    raw = write(tmp_path / "raw", suffix="_0000")
    for i in range(1, 6):
        save(raw / f"images/c{i}_0001.nii.gz", image(100 + i).astype(np.float32) / 7)
    run(raw, tmp_path / "out", channels=("T1", "T2"))
    import h5py

    with h5py.File(tmp_path / "out/cases/c1.h5") as file:
        assert file["image"].dtype == np.float32
        np.testing.assert_array_equal(file["image"][0].T, image(1))


def test_missing_and_unnamed_channels(tmp_path):
    raw = write(tmp_path / "raw", suffix="_0000")
    save(raw / "images/c1_0001.nii.gz", image(9))
    found = {f.case: f for f in problems(raw, channels=("T1", "T2"))}
    assert sorted(found) == ["c2", "c3", "c4", "c5"]
    assert found["c2"].problem == "channel 0001 (T2) is missing"
    assert found["c2"].fix == "add c2_0001.nii.gz"
    (finding,) = problems(raw, channels=("T1",))
    assert (finding.case, finding.problem) == (
        "c1",
        "channel 0001 has no name: there are 1 channels",
    )


def test_a_channel_of_another_grid(tmp_path):
    raw = write(tmp_path / "raw", suffix="_0000")
    for i in range(1, 6):
        affine = LPS if i != 2 else np.diag([-2, -2, 3.0, 1])
        save(raw / f"images/c{i}_0001.nii.gz", image(i + 50), affine)
    (finding,) = problems(raw, channels=("T1", "T2"))
    assert finding.file == "images/c2_0001.nii.gz"
    assert "channel of another grid" in finding.problem


def test_numbers_of_cases_are_no_channels(tmp_path):
    for number in range(4):
        save(tmp_path / f"images/amos_{number:04d}.nii.gz", image(number))
        if number:
            save(tmp_path / f"labels/amos_{number:04d}.nii.gz", mask(1))
    found = discover(tmp_path)
    assert [source.id for source in found.sources] == [f"amos_{n:04d}" for n in range(4)]
    assert found.channels == ()


def test_names_that_differ_are_matched_by_a_pattern(tmp_path):
    for number in range(4):
        save(tmp_path / f"images/volume-{number}.nii", image(number))
        save(tmp_path / f"labels/segmentation-{number}.nii.gz", mask(1))
    with pytest.raises(DaclError, match="no mask belongs to an image") as caught:
        discover(tmp_path)
    assert r"--case-pattern '(\d+)'" in caught.value.hint
    found = discover(tmp_path, case_pattern=r"(\d+)")
    assert [(s.id, s.labels[0].name) for s in found.sources] == [
        (str(n), f"segmentation-{n}.nii.gz") for n in range(4)
    ]
    save(tmp_path / "images/volume-b3.nii", image(9))
    save(tmp_path / "images/none.nii", image(8))
    found = {f.file: f.problem for f in discover(tmp_path, case_pattern=r"(\d+)").findings}
    assert found == {
        "images/volume-b3.nii": "case '3' a second time, beside volume-3.nii",
        "images/none.nii": r"--case-pattern '(\\d+)' finds no case in 'none'",
    }


def test_numbers_from_0000_that_a_pattern_takes_for_cases_are_no_channels(tmp_path):
    for number in range(4):
        save(tmp_path / f"images/volume_{number:04d}.nii.gz", image(number))
        save(tmp_path / f"labels/seg_{number:04d}.nii.gz", mask(1))
    found = discover(tmp_path, case_pattern=r"(\d+)")
    assert [(s.id, s.images[0].name, s.labels[0].name) for s in found.sources] == [
        (f"{n:04d}", f"volume_{n:04d}.nii.gz", f"seg_{n:04d}.nii.gz") for n in range(4)
    ]
    assert (found.channels, found.findings) == ((), ())


@pytest.mark.parametrize("pattern", [r"(\d+)", r"(\d+)$", r"^[a-z]+_\d+"])
def test_channels_of_numbered_cases_stay_channels_under_a_pattern(tmp_path, pattern):
    for number in range(3):
        for channel in range(2):
            save(tmp_path / f"images/amos_{number:04d}_{channel:04d}.nii.gz", image(number))
        save(tmp_path / f"labels/amos_{number:04d}.nii.gz", mask(1))
    found = discover(tmp_path, case_pattern=pattern)
    assert ([len(s.images) for s in found.sources], found.findings) == ([2, 2, 2], ())


def test_endings_may_be_in_capitals(tmp_path):
    raw = write(tmp_path / "raw")
    run(raw, tmp_path / "small")
    for kind in ("images", "labels"):
        (raw / kind / "c1.nii.gz").rename(raw / kind / "c1.NII.GZ")
    run(raw, tmp_path / "out")
    small, capital = (PreparedDataset.open(tmp_path / name) for name in ("small", "out"))
    assert list(capital.infos) == list(small.infos)
    np.testing.assert_array_equal(capital.read_image("c1"), small.read_image("c1"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_utf8_are_refused(tmp_path):
    raw = write(tmp_path / "raw")
    for kind in ("images", "labels"):
        (raw / kind / "c2.nii.gz").rename(raw / kind / os.fsdecode(b"c\xe9.nii.gz"))
    with pytest.raises(
        DaclError, match=r"1 file names are not in UTF-8, such as c\\udce9"
    ) as caught:
        discover(raw)
    assert "rename" in caught.value.hint


def test_time_points_of_a_patient_stay_together(tmp_path):
    for patient in "abcdef":
        for time in (1, 2):
            save(tmp_path / f"images/{patient}_t{time}.nii.gz", image(ord(patient) * 2 + time))
            save(tmp_path / f"labels/{patient}_t{time}.nii.gz", mask(1))
    for pattern in (r"^(.)_", r"(?P<time>t?)(?P<patient>[a-f])_", "^[a-f]"):
        report = run(tmp_path, tmp_path / "out", patient_pattern=pattern)
        assert {part.volumes / part.patients for part in report.parts.values()} == {2}
    dataset = PreparedDataset.open(tmp_path / "out")
    assert sorted(dataset.split.patients) == list("abcdef")
    save(tmp_path / "images/other.nii.gz", image(1))
    (finding,) = problems(tmp_path, patient_pattern=r"^(.)_")
    assert finding.case == "other"
    assert "finds no patient in 'other'" in finding.problem


@pytest.mark.parametrize("option", ["case_pattern", "patient_pattern"])
def test_a_pattern_that_is_none(tmp_path, option):
    with pytest.raises(DaclError, match="is no regular expression"):
        Folder(tmp_path, **{option: "("})
