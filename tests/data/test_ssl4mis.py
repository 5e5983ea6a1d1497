import h5py
import numpy as np
import pytest

from dacl.data.prepare import BadCases, prepare
from dacl.data.prepared import PreparedDataset
from dacl.data.readers.ssl4mis import Ssl4mis
from dacl.data.splits import named
from dacl.errors import DaclError

TRAIN, VAL, TEST = ("patient007", "patient003"), ("patient001",), ("patient002",)


def volume(patient, frame):
    rng = np.random.default_rng(int(patient[-3:]) * 10 + frame)
    image = rng.integers(0, 300, (12, 6, 5)).astype(np.float32)
    label = np.zeros((12, 6, 5), np.uint8)
    label[:, 1:3, 1:3], label[:, 3:5, 1:3], label[:, 3:5, 3:5] = 1, 2, 3
    return (image - image.min()) / (image.max() - image.min()), label


def save(path, image, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=image, compression="gzip")
        file.create_dataset("label", data=label, compression="gzip")


@pytest.fixture
def copy(tmp_path):
    """Make the folder as SSL4MIS lays it out: training as slices, the others as volumes."""
    raw = tmp_path / "ACDC"
    listed = []
    for patient in TRAIN:
        for frame in (1, 2):
            # Two digits, so that sorting names would put slice 10 before slice 2.
            for z, (image, label) in enumerate(zip(*volume(patient, frame), strict=True)):
                name = f"{patient}_frame{frame:02d}_slice_{z}"
                save(raw / f"data/slices/{name}.h5", image, label)
                listed.append(name)
    for patient in VAL + TEST:
        for frame in (1, 2):
            save(raw / f"data/{patient}_frame{frame:02d}.h5", *volume(patient, frame))
    (raw / "train_slices.list").write_text("\n".join(listed) + "\n")
    for name, patients in (("val", VAL), ("test", TEST)):
        lines = [f"{patient}_frame{frame:02d}" for patient in patients for frame in (1, 2)]
        (raw / f"{name}.list").write_text("\n".join(lines) + "\n")
    return raw


def test_the_same_dataset_out_with_the_spacing_unknown(copy, tmp_path):
    report = prepare(Ssl4mis(), copy, tmp_path / "out")
    assert report.spacing_mm is None
    assert any("spacing unknown in 8 of 8 volumes" in note for note in report.notes)
    dataset = PreparedDataset.open(tmp_path / "out")
    assert (dataset.name, dataset.class_names[3]) == ("acdc", "LV")
    assert (dataset.split.train, dataset.split.val, dataset.split.test) == (TRAIN, VAL, TEST)
    assert dataset.split.name == "lists"
    for patient in TRAIN + VAL:
        image, label = volume(patient, 2)
        case_id = f"{patient}_frame02"
        assert dataset.info(case_id).phase == "ES"
        assert dataset.info(case_id).spacing_mm is None
        np.testing.assert_array_equal(dataset.read_label(case_id), label)
        np.testing.assert_allclose(dataset.read_image(case_id)[0], image, atol=1e-6)
        geometry = dataset.read_geometry(case_id)
        assert geometry.spacing_mm is None
        assert geometry.header == b""


def test_a_volume_is_preferred_to_its_slices(copy):
    save(copy / "data/patient007_frame01.h5", *volume("patient007", 1))
    sources = {source.id: source for source in Ssl4mis().discover(copy).sources}
    assert [path.name for path in sources["patient007_frame01"].images] == ["patient007_frame01.h5"]
    assert len(sources["patient007_frame02"].images) == 12


def test_the_published_lists_are_recognized(copy):
    published = named("ssl4mis", "acdc")
    files = {"train_slices": published.train, "val": published.val, "test": published.test}
    for name, patients in files.items():
        (copy / f"{name}.list").write_text("\n".join(f"{p}_frame01" for p in patients))
    assert Ssl4mis().discover(copy).split == published


def test_without_lists_the_published_split_is_taken(copy):
    (copy / "val.list").unlink()
    assert Ssl4mis().discover(copy).split is None


def spoil(copy, name):
    slice_path = copy / "data/slices/patient007_frame01_slice_4.h5"
    volume_path = copy / "data/patient001_frame01.h5"
    image, label = volume("patient001", 1)
    actions = {
        "gap": slice_path.unlink,
        "last": (copy / "data/slices/patient007_frame01_slice_11.h5").unlink,
        "truncated": lambda: volume_path.write_bytes(volume_path.read_bytes()[:900]),
        "no label": lambda: delete_label(slice_path),
        "slice shape": lambda: save(slice_path, image[0, :-1], label[0, :-1]),
        "mask shape": lambda: save(volume_path, image, label[:-1]),
        "flat": lambda: save(volume_path, image[0], label[0]),
        "range": lambda: save(volume_path, image, label * 2),
        "fraction": lambda: save(volume_path, image, label * 0.5),
        "nan": lambda: save(volume_path, image * np.nan, label),
        "constant": lambda: save(volume_path, image * 0, label),
        "empty": lambda: save(volume_path, image, label * 0),
    }
    actions[name]()


def delete_label(path):
    with h5py.File(path, "r+") as file:
        del file["label"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gap", "slices [4] are missing"),
        ("last", "missing, train_slices.list names it"),
        ("truncated", "unreadable"),
        ("no label", "unreadable"),
        ("slice shape", "slice has shape (5, 5), the first of the volume (6, 5)"),
        ("mask shape", "mask has shape (11, 6, 5), image (12, 6, 5)"),
        ("flat", "expected (Z, H, W)"),
        ("range", "label values [4, 6] out of range"),
        ("fraction", "not integers"),
        ("nan", "NaN"),
        ("constant", "constant image"),
        ("empty", "empty mask"),
    ],
)
def test_each_fault_is_found(copy, tmp_path, name, expected):
    spoil(copy, name)
    with pytest.raises(BadCases) as caught:
        prepare(Ssl4mis(), copy, tmp_path / "out")
    assert any(expected in finding.problem for finding in caught.value.findings)
    assert {finding.case for finding in caught.value.findings} <= {
        "patient007_frame01",
        "patient001_frame01",
    }


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DaclError, match="data/slices"):
        Ssl4mis().discover(tmp_path)
    with pytest.raises(DaclError, match="no folder"):
        Ssl4mis().discover(tmp_path / "nothing")


def test_a_list_of_something_else_is_refused(copy):
    (copy / "test.list").write_text("case_0001\n")
    with pytest.raises(DaclError, match="case_0001"):
        Ssl4mis().discover(copy)
