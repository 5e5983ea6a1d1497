import json
import sys

import numpy as np
import pytest


def add_patient(raw, number, label_scale=1):
    import nibabel

    patient = f"patient{number:03d}"
    folder = raw / "training" / patient
    folder.mkdir(parents=True)
    (folder / "Info.cfg").write_text("ED: 1\nES: 9\n")
    for frame in (1, 9):
        image = np.random.default_rng(number * 10 + frame).integers(0, 99, (8, 8, 2), np.int16)
        label = (np.arange(128).reshape(8, 8, 2) % 4 * label_scale).astype(np.uint8)
        affine = np.diag([-1.5, -1.5, 10, 1])
        stem = f"{patient}_frame{frame:02d}"
        nibabel.save(nibabel.Nifti1Image(image, affine), folder / f"{stem}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, affine), folder / f"{stem}_gt.nii.gz")


@pytest.fixture
def raw(tmp_path):
    for number in (99, 38, 50, 28):
        add_patient(tmp_path / "raw", number)
    return tmp_path / "raw"


def test_what_is_said_after_preparing(run_dacl, raw, tmp_path):
    done = run_dacl("preprocess", "acdc", raw, tmp_path / "out", "--workers", 1)
    assert done.code == 0
    assert "acdc (intensity minmax), split ssl4mis" in done.out
    assert "Labeled patients -> slices: 1 -> 4, 3 -> 12 (published: 1 -> 32, 3 -> 68)" in done.out
    assert "Spacing in mm: z 10 to 10, y 1.5 to 1.5, x 1.5 to 1.5" in done.out
    assert "Missing, 96 patients of the split: patient100, patient058" in done.out
    assert "The split has no test patients here" in done.out
    assert f"Prepared in {tmp_path / 'out'}" in done.out
    assert "Writing cases: 8/8" in done.err


def test_json_is_all_there_is_on_stdout(run_dacl, raw, tmp_path):
    done = run_dacl("preprocess", "acdc", raw, tmp_path / "out", "--workers", 1, "--json")
    report = json.loads(done.out)
    assert report["labeled_slices"] == {"1": 4, "3": 12}
    assert report["parts"]["val"]["patients"] == 1


def test_findings_stop_it(run_dacl, raw, tmp_path):
    add_patient(raw, 100, label_scale=2)
    done = run_dacl("preprocess", "acdc", raw, tmp_path / "out", "--workers", 1)
    assert done.code == 1
    assert done.out == ""
    assert "training/patient100/patient100_frame09_gt.nii.gz" in done.err
    assert "label values [4, 6] out of range 0..3" in done.err
    assert "Error: 2 findings in 2 cases, nothing was written" in done.err
    assert "--skip-bad" in done.err
    assert not (tmp_path / "out").exists()


def test_findings_as_json(run_dacl, raw, tmp_path):
    add_patient(raw, 100, label_scale=2)
    done = run_dacl("preprocess", "acdc", raw, tmp_path / "out", "--workers", 1, "--json")
    assert done.code == 1
    cases = [finding["case"] for finding in json.loads(done.out)["findings"]]
    assert cases == ["patient100_frame01", "patient100_frame09"]


def test_skip_bad_goes_on_and_says_so(run_dacl, raw, tmp_path):
    add_patient(raw, 100, label_scale=2)
    done = run_dacl("preprocess", "acdc", raw, tmp_path / "out", "--workers", 1, "--skip-bad")
    assert done.code == 0
    assert "2 cases left out: patient100_frame01, patient100_frame09" in done.err
    assert (tmp_path / "out/dataset.json").is_file()


def test_check_writes_nothing(run_dacl, raw, tmp_path):
    done = run_dacl("preprocess", "acdc", raw, tmp_path / "out", "--workers", 1, "--check")
    assert done.code == 0
    assert "nothing was written" in done.out
    assert not (tmp_path / "out").exists()


def test_a_second_time_keeps_what_is_there(run_dacl, raw, tmp_path):
    command = ("preprocess", "acdc", raw, tmp_path / "out", "--workers", 1)
    run_dacl(*command)
    again = run_dacl(*command, "--split", "random:1")
    assert "split random:1" in again.out
    assert "(0 cases written, 8 were there)" in again.out


def test_defaults_and_no_data(run_dacl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_dacl("preprocess", "acdc")
    assert done.code == 1
    assert "no folder data/raw/acdc" in done.err
    assert "https://www.creatis.insa-lyon.fr/Challenge/acdc/" in done.err
    assert "dacl preprocess phantom" in done.err
    assert run_dacl("preprocess", "ssl4mis").code == 1


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [("--split", "official", "ssl4mis-dev"), ("--intensity", "histogram", "percentile")],
)
def test_unknown_names_list_the_known(run_dacl, raw, tmp_path, option, value, expected):
    done = run_dacl("preprocess", "acdc", raw, tmp_path / "out", "--workers", 1, option, value)
    assert done.code == 1
    assert expected in done.err


def test_phantom_in_one_command(run_dacl, tmp_path):
    options = ("--raw", tmp_path / "raw", "--patients", 1, 1, 1, "--workers", 1)
    done = run_dacl("preprocess", "phantom", tmp_path / "out", *options, "--json")
    assert done.code == 0
    report = json.loads(done.out)
    assert (report["name"], report["synthetic"], report["split"]) == ("phantom", True, "phantom")
    assert report["parts"]["test"]["volumes"] == 2


def test_phantom_raw_only(run_dacl, tmp_path):
    options = ("--raw", tmp_path / "raw", "--patients", 1, 0, 0, "--raw-only")
    done = run_dacl("preprocess", "phantom", tmp_path / "out", *options)
    assert done.code == 0
    assert f"1 synthetic patients in {tmp_path / 'raw'}" in done.out
    assert (tmp_path / "raw/phantom.json").is_file()
    assert not (tmp_path / "out").exists()


def test_ssl4mis_in_one_command(run_dacl, tmp_path):
    import h5py

    data = tmp_path / "ACDC/data"
    data.mkdir(parents=True)
    for number in (99, 38, 50):
        image = np.random.default_rng(number).random((2, 8, 8), np.float32)
        with h5py.File(data / f"patient{number:03d}_frame01.h5", "w") as file:
            file["image"] = image
            file["label"] = np.arange(128).reshape(2, 8, 8) % 4
    done = run_dacl("preprocess", "ssl4mis", tmp_path / "ACDC", tmp_path / "out", "--workers", 1)
    assert done.code == 0
    assert "spacing unknown in 3 of 3 volumes" in done.out
    assert "Spacing in mm" not in done.out


def test_heavy_packages_are_imported_only_when_needed():
    import subprocess

    code = (
        "import sys, dacl_cli.preprocess;"
        "print([m for m in ('torch', 'numpy', 'nibabel', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
