import json

import numpy as np
import pytest

from dacl.data import ACDC_PAGE
from dacl.data.readers.acdc import Acdc
from dacl.errors import DaclError


def read(raw, case_id):
    (source,) = [s for s in Acdc().discover(raw).sources if s.id == case_id]
    return Acdc().read(source)


@pytest.mark.parametrize("level", ["", "training", "database/training"])
def test_the_layout_with_and_without_its_upper_levels(raw_acdc, level):
    raw_acdc.add(1, level=level, es=12)
    found = Acdc().discover(raw_acdc.raw)
    assert [(s.id, s.phase) for s in found.sources] == [
        ("patient001_frame01", "ED"),
        ("patient001_frame12", "ES"),
    ]
    assert found.findings == ()
    assert not found.synthetic


def test_testing_beside_training(raw_acdc):
    raw_acdc.add(1)
    raw_acdc.add(101, level="testing")
    assert {s.patient for s in Acdc().discover(raw_acdc.raw).sources} == {
        "patient001",
        "patient101",
    }


def test_the_phase_is_the_one_that_info_cfg_names_not_the_order(raw_acdc):
    folder = raw_acdc.add(90, es=11)
    (folder / "Info.cfg").write_text("ED: 11\nES: 1\n")
    assert [s.phase for s in Acdc().discover(raw_acdc.raw).sources] == ["ES", "ED"]


def test_endings_may_be_in_capitals(raw_acdc):
    folder = raw_acdc.add(1)
    for file in folder.glob("*frame01*"):
        file.rename(folder / file.name.replace(".nii.gz", ".NII.GZ"))
    case, findings = read(raw_acdc.raw, "patient001_frame01")
    assert findings == []
    np.testing.assert_array_equal(case.image_CZHW[0].T, raw_acdc.volume(101))


def test_cine_files_and_strangers_are_left_alone(raw_acdc):
    folder = raw_acdc.add(1)
    for name in ("patient001_4d.nii.gz", "patient002_frame01.nii.gz", "MANDATORY_CITATION.md"):
        (folder / name).write_bytes(b"x")
    found = Acdc().discover(raw_acdc.raw)
    assert len(found.sources) == 2
    assert found.findings == ()


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_integers_are_stored_whatever_the_source_type(raw_acdc, dtype):
    raw_acdc.add(1, dtype=dtype)
    case, findings = read(raw_acdc.raw, "patient001_frame01")
    assert findings == []
    assert case.image_CZHW.dtype == (np.int16 if np.dtype(dtype).itemsize == 2 else np.uint8)
    np.testing.assert_array_equal(case.image_CZHW[0].T, raw_acdc.volume(101))


def test_fractions_stay_float32(raw_acdc):
    folder = raw_acdc.add(1)
    image = raw_acdc.volume(1).astype(np.float32) / 7
    raw_acdc.save(folder / "patient001_frame01.nii.gz", image)
    case, _ = read(raw_acdc.raw, "patient001_frame01")
    assert case.image_CZHW.dtype == np.float32
    np.testing.assert_array_equal(case.image_CZHW[0].T, image)


def test_the_true_spacing_is_pixdims(raw_acdc):
    raw_acdc.add(1)
    case, _ = read(raw_acdc.raw, "patient001_frame01")
    assert case.spacing_mm == (10.0, 1.5, 1.25)
    np.testing.assert_array_equal(case.affine, np.diag([-1, -1, 1, 1]))


def test_scl_slope_and_inter_are_kept_beside_the_integers(raw_acdc):
    folder = raw_acdc.add(1)
    (folder / "patient001_frame01.nii.gz").unlink()
    raw_acdc.save(folder / "patient001_frame01.nii", raw_acdc.volume(1), scale=(0.5, -10))
    case, findings = read(raw_acdc.raw, "patient001_frame01")
    assert findings == []
    assert (case.slope, case.inter) == (0.5, -10)
    np.testing.assert_array_equal(case.image_CZHW[0].T, raw_acdc.volume(1))


def test_a_trailing_time_axis_of_one_is_dropped(raw_acdc):
    folder = raw_acdc.add(1)
    raw_acdc.save(folder / "patient001_frame01.nii.gz", raw_acdc.volume(1)[..., None])
    assert read(raw_acdc.raw, "patient001_frame01")[1] == []


def test_frames_without_masks_are_unlabeled(raw_acdc):
    folder = raw_acdc.add(1)
    raw_acdc.save(folder / "patient001_frame05.nii.gz", raw_acdc.volume(5))
    case, findings = read(raw_acdc.raw, "patient001_frame05")
    assert findings == []
    assert case.label_ZHW is None
    assert case.phase == ""


def problems_of(raw):
    found = Acdc().discover(raw)
    return [f.problem for f in found.findings] + [
        finding.problem for source in found.sources for finding in Acdc().read(source)[1]
    ]


def spoil(raw_acdc, name):
    """Spoil one thing of patient001; returns a piece of the finding's text."""
    folder = raw_acdc.add(1)
    image = folder / "patient001_frame01.nii.gz"
    gt = folder / "patient001_frame01_gt.nii.gz"
    nan = raw_acdc.volume(1).astype(np.float32)
    nan[0, 0, 0] = np.nan
    wide = raw_acdc.mask().astype(np.int16)
    wide[0, 0, 0] = 300
    half = raw_acdc.mask().astype(np.float32)
    half[0, 0, 0] = 0.5
    save, volume, mask = raw_acdc.save, raw_acdc.volume, raw_acdc.mask
    actions = {
        "truncated": lambda: image.write_bytes(image.read_bytes()[:-100]),
        "not gzip": lambda: image.write_bytes(b"hello"),
        "empty file": lambda: gt.write_bytes(b""),
        "short": lambda: save(image.with_suffix(""), volume(1)) or cut(image),
        "nan": lambda: save(image, nan),
        "constant": lambda: save(image, np.full((12, 10, 3), 4, np.int16)),
        "shape": lambda: save(gt, mask((10, 12, 3))),
        "spacing": lambda: save(gt, mask(), spacing_XYZ=(1.25, 1.5, 5)),
        "affine": lambda: save(gt, mask(), sform=(1, -1, 1)),
        "zero spacing": lambda: save(image, volume(1), spacing_XYZ=(0, 1.5, 10)),
        "negative spacing": lambda: save(image, volume(1), spacing_XYZ=(-1.25, 1.5, 10)),
        "contradiction": lambda: save(image, volume(1), sform=(-2, -2, 8)),
        "range": lambda: save(gt, mask() * 2),
        "wide": lambda: save(gt, wide),
        "fraction": lambda: save(gt, half),
        "empty mask": lambda: save(gt, mask() * 0),
        "four": lambda: save(image, np.stack([volume(1)] * 2, axis=-1)),
        "no image": image.unlink,
        "no info": (folder / "Info.cfg").unlink,
        "no ES": lambda: (folder / "Info.cfg").write_text("ED: 1\n"),
        "no number": lambda: (folder / "Info.cfg").write_text("ED: one\nES: 9\n"),
        "other ES": lambda: (folder / "Info.cfg").write_text("ED: 1\nES: 12\n"),
        "twice": lambda: save(image.with_suffix(""), volume(1)),
        "two folders": lambda: raw_acdc.add(1, level="testing"),
    }
    actions[name]()


def cut(image):
    """Leave a sound gzip of a NIfTI file that ends too early."""
    import gzip

    plain = image.with_suffix("")
    image.write_bytes(gzip.compress(plain.read_bytes()[:-100]))
    plain.unlink()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("truncated", "truncated or damaged gzip"),
        ("not gzip", "unreadable"),
        ("empty file", "unreadable"),
        ("short", "unreadable"),
        ("nan", "1 NaN or infinite voxels"),
        ("constant", "constant image, every voxel is 4"),
        ("shape", "mask has shape (3, 12, 10), image (3, 10, 12)"),
        ("spacing", "mask and image differ in geometry"),
        ("affine", "mask and image differ in geometry"),
        ("zero spacing", "spacing (10.0, 1.5, 0.0) mm"),
        ("negative spacing", "spacing (10.0, 1.5, -1.25) mm"),
        ("contradiction", "contradicts the scale of the affine"),
        ("range", "label values [4, 6] out of range 0..3"),
        ("wide", "not integers in 0..255"),
        ("fraction", "not integers in 0..255"),
        ("empty mask", "empty mask"),
        ("four", "not a 3D volume"),
        ("no image", "mask without its image"),
        ("no info", "Info.cfg is missing"),
        ("no ES", "Info.cfg does not name"),
        ("no number", "Info.cfg does not name"),
        ("other ES", "Info.cfg names patient001_frame12 as ES, there is no such image"),
        ("twice", "the same frame as .nii and as .nii.gz"),
        ("two folders", "duplicate patient"),
    ],
)
def test_each_fault_is_found(raw_acdc, name, expected):
    spoil(raw_acdc, name)
    assert any(expected in problem for problem in problems_of(raw_acdc.raw))


def test_a_sound_folder_has_no_faults(raw_acdc):
    raw_acdc.add(1)
    assert problems_of(raw_acdc.raw) == []


def test_no_data_names_the_download_page_and_the_phantom(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DaclError) as caught:
            Acdc().discover(folder)
        assert ACDC_PAGE in caught.value.hint
        assert "dacl preprocess phantom" in caught.value.hint


def test_the_marker_of_a_phantom(raw_acdc):
    raw_acdc.add(1)
    split = {"train": ["patient001"], "val": ["patient002"], "test": ["patient003"]}
    marker = {"synthetic": True, "name": "phantom", "split": split}
    path = raw_acdc.raw / "phantom.json"
    path.write_text(json.dumps(marker))
    found = Acdc().discover(raw_acdc.raw)
    assert (found.name, found.synthetic, found.split.name) == ("phantom", True, "phantom")
    assert found.split.val == ("patient002",)
    path.write_text("{")
    with pytest.raises(DaclError, match="dacl preprocess phantom"):
        Acdc().discover(raw_acdc.raw)


def test_big_endian_files(raw_acdc):
    import nibabel

    path = raw_acdc.add(1) / "patient001_frame01.nii.gz"
    little = nibabel.load(path)
    header = little.header.as_byteswapped(">")
    nibabel.save(nibabel.Nifti1Image(np.asarray(little.dataobj), None, header), path)
    case, findings = read(raw_acdc.raw, "patient001_frame01")
    assert findings == []
    assert case.spacing_mm == (10.0, 1.5, 1.25)
    assert case.image_CZHW.dtype.isnative
    np.testing.assert_array_equal(case.image_CZHW[0].T, raw_acdc.volume(101))
