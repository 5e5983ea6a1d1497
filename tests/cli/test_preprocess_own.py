import json

import numpy as np
import pytest
from made_folders import image, mask, save, write

from dacl.data.prepared import PreparedDataset


@pytest.fixture
def raw(tmp_path):
    return write(tmp_path / "raw", n=8)


@pytest.fixture
def folder(run_dacl, raw, tmp_path):
    def call(*options):
        arguments = (raw / "images", raw / "labels", tmp_path / "mine")
        return run_dacl("preprocess", "folder", *arguments, "--workers", 1, *options)

    return call


def test_a_folder_in_one_command(folder, raw, tmp_path):
    affine = np.diag([-2, -2, 5.0, 1])
    for kind, array in (("images", image(1)), ("labels", mask(1, 2))):
        save(raw / f"{kind}/c1.nii.gz", array, affine)
    done = folder("--classes", "liver,kidney", "--modality", "CT")
    assert done.code == 0, done.err
    assert "mine (intensity hu:-160:240), split random:0" in done.out
    assert (
        "Spacing in mm: z 3 to 5, y 1.25 to 2, x 1.5 to 2. They are kept; to train on" in done.out
    )
    assert "--set image.spacing_mm=1.38, in 3D also --set image.slice_spacing_mm=3" in done.out
    assert "Labeled patients -> slices: 1 -> 4, 3 -> 12, 5 -> 20\n" in done.out
    assert "1 volumes have no mask and are unlabeled: c8" in done.out
    assert f"Next: dacl train --data {tmp_path / 'mine'} --labeled 3" in done.out


def test_names_and_channels(run_dacl, tmp_path):
    raw = write(tmp_path / "raw", suffix="_0000")
    for i in range(1, 6):
        save(raw / f"images/c{i}_0001.nii.gz", image(100 + i))
    arguments = (raw / "images", raw / "labels", tmp_path / "out", "--workers", 1)
    done = run_dacl("preprocess", "folder", *arguments, "--channels", "T1, T2", "--name", "brains")
    assert done.code == 0, done.err
    assert "brains (intensity percentile)" in done.out
    assert "Channels: T1, T2" in done.out


def test_sparse_values_end_with_the_option_to_type(run_dacl, tmp_path):
    raw = write(tmp_path / "raw", values=(50, 70))
    call = ("preprocess", "folder", raw / "images", raw / "labels", tmp_path / "o", "--workers", 1)
    done = run_dacl(*call)
    assert done.code == 1
    assert "the masks hold the values 50, 70, not 1 to 2" in done.err
    assert "--classes class1=50,class2=70" in done.err
    assert run_dacl(*call, "--classes", "class1=50,class2=70").code == 0


def test_folds_and_their_patients(folder, tmp_path):
    assert folder("--k-fold", 3, "--fold", 2).code == 0
    split = PreparedDataset.open(tmp_path / "mine").split
    assert split.name == "kfold:3:2"
    assert folder("--k-fold", 3, "--fold", 0).code == 0
    first = PreparedDataset.open(tmp_path / "mine").split
    assert first.val == split.test


def test_a_split_from_a_file(folder, tmp_path):
    path = tmp_path / "splits_final.json"
    path.write_text(json.dumps([{"train": ["c1", "c2", "c3"], "val": ["c4"]}]))
    done = folder("--split-file", path, "--fold", 0)
    assert done.code == 0
    assert "The split has no test patients here" in done.out
    assert "Not in the split, 3 patients: c5, c6, c7" in done.out
    dataset = PreparedDataset.open(tmp_path / "mine")
    assert (dataset.split.train, dataset.split.val) == (("c1", "c2", "c3", "c8"), ("c4",))
    assert f"--split-file {path} --fold 0" in dataset.prepare_command


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--split", "random:1", "--k-fold", "5"), "--split and --k-fold are given"),
        (("--fold", "1"), "--k-fold 5 --fold 1"),
        (("--k-fold", "3", "--fold", "3"), "kfold:K:I"),
        (("--k-fold", "9"), "7 labeled patients cannot be cut into 9 folds"),
        (("--patient-pattern", "("), "is no regular expression"),
        (("--classes", "a=1,b"), "some classes have values and others none"),
        (("--channels", "T1,,T2"), "--channels: a name is empty"),
        (("--split", "ssl4mis"), "no split 'ssl4mis' for mine"),
    ],
)
def test_what_cannot_be_is_said(folder, options, said):
    done = folder(*options)
    assert done.code == 1
    assert said in done.err


def test_nnunet_in_one_command(run_dacl, tmp_path):
    raw = tmp_path / "Dataset001_Abdomen"
    for i in range(1, 7):
        save(raw / f"imagesTr/a{i % 3}_t{i}_0000.nii.gz", image(i))
        if i < 6:
            save(raw / f"labelsTr/a{i % 3}_t{i}.nii.gz", mask(1, 2))
    content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2}}
    (raw / "dataset.json").write_text(json.dumps(content))
    call = ("preprocess", "nnunet", raw, tmp_path / "out", "--workers", 1)
    done = run_dacl(*call, "--patient-pattern", r"^(a\d)", "--classes", "spleen", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["name"] == "Abdomen"
    assert {part["volumes"] for part in report["parts"].values()} == {2}
    assert report["class_voxels"].keys() == {"background", "spleen"}
    assert run_dacl("preprocess", "nnunet", tmp_path, tmp_path / "out").code == 1
