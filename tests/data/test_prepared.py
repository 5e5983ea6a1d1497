import json
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import h5py
import numpy as np
import pytest

from dacl.data.case import Case
from dacl.data.casefile import case_path, holds, write_case
from dacl.data.prepare import prepare
from dacl.data.prepared import PreparedDataset
from dacl.data.readers.acdc import Acdc
from dacl.data.splits import Split
from dacl.errors import DaclError


@pytest.fixture
def dataset(raw_acdc, tmp_path):
    for number in range(1, 6):
        raw_acdc.add(number)
    prepare(Acdc(), raw_acdc.raw, tmp_path / "out", split="random:0")
    return PreparedDataset.open(tmp_path / "out")


def test_what_a_dataset_says_of_itself(dataset):
    assert (dataset.name, dataset.modality, dataset.intensity) == ("acdc", "MR", "minmax")
    assert dataset.class_names == ("background", "RV", "Myo", "LV")
    assert not dataset.synthetic
    assert dataset.split.name == "random:0"
    info = dataset.info("patient001_frame09")
    assert (info.patient, info.phase, info.shape_ZHW) == ("patient001", "ES", (3, 10, 12))
    assert info.spacing_mm == (10.0, 1.5, 1.25)
    assert info.class_voxels == (279, 27, 27, 27)


def test_cases_come_in_the_order_of_the_patients_then_of_the_frames(dataset):
    ids = [info.id for info in dataset.cases(["patient004", "patient002"])]
    assert ids == [f"patient{p}_frame{f}" for p in ("004", "002") for f in ("01", "09")]


def test_reading_gives_back_the_source(dataset, raw_acdc):
    image_XYZ = raw_acdc.volume(309).astype(float)
    expected = (image_XYZ - image_XYZ.min()) / (image_XYZ.max() - image_XYZ.min())
    (image_ZHW,) = dataset.read_image("patient003_frame09")
    assert image_ZHW.dtype == np.float32
    np.testing.assert_allclose(image_ZHW.transpose(2, 1, 0), expected, rtol=1e-6)
    label_ZHW = dataset.read_label("patient003_frame09")
    assert label_ZHW.dtype == np.uint8
    np.testing.assert_array_equal(label_ZHW.transpose(2, 1, 0), raw_acdc.mask())


def test_the_geometry_holds_the_sources_header_byte_for_byte(dataset, raw_acdc):
    import gzip

    geometry = dataset.read_geometry("patient003_frame09")
    path = raw_acdc.raw / "training/patient003/patient003_frame09.nii.gz"
    assert geometry.header == gzip.decompress(path.read_bytes())[:348]
    assert geometry.spacing_mm == (10.0, 1.5, 1.25)
    np.testing.assert_array_equal(geometry.affine, np.diag([-1, -1, 1, 1]))


def test_one_slice_is_one_checked_chunk(dataset):
    with h5py.File(case_path(dataset.root, "patient001_frame01")) as file:
        for name in ("image", "label"):
            assert file[name].chunks == (1, 10, 12)
            assert file[name].fletcher32
            assert file[name].compression == "lzf"
        assert file["image"].dtype == np.int16


def test_an_image_is_read_without_its_label(dataset):
    path = case_path(dataset.root, "patient001_frame01")
    before = dataset.read_image("patient001_frame01")
    with h5py.File(path, "r+") as file:
        del file["label"]
    np.testing.assert_array_equal(dataset.read_image("patient001_frame01"), before)
    with pytest.raises(DaclError, match="missing or damaged"):
        dataset.read_label("patient001_frame01")


def flip_a_byte_of(path, volume):
    """Damage the first chunk of a volume in the file itself."""
    with h5py.File(path) as file:
        offset = file[volume].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 20] ^= 0xFF
    path.write_bytes(content)


def test_a_flipped_byte_is_found_and_mended(dataset):
    case_id = "patient001_frame01"
    path = case_path(dataset.root, case_id)
    before = dataset.read_image(case_id)
    flip_a_byte_of(path, "image")
    with pytest.raises(DaclError, match="damaged") as caught:
        dataset.read_image(case_id)
    assert str(path) in caught.value.message
    command = caught.value.hint.partition(": ")[2]
    assert command == dataset.prepare_command

    from dacl_cli.app import main

    assert main(command.split()[1:]) == 0
    np.testing.assert_array_equal(dataset.read_image(case_id), before)


@pytest.mark.parametrize("damage", ["truncated", "empty", "gone", "other"])
def test_a_damaged_file_is_a_dacl_error(dataset, damage):
    path = case_path(dataset.root, "patient001_frame01")
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "gone":
        path.unlink()
    else:
        shutil.copy(case_path(dataset.root, "patient002_frame01"), path)
    for read in (dataset.read_image, dataset.read_label, dataset.read_geometry):
        with pytest.raises(DaclError, match="patient001_frame01"):
            read("patient001_frame01")


def test_a_flipped_label_byte_spares_the_image(dataset):
    flip_a_byte_of(case_path(dataset.root, "patient001_frame01"), "label")
    dataset.read_image("patient001_frame01")
    with pytest.raises(DaclError, match="label"):
        dataset.read_label("patient001_frame01")


def test_slope_and_inter_are_applied_on_reading(dataset):
    case = Case(
        id="patient001_frame01",
        patient="patient001",
        image_CZHW=np.arange(360, dtype=np.int16).reshape(1, 3, 10, 12),
        label_ZHW=None,
        spacing_mm=None,
        source=dict(dataset.info("patient001_frame01").source),
        slope=-2.0,
        inter=5.0,
    )
    write_case(case_path(dataset.root, case.id), case)
    # A negative slope turns the image around: the largest stored value is the darkest.
    expected = np.linspace(1, 0, 360, dtype=np.float32).reshape(3, 10, 12)
    np.testing.assert_allclose(dataset.read_image(case.id)[0], expected, atol=1e-6)


def test_a_case_from_other_source_files_is_refused(dataset):
    case_id = "patient001_frame01"
    path = case_path(dataset.root, case_id)
    with h5py.File(path, "r+") as file:
        file.attrs["source"] = json.dumps(dict.fromkeys(dataset.info(case_id).source, "0" * 64))
    for read in (dataset.read_image, dataset.read_label, dataset.read_geometry):
        with pytest.raises(DaclError, match="other source files") as caught:
            read(case_id)
        assert dataset.prepare_command in caught.value.hint


def test_an_index_without_the_newer_keys_is_read(dataset):
    path = dataset.root / "dataset.json"
    content = json.loads(path.read_text())
    del content["notes"], content["reader"]
    for entry in content["cases"].values():
        del entry["source"]
    path.write_text(json.dumps(content))
    older = PreparedDataset.open(dataset.root)
    assert (older.notes, older.reader) == ((), "")
    case_id = "patient001_frame01"
    np.testing.assert_array_equal(older.read_image(case_id), dataset.read_image(case_id))


def test_labeled_needs_masks(raw_acdc, tmp_path):
    for number in range(1, 7):
        raw_acdc.add(number, masks=number != 3)
    prepare(Acdc(), raw_acdc.raw, tmp_path / "out", split="random:0")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.split.train[-1] == "patient003"
    n = len(dataset.split.train) - 1
    assert dataset.labeled(n) == dataset.split.train[:n]
    with pytest.raises(DaclError, match=f"from 1 to {n}"):
        dataset.labeled(n + 1)
    assert not dataset.info("patient003_frame01").has_label
    with pytest.raises(DaclError, match="no label"):
        dataset.read_label("patient003_frame01")


@pytest.mark.parametrize(
    ("train", "asked", "hint"),
    [
        ("MMuu", 3, "choose --labeled from 1 to 2"),
        ("MMuu", 9, "choose --labeled from 1 to 2"),
        ("uMMu", 1, "2 train patients have a mask: --labeled-order random:0 draws among them, "),
        ("MuMu", 3, "2 train patients have a mask: --labeled-order random:0 draws among them, "),
        ("uuuu", 1, "add masks and prepare again"),
    ],
)
def test_who_may_be_labeled_is_said_of_patients_with_a_mask(dataset, train, asked, hint):
    """Unlabeled patients may stand anywhere in the train part of the user's own split."""
    names = [f"p{n}" for n in range(len(train))]
    info = dataset.infos["patient001_frame01"]
    infos = {
        name: replace(info, id=name, patient=name, has_label=kind == "M")
        for name, kind in zip(names, train, strict=True)
    }
    dataset = replace(dataset, infos=infos, split=Split("own", tuple(names), (), ()))
    with pytest.raises(DaclError, match=f"{asked} labeled patients asked for") as caught:
        dataset.labeled(asked)
    assert caught.value.hint.startswith(hint)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DaclError, match="not a prepared dataset"):
        PreparedDataset.open(tmp_path)


@pytest.mark.parametrize("change", [{"format": 99}, {"intensity": "x"}, {"cases": {"a": {}}}, None])
def test_a_damaged_index_is_refused(dataset, change):
    path = dataset.root / "dataset.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | change) if change else "{")
    with pytest.raises(DaclError):
        PreparedDataset.open(dataset.root)


def test_holds_only_what_is_whole_and_of_the_same_source(dataset):
    path = case_path(dataset.root, "patient001_frame01")
    with h5py.File(path) as file:
        source = json.loads(file.attrs["source"])

    def case(**other):
        return Case(
            id="patient001_frame01", patient="patient001", image_CZHW=np.eye(3)[None, None],
            label_ZHW=None, spacing_mm=None, **{"source": source, **other},
        )  # fmt: skip

    assert holds(path, case())
    assert not holds(path, case(source={**source, "another": "file"}))
    assert not holds(path, case(reading="liver,spleen"))
    assert not holds(path, case(orientation="LAS")), "another version turned it otherwise"
    flip_a_byte_of(path, "label")
    assert not holds(path, case())
    assert not holds(path.with_name("gone.h5"), case())


@contextmanager
def no_file_above(n_bytes):
    """Make every write beyond a size fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 5000, 200_000])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(dataset, room):
    path = case_path(dataset.root, "patient001_frame01")
    before = path.read_bytes()
    image_CZHW = np.random.default_rng(0).random((1, 40, 64, 64))
    case = Case(id="a", patient="p", image_CZHW=image_CZHW, label_ZHW=None, spacing_mm=None)
    opened = h5py.h5f.get_obj_count()
    with no_file_above(room), pytest.raises(DaclError, match="File too large") as caught:
        write_case(path, case)
    assert "free some space" in caught.value.hint
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.partial"))
    assert h5py.h5f.get_obj_count() == opened
    write_case(path, case)
    assert path.stat().st_size > 200_000


def test_reading_imports_numpy_and_h5py_alone():
    code = (
        "import sys, dacl.data.prepared;"
        "print([m for m in ('torch', 'nibabel', 'sklearn', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
