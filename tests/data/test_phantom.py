"""The phantom: ACDC's layout and headers, hearts that beat, patients that differ and stay the same."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from dacl.data.readers import phantom, phantom_anatomy
from dacl.errors import DaclError


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom")
    phantom.write_raw(out, n_train=2, n_val=1, n_test=1, seed=3)
    return out


@pytest.fixture(scope="module")
def patients() -> list[phantom.Patient]:
    return [phantom.simulate(index) for index in range(1, 11)]


def info(folder: Path) -> dict[str, str]:
    return dict(line.split(": ") for line in (folder / "Info.cfg").read_text().splitlines())


def volume_ml(patient: phantom.Patient, frame: phantom.Frame, label: int) -> float:
    return (frame.label_ZHW == label).sum() * np.prod(patient.spacing_mm) / 1000


def test_layout_is_acdcs(raw: Path) -> None:
    folders = sorted((raw / "training").iterdir())
    assert [folder.name for folder in folders] == [f"phantom{n:03d}" for n in range(1, 5)]
    for folder in folders:
        facts = info(folder)
        assert list(facts) == ["ED", "ES", "Group", "Height", "NbFrame", "Weight"]
        assert 1 == int(facts["ED"]) < int(facts["ES"]) <= int(facts["NbFrame"])
        assert facts["Group"] in phantom_anatomy.GROUPS
        frames = [f"{folder.name}_frame{int(facts[phase]):02d}" for phase in ("ED", "ES")]
        expected = {f"{frame}{end}.nii.gz" for frame in frames for end in ("", "_gt")} | {
            "Info.cfg"
        }
        assert {path.name for path in folder.iterdir()} == expected


def test_marker_says_what_it_is_and_how_it_is_split(raw: Path) -> None:
    marker = json.loads((raw / phantom.MARKER).read_text())
    assert marker["synthetic"] is True
    assert (marker["name"], marker["seed"]) == ("phantom", 3)
    assert marker["generator_version"] == phantom.GENERATOR_VERSION
    assert marker["split"] == {
        "train": ["phantom001", "phantom002"],
        "val": ["phantom003"],
        "test": ["phantom004"],
    }


def test_headers_have_acdcs_peculiarities(raw: Path) -> None:
    """Unit-scale sform, no qform, true spacing in pixdim alone, the same for image and labels."""
    for path in (raw / "training").glob("*/*.nii.gz"):
        image = nib.load(path)
        header = image.header
        np.testing.assert_array_equal(header.get_sform(), np.diag([-1, -1, 1, 1]))
        assert (int(header["sform_code"]), int(header["qform_code"])) == (2, 0)
        x, y, z = (float(size) for size in header.get_zooms())
        assert x == y
        assert 1.2 <= x <= 1.9
        assert 5 <= z <= 10
        assert 6 <= image.shape[2] <= 11
        if path.name.endswith("_gt.nii.gz"):
            assert header.get_data_dtype() == np.uint8
            assert set(np.unique(image.dataobj)) == {0, 1, 2, 3}
            pair = nib.load(path.with_name(path.name.replace("_gt", ""))).header
            assert pair.get_zooms() == header.get_zooms()
            assert pair.get_data_shape() == header.get_data_shape()


def test_writing_again_gives_the_same_bytes_whatever_the_count(raw: Path, tmp_path: Path) -> None:
    phantom.write_raw(tmp_path, n_train=1, n_val=0, n_test=0, seed=3)
    files = sorted((raw / "training" / "phantom001").iterdir())
    assert len(files) == 5
    for file in files:
        assert (tmp_path / "training" / "phantom001" / file.name).read_bytes() == file.read_bytes()


def test_another_seed_is_another_patient() -> None:
    one, other = phantom.simulate(1, seed=0), phantom.simulate(1, seed=1)
    assert one.spacing_mm != other.spacing_mm


def test_an_earlier_phantom_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    phantom.write_raw(tmp_path, n_train=2, n_val=0, n_test=0)
    seen: list[tuple[int, int]] = []
    phantom.write_raw(
        tmp_path, n_train=1, n_val=0, n_test=0, progress=lambda *done: seen.append(done)
    )
    assert seen == [(1, 1)]
    assert [path.name for path in (tmp_path / "training").iterdir()] == ["phantom001"]
    precious = tmp_path / "training" / "patient001"
    precious.mkdir()
    with pytest.raises(DaclError, match="patient001"):
        phantom.write_raw(tmp_path, n_train=1, n_val=0, n_test=0)
    assert precious.exists()
    assert (tmp_path / phantom.MARKER).exists()


@pytest.mark.parametrize("counts", [(0, 1, 1), (1, -1, 0), (900, 100, 0)])
def test_impossible_counts_are_refused(tmp_path: Path, counts: tuple[int, int, int]) -> None:
    n_train, n_val, n_test = counts
    with pytest.raises(DaclError, match=f"{n_train} training"):
        phantom.write_raw(tmp_path, n_train=n_train, n_val=n_val, n_test=n_test)
    assert not list(tmp_path.iterdir())


def test_the_wall_encloses_the_cavity(patients: list[phantom.Patient]) -> None:
    """The left ventricle never touches background or the right ventricle, corners included."""
    around = np.ones((1, 3, 3), bool)
    for patient in patients:
        for frame in (patient.end_diastole, patient.end_systole):
            cavity = frame.label_ZHW == 3
            rim = binary_dilation(cavity, around) & ~cavity
            assert cavity.any()
            assert set(np.unique(frame.label_ZHW[rim])) == {2}


def test_the_right_ventricle_lies_against_the_septum(patients: list[phantom.Patient]) -> None:
    around = np.ones((1, 3, 3), bool)
    for patient in patients:
        label = patient.end_diastole.label_ZHW
        middle = label[len(label) // 2 : len(label) // 2 + 1]
        assert (binary_dilation(middle == 1, around) & (middle == 2)).any()


def test_the_heart_beats(patients: list[phantom.Patient]) -> None:
    for patient in patients:
        full, empty = patient.end_diastole, patient.end_systole
        assert volume_ml(patient, empty, 3) < 0.95 * volume_ml(patient, full, 3)
        assert volume_ml(patient, empty, 1) < 0.95 * volume_ml(patient, full, 1)
        muscle = volume_ml(patient, empty, 2) / volume_ml(patient, full, 2)
        assert 0.75 < muscle < 1.3


def test_muscle_keeps_its_volume_from_diastole_to_systole() -> None:
    heart = phantom_anatomy.draw_heart(np.random.default_rng(0), "NOR", 0.0)
    volumes = []
    for phase in (phantom_anatomy.end_diastole(heart), phantom_anatomy.end_systole(heart)):
        outer = (phase.radius_mm + phase.wall_mm) ** 2 * (phase.length_mm + phase.wall_mm)
        volumes.append((outer, phase.radius_mm**2 * phase.length_mm))
    (full_outer, full), (empty_outer, empty) = volumes
    assert empty_outer - empty == pytest.approx(full_outer - full)
    assert 1 - empty / full == pytest.approx(heart.ejection)


def test_groups_drive_the_anatomy_and_each_comes_once_in_five(
    patients: list[phantom.Patient],
) -> None:
    for block in (patients[:5], patients[5:]):
        by_group = {patient.group: patient for patient in block}
        assert set(by_group) == set(phantom_anatomy.GROUPS)
        lv = {group: volume_ml(p, p.end_diastole, 3) for group, p in by_group.items()}
        assert lv["DCM"] == max(lv.values())


def test_patients_differ_in_picture_and_shape(patients: list[phantom.Patient]) -> None:
    assert len({patient.end_diastole.image_ZHW.shape for patient in patients}) > 5
    assert len({patient.spacing_mm for patient in patients}) == len(patients)
    assert len({patient.dtype for patient in patients}) > 1
    contrast, brightness = [], []
    for patient in patients:
        image, label = patient.end_diastole.image_ZHW, patient.end_diastole.label_ZHW
        assert image.min() < 0.05 * image.max()
        contrast.append(np.median(image[label == 3]) / np.median(image[label == 2]))
        brightness.append(np.median(image[label == 3]) / image.max())
    assert min(contrast) > 1.15
    assert max(contrast) > 1.6 * min(contrast)
    assert max(brightness) > 2 * min(brightness)
