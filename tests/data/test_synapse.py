import numpy as np
import pytest
from made_folders import save

from dacl.data import SYNAPSE_PAGE
from dacl.data.prepare import BadCases, prepare
from dacl.data.prepared import PreparedDataset
from dacl.data.readers.synapse import ORGANS, Synapse
from dacl.errors import DaclError

LAS = np.diag([-0.8, 0.8, 3.0, 1.0])
"""As in the official headers: rows of the file run from posterior to anterior."""
SHAPE_XYZ = (16, 10, 4)


def scan(seed):
    return np.random.default_rng(seed).integers(-1000, 1000, SHAPE_XYZ).astype(np.int16)


def organs(values=tuple(range(1, 14))):
    """One column of voxels per organ, along the back of the file's first rows."""
    label_XYZ = np.zeros(SHAPE_XYZ, np.uint8)
    for value in values:
        label_XYZ[value, :3, 1:3] = value
    return label_XYZ


def write(raw, cases, level="Training", values=tuple(range(1, 14)), unlabeled=()):
    for case in cases:
        save(raw / level / f"img/img{case}.nii.gz", scan(int(case)), LAS)
        if case not in unlabeled:
            save(raw / level / f"label/label{case}.nii.gz", organs(values), LAS)
    return raw


FEW = ("0023", "0028", "0002", "0006")


@pytest.fixture
def raw(tmp_path):
    return write(tmp_path / "raw", FEW, unlabeled=("0002",))


@pytest.mark.parametrize("level", ["", "Training", "RawData/Training", "training"])
def test_the_layout_at_every_level(tmp_path, level):
    found = Synapse().discover(write(tmp_path, FEW, level))
    assert [s.id for s in found.sources] == sorted(FEW)
    assert found.findings == ()
    assert (found.modality, found.default_split) == ("CT", "dhc-2023")


def test_endings_may_be_in_capitals(raw):
    for kind in ("img", "label"):
        file = raw / f"Training/{kind}/{kind}0023.nii.gz"
        file.rename(file.with_suffix("").with_suffix(".NII.GZ"))
    found = Synapse().discover(raw)
    assert [s.id for s in found.sources] == sorted(FEW)
    assert found.findings == ()


def test_volumes_are_turned_to_lps(raw, tmp_path):
    assert prepare(Synapse(), raw, tmp_path / "out").intensity == "hu:-75:275"
    dataset = PreparedDataset.open(tmp_path / "out")
    geometry = dataset.read_geometry("0023")
    assert geometry.orientation == "LAS"
    np.testing.assert_allclose(geometry.affine, LAS)
    assert dataset.info("0023").spacing_mm == (3.0, 0.8, 0.8)
    # LAS to LPS is the second axis the other way round.
    np.testing.assert_array_equal(dataset.read_label("0023").T, organs()[:, ::-1])
    expected = (np.clip(scan(23)[:, ::-1], -75, 275) + 75) / 350
    np.testing.assert_allclose(dataset.read_image("0023")[0].T, expected, atol=1e-6)
    assert dataset.class_names == ("background", *ORGANS)
    assert not dataset.info("0002").has_label


def test_the_protocol_decides_organs_window_and_split(raw, tmp_path):
    report = prepare(Synapse("transunet"), raw, tmp_path / "out")
    assert (report.split, report.intensity) == ("transunet", "hu:-125:275")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.class_names == (
        "background", "aorta", "gallbladder", "kidney_L", "kidney_R", "liver", "pancreas", "spleen",
        "stomach",
    )  # fmt: skip
    # Official values: aorta 8, gallbladder 4, left kidney 3, right 2, liver 6, pancreas 11, spleen 1, stomach 7.
    label_ZHW = dataset.read_label("0023")
    by_value = {value: label_ZHW.T[value, -1, 1] for value in range(1, 14)}
    assert by_value == {
        8: 1, 4: 2, 3: 3, 2: 4, 6: 5, 11: 6, 1: 7, 7: 8, 5: 0, 9: 0, 10: 0, 12: 0, 13: 0,
    }  # fmt: skip


def test_organs_by_name(raw, tmp_path):
    reader = Synapse(classes=("liver", "spleen"))
    prepare(reader, raw, tmp_path / "out")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.class_names == ("background", "liver", "spleen")
    assert "--classes liver,spleen" in dataset.prepare_command
    values = dict(zip(*np.unique(dataset.read_label("0023"), return_counts=True), strict=True))
    assert values == {0: 640 - 12, 1: 6, 2: 6}
    # The same files under other organs are written again.
    assert prepare(Synapse(classes=("spleen", "liver")), raw, tmp_path / "out").written == 4


def test_an_organ_that_no_mask_has_is_said(tmp_path):
    raw = write(tmp_path / "raw", FEW, values=(1, 6))
    notes = prepare(Synapse(classes=("liver", "aorta")), raw, None).notes
    assert any(note.startswith("no mask has a voxel of aorta: leave") for note in notes)


def test_the_published_labeled_set_is_complete_or_an_error(raw, tmp_path):
    prepare(Synapse(), raw, tmp_path / "out")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.labeled(2) == ("0023", "0028")
    with pytest.raises(DaclError, match=r"publishes 0002, 0023, 0034, 0039 .*: 0034, 0039"):
        dataset.labeled(4)
    (raw / "Training/label/label0028.nii.gz").unlink()
    prepare(Synapse(), raw, tmp_path / "out")
    with pytest.raises(DaclError, match="without a mask: 0028"):
        PreparedDataset.open(tmp_path / "out").labeled(2)


@pytest.mark.parametrize(
    ("protocol", "classes", "said"),
    [
        ("other", None, "no Synapse protocol 'other'"),
        ("dhc-2023", ("lever",), "names lever"),
        ("dhc-2023", (), "names no organ"),
        ("dhc-2023", ("liver", "liver"), "an organ twice"),
    ],
)
def test_names_that_are_none(protocol, classes, said):
    with pytest.raises(DaclError, match=said):
        Synapse(protocol, classes)


def test_findings(raw, tmp_path):
    save(raw / "Training/label/label0028.nii.gz", organs((1, 14)), LAS)
    save(raw / "Training/label/label0099.nii.gz", organs(), LAS)
    save(raw / "Training/img/img0006.nii", scan(6), LAS)
    with pytest.raises(BadCases) as caught:
        prepare(Synapse(), raw, None)
    found = {f.case: (f.file, f.problem) for f in caught.value.findings}
    assert found == {
        "0006": ("Training/img/img0006.nii.gz", "the same scan as .nii and as .nii.gz"),
        "0028": ("Training/label/label0028.nii.gz", "label values [14] that no class has"),
        "0099": ("Training/label/label0099.nii.gz", "mask without its image"),
    }


def test_no_data_names_the_page(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DaclError) as caught:
            Synapse().discover(folder)
        assert SYNAPSE_PAGE in caught.value.hint


def test_real_synapse(real_synapse, tmp_path):
    """Every organ of the eight of `transunet` is annotated; case 0023 has no gallbladder."""
    report = prepare(Synapse("transunet"), real_synapse, tmp_path / "out", rule="hu:-125:275")
    assert report.volumes >= 12
    dataset = PreparedDataset.open(tmp_path / "out")
    voxels = dict(zip(dataset.class_names, dataset.info("0023").class_voxels, strict=True))
    assert [name for name, n in voxels.items() if not n] == ["gallbladder"]
    assert dataset.read_geometry("0023").orientation == "LAS"
    # The liver lies on the patient's right, which is where the columns begin.
    label_ZHW = dataset.read_label("0023")
    organ = {
        name: np.argwhere(label_ZHW == i).mean(axis=0) for i, name in enumerate(voxels) if i != 2
    }
    assert organ["liver"][2] < organ["aorta"][2] < organ["spleen"][2]
    assert organ["kidney_R"][2] < organ["kidney_L"][2]
