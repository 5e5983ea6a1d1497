import shlex
import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from made_folders import (
    LPS,
    SHAPE_XYZ,
    discover,
    flipped,
    image,
    mask,
    problems,
    run,
    save,
    stack_along,
    write,
)

from dacl.data.prepare import BadCases
from dacl.data.prepared import PreparedDataset
from dacl.data.readers.folder import Folder
from dacl.data.readers.nifti import load
from dacl.errors import DaclError


@pytest.fixture
def raw(tmp_path):
    return write(tmp_path / "raw")


def test_images_with_and_without_masks(raw, tmp_path):
    report = run(raw, tmp_path / "out", dataset="mine")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert (dataset.name, dataset.reader, dataset.intensity) == ("mine", "folder", "percentile")
    assert dataset.class_names == ("background", "class1", "class2")
    assert [i.id for i in dataset.infos.values() if not i.has_label] == ["c5"]
    assert dataset.split.name == "random:0"
    assert dataset.split.train[-1] == "c5"
    assert report.parts["train"].labeled_patients == 2
    assert report.labeled_slices == {1: 4, 2: 8}
    np.testing.assert_array_equal(dataset.read_label("c1").T, mask(1, 2))
    assert dataset.info("c1").spacing_mm == (3.0, 1.25, 1.5)
    assert dataset.info("c1").source.keys() == {"images/c1.nii.gz", "labels/c1.nii.gz"}
    assert any("1 volumes have no mask" in note for note in report.notes)


def test_an_accent_is_the_same_however_it_is_written(raw, tmp_path):
    (raw / "images/c1.nii.gz").rename(raw / "images/fa\u0308ll.nii.gz")  # as macOS writes it
    (raw / "labels/c1.nii.gz").rename(raw / "labels/f\u00e4ll.nii.gz")
    run(raw, tmp_path / "out")
    assert PreparedDataset.open(tmp_path / "out").info("f\u00e4ll").has_label


def test_the_command_is_complete(raw, tmp_path, monkeypatch):
    """Typed again, it writes the same dataset and looks for no values."""
    from dacl_cli.app import main

    monkeypatch.chdir(tmp_path)
    first = run(raw, tmp_path / "out", split="kfold:4:1", modality="CT", patient_pattern=r"c(\d)")
    command = PreparedDataset.open(tmp_path / "out").prepare_command
    assert "--classes class1=1,class2=2" in command
    (tmp_path / "out/dataset.json").unlink()
    assert main([*shlex.split(command)[1:], "--workers", "1"]) == 0
    again = PreparedDataset.open(tmp_path / "out")
    assert (again.fingerprint, again.split.hash) == (first.fingerprint, first.split_hash)
    assert again.intensity == "hu:-160:240"


def test_other_meanings_of_the_values_are_another_dataset(raw, tmp_path):
    prints = {
        run(raw, tmp_path / f"{i}", classes=classes).fingerprint
        for i, classes in enumerate(["a=1,b=2", "a=2,b=1", "a=1,b=2"])
    }
    assert len(prints) == 2


def test_a_case_file_of_other_classes_is_written_again(raw, tmp_path):
    run(raw, tmp_path / "out", classes="a=1,b=2", dataset="d")
    assert run(raw, tmp_path / "out", classes="a=2,b=1", dataset="d").written == 5
    assert PreparedDataset.open(tmp_path / "out").read_label("c1").T[1, 2, 1] == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_values_of_any_type_are_mapped(tmp_path, dtype):
    raw = write(tmp_path / "raw", values=(2, 5, 6))
    for path in (raw / "labels").iterdir():
        save(path, mask(2, 5, 6, dtype=dtype))
    run(raw, tmp_path / "out", classes="liver=2,kidney=5+6")
    label_ZHW = PreparedDataset.open(tmp_path / "out").read_label("c1")
    np.testing.assert_array_equal(label_ZHW.T, mask(1, 2, 2))


def test_sparse_values_are_found_and_the_fix_is_the_option(tmp_path):
    raw = write(tmp_path / "raw")
    for path, values in zip(
        sorted((raw / "labels").iterdir()), [(200,), (500,), (600,), ()], strict=True
    ):
        save(path, mask(*values, dtype=np.int16))
    (finding,) = problems(raw)
    assert finding.problem == "the masks hold the values 200, 500, 600, not 1 to 3"
    option = finding.fix.split("--classes ")[1]
    assert option == "class1=200,class2=500,class3=600"
    run(raw, tmp_path / "out", classes=option)
    # No case can be left out for it.
    with pytest.raises(BadCases):
        run(raw, tmp_path / "out", skip_bad=True)


def test_negative_values_are_mapped_by_the_option_that_the_fix_names(raw, tmp_path):
    for path in (raw / "labels").iterdir():
        save(path, mask(-1, 2, dtype=np.int16))
    (finding,) = problems(raw)
    option = finding.fix.split("--classes ")[1]
    assert option == "class1=-1,class2=2"
    run(raw, tmp_path / "out", classes=option)
    np.testing.assert_array_equal(
        PreparedDataset.open(tmp_path / "out").read_label("c1").T, mask(1, 2)
    )


def test_a_value_without_a_class_is_found_in_its_mask(raw):
    save(raw / "labels/c2.nii.gz", mask(1, 2, 9))
    (finding,) = problems(raw, classes="liver=1,kidney=2")
    assert (finding.case, finding.file) == ("c2", "labels/c2.nii.gz")
    assert finding.problem == "label values [9] that no class has"
    assert "--classes liver=1,kidney=2,background=9" in finding.fix


def test_masks_of_other_than_integers(raw):
    save(raw / "labels/c2.nii.gz", mask(1, 2).astype(np.float32) / 2)
    (finding,) = problems(raw, classes="liver,kidney")
    assert "not integers" in finding.problem


def test_masks_of_which_none_can_be_read_say_why(raw):
    for name in ("c1", "c2"):
        save(raw / f"labels/{name}.nii.gz", mask(1, 2).astype(np.float32) / 2)
    (raw / "labels/c3.nii.gz").write_bytes(b"nothing")
    save(raw / "labels/c4.nii.gz", mask())
    whole, *each = problems(raw)
    assert whole.problem.startswith("no mask says what the classes are: 3 of 4 are unreadable")
    assert [finding.case for finding in each] == ["c1", "c2", "c3"]
    assert "not integers" in each[0].problem
    assert "unreadable" in each[2].problem
    # images alone would be no dataset
    with pytest.raises(BadCases):
        run(raw, None, skip_bad=True)


def test_masks_that_are_no_masks(tmp_path):
    raw = write(tmp_path / "raw")
    for path in (raw / "labels").iterdir():
        save(path, np.arange(320, dtype=np.int16).reshape(SHAPE_XYZ))
    with pytest.raises(DaclError, match="the masks hold 319 values: 1, 2, 3") as caught:
        discover(raw)
    assert "are these masks" in caught.value.hint


def test_empty_masks_are_sound_and_said(raw, tmp_path):
    save(raw / "labels/c2.nii.gz", mask())
    report = run(raw, tmp_path / "out")
    assert "1 mask of background alone: c2" in report.notes
    assert PreparedDataset.open(tmp_path / "out").info("c2").class_voxels == (320, 0, 0)
    for path in (raw / "labels").iterdir():
        save(path, mask())
    with pytest.raises(DaclError, match="none of the 4 masks has a voxel"):
        discover(raw)


def save_rgb(path):
    dtype = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    save(path, np.zeros(SHAPE_XYZ, dtype))


def spoil(raw, name):
    """Spoil c2 of the folder."""
    image_path, mask_path = raw / "images/c2.nii.gz", raw / "labels/c2.nii.gz"
    nan = image(2, np.float32)
    nan[0, 0, 0] = np.nan
    shifted = LPS.copy()
    shifted[0, 3] = 40
    off = flipped(mask(1, 2), 0)[1]
    off[0, 3] += 1.5
    bad_affine = LPS.copy()
    bad_affine[0, 0] = np.nan

    def respace(path, spacing_XYZ):
        content = bytearray(path.read_bytes())
        content[80:92] = np.array(spacing_XYZ, "<f4").tobytes()
        path.write_bytes(content)

    def in_units(code):
        content = bytearray(plain(image_path, image(2)).read_bytes())
        content[123] = code
        image_path.with_suffix("").write_bytes(content)

    def plain(path, array):
        path.unlink()
        return save(path.with_suffix(""), array)

    actions = {
        "affine": lambda: save(mask_path, mask(1, 2), shifted),
        "spacing": lambda: save(mask_path, mask(1, 2), np.diag([-1.5, -1.25, 4, 1])),
        "shape": lambda: save(mask_path, mask(1, 2)[:, :, :3]),
        "inexact flip": lambda: save(mask_path, mask(1, 2), off),
        "series": lambda: save(image_path, np.stack([image(2)] * 5, axis=-1)),
        "RGB": lambda: save_rgb(image_path),
        "complex": lambda: save(image_path, image(2).astype(np.complex64)),
        "second": lambda: nibabel.save(nibabel.Nifti2Image(image(2), LPS), image_path),
        "slice": lambda: save(image_path, image(2)[..., 0]),
        "nan": lambda: save(image_path, nan),
        "constant": lambda: save(image_path, image(2) * 0),
        "zero spacing": lambda: respace(plain(image_path, image(2)), (0, 1.25, 3)),
        "negative spacing": lambda: respace(plain(image_path, image(2)), (-1.5, 1.25, 3)),
        "metres": lambda: in_units(1 | 8),
        "microns": lambda: in_units(3),
        "both": lambda: save(raw / "images/c2.nii", image(2)),
        "no image": image_path.unlink,
        "truncated": lambda: image_path.write_bytes(image_path.read_bytes()[:-50]),
        "text": lambda: image_path.write_text("hello"),
        "duplicate": lambda: (
            shutil.copy(raw / "images/c1.nii.gz", image_path),
            shutil.copy(raw / "labels/c1.nii.gz", mask_path),
        ),
    }  # fmt: skip
    actions[name]()


@pytest.mark.parametrize(
    ("name", "problem", "fix"),
    [
        ("affine", "mask and image differ in geometry: origin [", "header of its image"),
        ("spacing", "mask and image differ in geometry: spacing (4.0, 1.25, 1.5)", "header"),
        ("shape", "mask has shape (3, 8, 10), image (4, 8, 10)", "drawn on this image"),
        ("inexact flip", "mask and image differ in geometry: origin [", "header of its image"),
        ("series", "not a 3D volume of numbers: shape (10, 8, 4, 5)", "CASE_0001.nii.gz"),
        ("RGB", "not a 3D volume of numbers: shape (10, 8, 4), type RGB", "one number per voxel"),
        ("complex", "type complex64", "magnitude"),
        ("second", "NIfTI-2", "Nifti1Image.from_image"),
        ("slice", "not a 3D volume of numbers: shape (10, 8)", "third axis"),
        ("nan", "1 NaN or infinite voxels", "export"),
        ("constant", "constant image", "download"),
        ("zero spacing", "spacing (3.0, 1.25, 0.0) mm", "pixdim"),
        ("negative spacing", "spacing (3.0, 1.25, -1.5) mm", "pixdim"),
        ("metres", "in metres (xyzt_units 9), not in mm", "set_xyzt_units('mm')"),
        ("microns", "in micrometres (xyzt_units 3), not in mm", "pixdim and affine in mm"),
        ("both", "the same name as .nii and as .nii.gz", "keep one"),
        ("no image", "mask without its image", "add c2.nii.gz to images"),
        ("truncated", "truncated or damaged gzip", "download"),
        ("text", "unreadable", "download"),
        ("duplicate", "duplicate: image and mask are those of c1", "remove one"),
    ],
)
def test_each_fault_has_its_finding_and_fix(raw, name, problem, fix):
    spoil(raw, name)
    found = [f for f in problems(raw) if problem in f.problem]
    assert [f.case for f in found] == ["c2"]
    assert fix in found[0].fix
    assert found[0].file.startswith(("images/c2", "labels/c2"))


@pytest.mark.parametrize("code", [0, 2, 2 | 8], ids=["unknown", "mm", "mm and seconds"])
def test_mm_and_no_unit_are_taken_for_mm(raw, code):
    path = raw / "images/c2.nii"
    save(path, image(2))
    content = bytearray(path.read_bytes())
    content[123] = code
    path.write_bytes(content)
    assert load(path).spacing_mm == (3.0, 1.25, 1.5)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2)])
def test_a_mask_that_lies_flipped_is_turned_to_its_image(raw, tmp_path, axes):
    run(raw, tmp_path / "straight")
    array, affine = mask(1, 2), LPS
    for axis in axes:
        array, affine = flipped(array, axis, affine)
    save(raw / "labels/c2.nii.gz", array, affine)
    report = run(raw, tmp_path / "out")
    assert any(
        note.startswith("mask turned to its image by axis flips alone") and "1 case: c2" in note
        for note in report.notes
    )
    labels = (PreparedDataset.open(tmp_path / out).read_label("c2") for out in ("straight", "out"))
    np.testing.assert_array_equal(*labels)


def test_image_and_mask_that_lie_otherwise_are_the_same_anatomy(raw, tmp_path):
    run(raw, tmp_path / "straight")
    affine = LPS[:, [2, 0, 1, 3]]  # x of the file is z of the patient
    for kind, array in (("images", image(2)), ("labels", mask(1, 2))):
        turned, turned_affine = flipped(array.transpose(2, 0, 1), 1, affine)
        save(raw / f"{kind}/c2.nii.gz", turned, turned_affine)
    run(raw, tmp_path / "out")
    one, two = (PreparedDataset.open(tmp_path / out) for out in ("straight", "out"))
    np.testing.assert_array_equal(one.read_image("c2"), two.read_image("c2"))
    np.testing.assert_array_equal(one.read_label("c2"), two.read_label("c2"))
    assert one.info("c2").spacing_mm == two.info("c2").spacing_mm
    assert two.read_geometry("c2").orientation == "SRP"


def test_stacks_that_no_axis_of_the_body_is_near_to_keep_their_slices(raw, tmp_path):
    """The axis nearest to a short axis of the heart is another one in every patient."""
    oblique = {"c1": (-0.60, 0.51, -0.62), "c2": (-0.62, 0.60, 0.51), "c3": (0.51, 0.62, -0.60)}
    for i, (case, normal) in enumerate(oblique.items()):
        for kind, array in (("images", image(i)), ("labels", mask(1, 2))):
            save(raw / f"{kind}/{case}.nii.gz", array, stack_along(normal))
    report = run(raw, tmp_path / "out")
    assert any("oblique to every axis" in n and "3 cases" in n for n in report.notes)
    dataset = PreparedDataset.open(tmp_path / "out")
    for i, case in enumerate(oblique):
        held = dataset.read_image(case)[0]
        assert held.shape == image(i).T.shape
        assert np.corrcoef(held.ravel(), image(i).T.ravel())[0, 1] > 0.99
        np.testing.assert_array_equal(dataset.read_label(case), mask(1, 2).T)
        assert dataset.info(case).spacing_mm == pytest.approx((10.0, 1.5, 1.5))
        assert dataset.read_geometry(case).orientation == ""


def test_files_that_say_nothing_of_their_place_are_said_so(raw, tmp_path):
    for kind, array in (("images", image(2)), ("labels", mask(1, 2))):
        nifti = nibabel.Nifti1Image(array, LPS)
        nifti.header["sform_code"] = nifti.header["qform_code"] = 0
        nifti.set_sform(None, 0)
        nifti.set_qform(None, 0)
        nibabel.save(nifti, raw / f"{kind}/c2.nii.gz")
    report = run(raw, tmp_path / "out")
    assert any("nothing of the orientation" in n and "1 case: c2" in n for n in report.notes)


def test_other_formats_are_named_with_the_way_to_convert(raw, tmp_path):
    for name in ("a.mha", "b.nrrd", "c.dcm", ".hidden.mha", "readme.txt", "._c1.nii.gz"):
        (raw / "images" / name).write_bytes(b"x")
    (note,) = discover(raw).notes
    assert note.startswith("3 files of images are not read: a.mha, b.nrrd, c.dcm; convert them")
    for path in (raw / "images").glob("c*.nii.gz"):
        path.unlink()
    with pytest.raises(DaclError, match=r"no NIfTI file in .*: a.mha") as caught:
        discover(raw)
    assert "dcm2niix" in caught.value.hint


def test_folders_that_cannot_be(raw, tmp_path):
    with pytest.raises(DaclError, match="no folder"):
        discover(tmp_path / "nowhere")
    with pytest.raises(DaclError, match="for images and for masks"):
        Folder(raw / "images").discover(raw / "images")
    shutil.rmtree(raw / "labels")
    (raw / "labels").mkdir()
    with pytest.raises(DaclError, match=r"no NIfTI file in .*labels"):
        discover(raw)
    save(raw / "labels/patient/c1.nii.gz", mask(1))
    with pytest.raises(DaclError, match="no NIfTI file") as caught:
        discover(raw)
    assert "into one" in caught.value.hint


def test_ct_that_was_not_called_so_is_noticed(raw, tmp_path):
    for i in range(1, 6):
        save(raw / f"images/c{i}.nii.gz", image(i) - 1024)
    notes = run(raw, tmp_path / "out").notes
    assert any("--modality CT" in note for note in notes)
    report = run(raw, tmp_path / "ct", modality="CT")
    assert report.intensity == "hu:-160:240"
    assert not any("--modality" in note for note in report.notes)


def test_the_median_spacing(raw, tmp_path):
    for i in (1, 2):
        for kind, array in (("images", image(i)), ("labels", mask(1, 2))):
            save(raw / f"{kind}/c{i}.nii.gz", array, np.diag([-2, -2, 5.0, 1]))
    assert run(raw, tmp_path / "out").median_spacing_mm == (3.0, 1.25, 1.5)


def test_what_nibabel_would_log_is_not_printed(raw):
    """In a process of its own: pytest's handlers would hide it."""
    path = raw / "images/c1.nii"
    nibabel.save(nibabel.Nifti1Image(image(1), LPS), path)
    content = bytearray(path.read_bytes())
    content[80:84] = bytes(4)
    path.write_bytes(content)
    code = (
        "import sys; from pathlib import Path; from dacl.data.readers.nifti import load;"
        "print(load(Path(sys.argv[1])).spacing_mm)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(3.0, 1.25, 0.0)"
    assert done.stderr == ""
