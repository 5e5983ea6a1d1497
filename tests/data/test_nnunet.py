import json

import numpy as np
import pytest
from made_folders import image, mask, save

from dacl.data.prepare import BadCases, prepare
from dacl.data.prepared import PreparedDataset
from dacl.data.readers.nnunet import Nnunet
from dacl.errors import DaclError

V2 = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "liver": 1, "tumour": 2},
    "numTraining": 4,
    "file_ending": ".nii.gz",
}
V1 = {
    "name": "Livers",
    "modality": {"0": "MRI"},
    "labels": {"0": "background", "1": "liver", "2": "tumour"},
    "training": [
        {"image": f"./imagesTr/c{i}.nii.gz", "label": f"./labelsTr/c{i}.nii.gz"}
        for i in range(1, 5)
    ],
}


def write(raw, content=V2, *, suffix="_0000", n=5, values=(1, 2)):
    for i in range(1, n + 1):
        save(raw / f"imagesTr/c{i}{suffix}.nii.gz", image(i))
        if i < n:
            save(raw / f"labelsTr/c{i}.nii.gz", mask(*values))
    (raw / "dataset.json").write_text(json.dumps(content))
    return raw


@pytest.fixture
def raw(tmp_path):
    return write(tmp_path / "Dataset007_Liver")


def run(raw, out, split=None, **options):
    return prepare(Nnunet(**options), raw, out, split=split)


def changed(raw, **changes):
    content = {k: v for k, v in {**V2, **changes}.items() if v is not None}
    (raw / "dataset.json").write_text(json.dumps(content))
    return Nnunet().discover(raw)


def test_version_2(raw, tmp_path):
    report = run(raw, tmp_path / "out")
    assert (report.name, report.intensity) == ("Liver", "hu:-160:240")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.class_names == ("background", "liver", "tumour")
    assert (dataset.modality, dataset.channels) == ("CT", ("CT",))
    assert [i.id for i in dataset.infos.values() if not i.has_label] == ["c5"]
    np.testing.assert_array_equal(dataset.read_label("c1").T, mask(1, 2))
    assert "--classes" not in dataset.prepare_command


@pytest.mark.parametrize("suffix", ["", "_0000"])
def test_version_1_and_the_decathlon(tmp_path, suffix):
    found = Nnunet().discover(write(tmp_path / "Task03_Liver", V1, suffix=suffix))
    assert (found.name, found.modality, found.default_intensity) == ("Livers", "MR", "percentile")
    assert found.class_names == ("background", "liver", "tumour")
    assert [(s.id, len(s.labels)) for s in found.sources] == [
        *((f"c{i}", 1) for i in range(1, 5)),
        ("c5", 0),
    ]
    assert found.findings == ()


def test_what_the_training_list_names_must_be_there(tmp_path):
    more = [
        {"image": "./imagesTr/c9.nii.gz", "label": "./labelsTr/c9.nii.gz"},
        {"image": "./imagesTr/c5.nii.gz", "label": "./labelsTr/c5.nii.gz"},
    ]
    raw = write(tmp_path / "raw", V1 | {"training": V1["training"] + more})
    found = Nnunet().discover(raw).findings
    assert [(f.case, f.problem.split(" names ")[1].split(",")[0]) for f in found] == [
        ("c9", "./imagesTr/c9.nii.gz as image"),
        ("c9", "./labelsTr/c9.nii.gz as label"),
        ("c5", "./labelsTr/c5.nii.gz as label"),
    ]


@pytest.mark.parametrize(
    ("names", "modality", "channels"),
    [
        ({"0": "CT"}, "CT", ("CT",)),
        ({"0": "T1w", "1": "FLAIR"}, "MR", ("T1w", "FLAIR")),
        ({"0": "CT", "1": "PET"}, "other", ("CT", "PET")),
        ({"0": "CT", "1": "CT"}, "CT", ("CT_0000", "CT_0001")),
    ],
)
def test_channels_and_modality(raw, names, modality, channels):
    for i in range(1, 6):
        save(raw / f"imagesTr/c{i}_0001.nii.gz", image(50 + i))
    found = changed(raw, channel_names=names)
    assert (found.modality, found.channels) == (modality, channels)
    assert len(found.findings) == (0 if len(names) == 2 else 5)


def test_a_missing_channel(raw):
    save(raw / "imagesTr/c1_0001.nii.gz", image(50))
    found = changed(raw, channel_names={"0": "T1", "1": "T2"}).findings
    assert {f.case: f.problem for f in found} == {
        f"c{i}": "channel 0001 (T2) is missing" for i in range(2, 6)
    }


def test_several_channels_in_one_4d_file_are_named(tmp_path):
    raw = write(tmp_path / "raw", V1 | {"modality": {"0": "FLAIR", "1": "T1w"}}, suffix="")
    with pytest.raises(DaclError, match="2 channels are named, and no image is called CASE_0000"):
        Nnunet().discover(raw)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("tumour", mask(0, 1)),
        ("tumour,liver", mask(2, 1)),
        ("lesion=liver+tumour", mask(1, 1)),
        ("lesion=2,background=1", mask(0, 1)),
    ],
)
def test_classes_are_chosen_and_merged(raw, tmp_path, classes, expected):
    run(raw, tmp_path / "out", classes=classes)
    dataset = PreparedDataset.open(tmp_path / "out")
    np.testing.assert_array_equal(dataset.read_label("c1").T, expected)
    assert classes in dataset.prepare_command


def test_a_renamed_value_is_what_dataset_json_says(tmp_path):
    content = V2 | {"labels": {"background": 0, "liver": 1, "tumour": 7}}
    raw = write(tmp_path / "raw", content, values=(1, 7))
    run(raw, tmp_path / "out")
    label_ZHW = PreparedDataset.open(tmp_path / "out").read_label("c1")
    np.testing.assert_array_equal(label_ZHW.T, mask(1, 2))


def test_a_value_that_dataset_json_does_not_have(raw, tmp_path):
    save(raw / "labelsTr/c2.nii.gz", mask(1, 2, 3))
    with pytest.raises(BadCases) as caught:
        run(raw, tmp_path / "out")
    (finding,) = caught.value.findings
    assert finding.problem == "label values [3] that no class has"
    assert "--classes liver=1,tumour=2,background=3" in finding.fix
    run(raw, tmp_path / "out", classes=finding.fix.split("--classes ")[-1])


def test_regions_are_refused_and_their_values_can_be_named(raw, tmp_path):
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    with pytest.raises(DaclError, match="regions that overlap: whole, core") as caught:
        changed(raw, labels=labels, regions_class_order=[1, 2])
    assert "--classes" in caught.value.hint
    run(raw, tmp_path / "out", classes="edema=1,core=2")
    np.testing.assert_array_equal(
        PreparedDataset.open(tmp_path / "out").read_label("c1").T, mask(1, 2)
    )


def test_ignore_is_refused_unless_it_is_background(raw, tmp_path):
    labels = {"background": 0, "liver": 1, "ignore": 2}
    with pytest.raises(DaclError, match=r"label ignore \(2\)") as caught:
        changed(raw, labels=labels)
    with pytest.raises(DaclError, match="label ignore"):
        run(raw, tmp_path / "out", classes="liver")
    option = caught.value.hint.split("--classes ")[1].split(";")[0]
    run(raw, tmp_path / "out", classes=option)
    np.testing.assert_array_equal(
        PreparedDataset.open(tmp_path / "out").read_label("c1").T, mask(1, 0)
    )


def test_test_images_are_unlabeled_cases_where_asked(raw, tmp_path):
    save(raw / "imagesTs/t1_0000.nii.gz", image(77))
    save(raw / "imagesTs/c1_0000.nii.gz", image(78))
    assert len(Nnunet().discover(raw).sources) == 5
    found = Nnunet(test_images=True).discover(raw)
    assert [s.id for s in found.sources if not s.labels] == ["c5", "t1"]
    assert [(f.case, f.problem) for f in found.findings] == [("c1", "a case of imagesTr too")]
    (raw / "imagesTs/c1_0000.nii.gz").unlink()
    run(raw, tmp_path / "out", test_images=True)
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.split.train[-2:] == ("c5", "t1")
    assert "--with-test-images" in dataset.prepare_command


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": None}, "has no labels"),
        ({"labels": {"background": 0, "liver": "one"}}, "are not integers"),
        ({"channel_names": None}, "does not name its channels"),
        ({"channel_names": {"1": "CT"}}, "does not name its channels from 0"),
        ({"file_ending": ".nrrd"}, "the files end in .nrrd"),
        ({"dataset": {}}, "lists its files itself"),
    ],
)
def test_a_dataset_json_that_cannot_be(raw, changes, said):
    with pytest.raises(DaclError, match=said) as caught:
        changed(raw, **changes)
    assert caught.value.hint


def test_other_folders_are_refused_with_the_way_out(raw, tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DaclError) as caught:
            Nnunet().discover(folder)
        assert "dacl preprocess folder IMAGES LABELS OUT" in caught.value.hint
    (raw / "dataset.json").write_text("{")
    with pytest.raises(DaclError, match="cannot be read"):
        Nnunet().discover(raw)


def test_plain_nifti_as_file_ending(tmp_path):
    raw = write(tmp_path / "raw", V2 | {"file_ending": ".nii"})
    save(raw / "imagesTr/c8_0000.nii", image(8))
    assert "c8" in {s.id for s in Nnunet().discover(raw).sources}


def test_endings_may_be_in_capitals(tmp_path):
    training = [{"image": f"imagesTr/c{i}.NII.GZ"} for i in range(1, 6)]
    raw = write(tmp_path / "raw", {**V2, "file_ending": ".NII.GZ", "training": training})
    for file in [*raw.glob("*/*.nii.gz")]:
        file.rename(file.with_name(file.name.replace(".nii.gz", ".NII.GZ")))
    found = Nnunet().discover(raw)
    assert ([s.id for s in found.sources], found.findings) == ([f"c{i}" for i in range(1, 6)], ())
