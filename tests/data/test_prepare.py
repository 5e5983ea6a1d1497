import json
import shutil

import h5py
import pytest

from dacl.atomic import write_json
from dacl.data.prepare import BadCases, prepare
from dacl.data.prepared import PreparedDataset
from dacl.data.readers.acdc import Acdc
from dacl.data.readers.ssl4mis import Ssl4mis
from dacl.errors import DaclError


@pytest.fixture
def raw(raw_acdc):
    for number in range(1, 6):
        raw_acdc.add(number)
    return raw_acdc.raw


def run(raw, out, **options):
    return prepare(Acdc(), raw, out, **{"split": "random:0", **options})


def files_of(folder):
    """Content of a prepared dataset, but for the command that holds its path."""
    contents = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.h5")}
    index = json.loads((folder / "dataset.json").read_text())
    del index["prepare_command"]
    return contents, index, json.loads((folder / "splits.json").read_text())


def gt(raw, patient, frame="01"):
    return raw / f"training/{patient}/{patient}_frame{frame}_gt.nii.gz"


def test_the_report_is_counted_in_the_data(raw, tmp_path):
    report = run(raw, tmp_path / "out")
    assert (report.name, report.synthetic, report.intensity) == ("acdc", False, "minmax")
    parts = {name: (p.patients, p.volumes, p.slices) for name, p in report.parts.items()}
    assert parts == {"train": (3, 6, 18), "val": (1, 2, 6), "test": (1, 2, 6)}
    assert report.labeled_slices == {1: 6, 3: 18}
    assert report.published_slices == {}
    assert report.spacing_mm == ((10.0, 1.5, 1.25), (10.0, 1.5, 1.25))
    assert report.class_voxels == {"background": 2790, "RV": 270, "Myo": 270, "LV": 270}
    assert (report.volumes, report.written) == (10, 10)
    assert any("pixdim" in note and "10 of 10" in note for note in report.notes)


def test_the_published_split_with_most_of_it_missing(raw, tmp_path):
    report = prepare(Acdc(), raw, tmp_path / "out")
    assert report.split == "ssl4mis"
    assert len(report.missing) == 95
    assert "patient099" in report.missing
    # patient001 belongs to the published test list; 004, 005 and 003 to train, in this order.
    assert PreparedDataset.open(tmp_path / "out").split.train == (
        "patient004",
        "patient005",
        "patient003",
    )
    assert report.parts["test"].patients == 1


def test_patients_outside_the_split_are_prepared_and_named(raw_acdc, raw, tmp_path):
    raw_acdc.add(120, level="testing")
    assert prepare(Acdc(), raw, tmp_path / "out").unused == ("patient120",)


def test_several_workers_write_what_one_writes(raw, tmp_path):
    run(raw, tmp_path / "one")
    run(raw, tmp_path / "two", workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


class Stop(Exception):
    pass


def test_an_interrupted_preparation_goes_on(raw, tmp_path):
    def stop(stage, done, total):
        if (stage, done) == ("write", 3):
            raise Stop

    out = tmp_path / "out"
    with pytest.raises(Stop):
        run(raw, out, progress=stop)
    assert not (out / "dataset.json").exists()
    (out / "cases/patient004_frame01.h5.partial").write_bytes(b"half")
    assert run(raw, out).written == 7
    run(raw, tmp_path / "whole")
    assert files_of(out) == files_of(tmp_path / "whole")


def test_two_files_of_two_preparations_never_stand_side_by_side(raw, tmp_path, monkeypatch):
    """Nothing but split and rule is another: no case is put in its place again, both files are."""
    out = tmp_path / "out"
    run(raw, out)

    def stop(path, content):
        if path.name == "dataset.json":
            raise Stop
        write_json(path, content)

    monkeypatch.setattr("dacl.data.prepare.write_json", stop)
    with pytest.raises(Stop):
        run(raw, out, split="random:1", rule="percentile")
    with pytest.raises(DaclError, match="has no dataset"):
        PreparedDataset.open(out)


def aside(out):
    return sorted(path.name for path in out.glob("cases/*.checked"))


def test_what_was_checked_before_an_interruption_is_neither_lost_nor_taken_for_another(
    raw_acdc, raw, tmp_path
):
    def stop(stage, done, total):
        if done == 4:
            raise Stop

    out = tmp_path / "out"
    run(raw, out)
    whole = files_of(out)
    sound = gt(raw, "patient001").read_bytes()
    raw_acdc.save(gt(raw, "patient001"), raw_acdc.mask()[::-1].copy())
    raw_acdc.save(gt(raw, "patient002"), raw_acdc.mask()[::-1].copy())
    with pytest.raises(Stop):
        run(raw, out, progress=stop)
    assert aside(out) == ["patient001_frame01.h5.checked", "patient002_frame01.h5.checked"]
    assert files_of(out) == whole
    gt(raw, "patient001").write_bytes(sound)
    assert run(raw, out).written == 1
    assert aside(out) == []
    run(raw, tmp_path / "again")
    assert files_of(out) == files_of(tmp_path / "again")


def test_a_finding_leaves_a_dataset_as_it_was(raw_acdc, raw, tmp_path):
    out = tmp_path / "out"
    run(raw, out)
    whole = files_of(out)
    raw_acdc.save(gt(raw, "patient001"), raw_acdc.mask()[::-1].copy())
    gt(raw, "patient005").write_bytes(b"")
    with pytest.raises(BadCases):
        run(raw, out)
    assert files_of(out) == whole
    assert aside(out) == []
    report = run(raw, out, skip_bad=True)
    assert (report.written, aside(out)) == (1, [])


def test_only_changed_sources_are_written_again(raw_acdc, raw, tmp_path):
    first = run(raw, tmp_path / "out")
    assert run(raw, tmp_path / "out").written == 0
    changed = raw_acdc.mask()
    changed[0, 0, 0] = 1
    raw_acdc.save(gt(raw, "patient002"), changed)
    second = run(raw, tmp_path / "out")
    assert second.written == 1
    assert second.fingerprint != first.fingerprint


def test_new_cases_never_stand_under_the_old_index(raw_acdc, raw, tmp_path):
    """Killed after one of two changed cases, the folder is no dataset until it is complete."""
    out = tmp_path / "out"
    run(raw, out)
    for patient in ("patient002", "patient004"):
        raw_acdc.save(gt(raw, patient), raw_acdc.mask()[::-1].copy())
    held = []

    def stop(stage, done, total):
        if stage == "write":
            held.append((out / "dataset.json").exists())
            if done == 3:
                raise Stop

    with pytest.raises(Stop):
        run(raw, out, progress=stop)
    assert held == [True, True, False]
    with pytest.raises(DaclError, match="not a prepared dataset"):
        PreparedDataset.open(out)
    assert run(raw, out).written == 1
    run(raw, tmp_path / "whole")
    assert files_of(out) == files_of(tmp_path / "whole")


def test_the_fingerprint_is_of_the_content(raw, tmp_path):
    first = run(raw, tmp_path / "a").fingerprint
    assert run(raw, tmp_path / "b", split="random:1").fingerprint == first
    moved = tmp_path / "raw2/database"
    shutil.copytree(raw, moved)
    assert run(moved.parent, tmp_path / "c").fingerprint == first
    assert run(raw, tmp_path / "d", rule="zscore").fingerprint != first


def test_all_findings_at_once_and_nothing_written(raw_acdc, raw, tmp_path):
    gt(raw, "patient001").write_bytes(gt(raw, "patient001").read_bytes()[:-9])
    raw_acdc.save(gt(raw, "patient002"), raw_acdc.mask() * 0)
    (raw / "training/patient003/Info.cfg").unlink()
    with pytest.raises(BadCases) as caught:
        run(raw, tmp_path / "out")
    assert [f.case for f in caught.value.findings] == [
        "patient003",
        "patient001_frame01",
        "patient002_frame01",
    ]
    assert caught.value.findings[1].file == "training/patient001/patient001_frame01_gt.nii.gz"
    assert all(f.problem and f.fix for f in caught.value.findings)
    assert not (tmp_path / "out").exists()


def test_one_preparation_at_a_time(raw, tmp_path):
    """Two would write each other's cases, and a file that changes while HDF5 reads it can hold it for ever."""
    out = tmp_path / "out"
    seen = []

    def second(stage, done, _total):
        if not seen:
            seen.append((stage, done))
            with pytest.raises(DaclError, match="another process is preparing"):
                run(raw, out, rule="zscore")

    first = run(raw, out, progress=second)
    assert seen
    assert PreparedDataset.open(out).fingerprint == first.fingerprint
    assert run(raw, out, rule="zscore").fingerprint != first.fingerprint


def test_bad_cases_are_left_out_where_asked(raw, tmp_path):
    gt(raw, "patient001").write_bytes(b"")
    (raw / "training/patient003/Info.cfg").unlink()
    report = run(raw, tmp_path / "out", skip_bad=True, split="ssl4mis")
    assert report.skipped == ("patient001_frame01", "patient003_frame01", "patient003_frame09")
    assert len(report.findings) == 2
    dataset = PreparedDataset.open(tmp_path / "out")
    assert "patient003" in dataset.split.missing
    assert [info.id for info in dataset.cases(["patient001"])] == ["patient001_frame09"]
    assert "--skip-bad" in dataset.prepare_command


def test_only_checking_writes_nothing(raw, tmp_path):
    report = run(raw, None)
    assert report.root is None
    assert report.parts["train"].slices == 18
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def copy_patient(raw, source, target):
    shutil.copytree(raw / "training" / source, raw / "training" / target)
    for path in (raw / "training" / target).glob("*.nii.gz"):
        path.rename(path.with_name(path.name.replace(source, target)))


def test_a_patient_copied_under_another_name_is_a_finding(raw, tmp_path):
    copy_patient(raw, "patient002", "patient050")
    with pytest.raises(BadCases) as caught:
        run(raw, tmp_path / "out")
    assert [f.case for f in caught.value.findings] == ["patient050_frame01", "patient050_frame09"]
    assert "patient002_frame01" in caught.value.findings[0].problem


def test_one_image_with_two_masks_is_a_note_that_names_the_parts(raw_acdc, raw, tmp_path):
    # patient076 of ACDC is patient074, annotated a second time; ssl4mis-dev parts the two.
    for patient in ("patient074", "patient076"):
        copy_patient(raw, "patient002", patient)
    shutil.rmtree(raw / "training/patient002")
    for frame in ("01", "09"):
        raw_acdc.save(gt(raw, "patient076", frame), raw_acdc.mask()[::-1].copy())
    out = tmp_path / "out"
    expected = tuple(
        f"patient074_frame{n} (train) and patient076_frame{n} (test) are one image with two masks"
        for n in ("01", "09")
    )
    assert set(expected) < set(prepare(Acdc(), raw, out, split="ssl4mis-dev").notes)
    assert PreparedDataset.open(out).notes == expected
    # A dataset that was prepared before notes were kept gets them, and its cases stay.
    index = json.loads((out / "dataset.json").read_text())
    del index["notes"]
    (out / "dataset.json").write_text(json.dumps(index))
    assert prepare(Acdc(), raw, out, split="ssl4mis-dev").written == 0
    assert PreparedDataset.open(out).notes == expected


def test_one_image_with_one_mask_is_said_so(raw, tmp_path):
    copy_patient(raw, "patient002", "patient050")
    for frame in ("01", "09"):
        gt(raw, "patient050", frame).unlink()
    run(raw, tmp_path / "out")
    notes = PreparedDataset.open(tmp_path / "out").notes
    assert len(notes) == 2
    assert all(note.endswith("are one image with one mask") for note in notes)


@pytest.mark.parametrize("name", ["random:x", "random", "foo"])
def test_a_wrong_split_name_is_refused_before_any_case_is_checked(raw, tmp_path, name):
    checked = []
    with pytest.raises(DaclError, match=f"split '{name}'"):
        run(raw, tmp_path / "out", split=name, progress=lambda *call: checked.append(call))
    assert not checked


def test_folders_in_use_are_refused(raw, tmp_path):
    with pytest.raises(DaclError, match="raw folder itself"):
        run(raw, raw)
    with pytest.raises(DaclError, match="not a prepared dataset"):
        run(raw, raw.parent)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DaclError, match="is a file"):
        run(raw, tmp_path / "file")
    run(raw, tmp_path / "out")
    marker = {"synthetic": True, "name": "phantom", "split": None}
    (raw / "phantom.json").write_text(json.dumps(marker))
    with pytest.raises(DaclError, match="holds the dataset 'acdc', this one is 'phantom'"):
        run(raw, tmp_path / "out")


def test_the_dataset_of_another_reader_is_refused(raw_acdc, raw, tmp_path):
    out = tmp_path / "out"
    run(raw, out)
    before = files_of(out)
    copy = tmp_path / "ACDC/data"
    copy.mkdir(parents=True)
    for number in range(1, 4):
        with h5py.File(copy / f"patient{number:03d}_frame01.h5", "w") as file:
            file["image"] = raw_acdc.volume(number).astype("f4").T
            file["label"] = raw_acdc.mask().T
    with pytest.raises(DaclError, match="preprocess acdc`, not by `ssl4mis`") as caught:
        prepare(Ssl4mis(), copy.parent, out, split="random:0")
    assert "another folder" in caught.value.hint
    assert files_of(out) == before


def test_a_damaged_index_is_mended(raw, tmp_path):
    run(raw, tmp_path / "out")
    (tmp_path / "out/dataset.json").write_text("{")
    assert run(raw, tmp_path / "out").written == 0
    PreparedDataset.open(tmp_path / "out")


def test_the_phantoms_own_split_is_the_default(raw, tmp_path):
    split = {"train": ["patient002", "patient001"], "val": ["patient003"], "test": ["patient004"]}
    marker = {"synthetic": True, "name": "phantom", "split": split}
    (raw / "phantom.json").write_text(json.dumps(marker))
    prepare(Acdc(), raw, tmp_path / "out")
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.synthetic
    assert dataset.split.name == "phantom"
    assert dataset.split.train == ("patient002", "patient001")


def test_no_training_patients(raw_acdc, tmp_path):
    raw_acdc.add(1)
    with pytest.raises(DaclError, match="none of the training patients"):
        prepare(Acdc(), raw_acdc.raw, tmp_path / "out")


def test_nothing_usable(raw_acdc, tmp_path):
    (raw_acdc.add(1) / "Info.cfg").unlink()
    with pytest.raises(DaclError, match="no usable case"):
        run(raw_acdc.raw, tmp_path / "out", skip_bad=True)


def test_real_acdc(real_acdc, tmp_path):
    report = prepare(Acdc(), real_acdc, tmp_path / "out", workers=2)
    assert report.labeled_slices[3] == 68
    assert report.labeled_slices[7] == 136
    assert report.labeled_slices == report.published_slices
    (z0, y0, _), (z1, y1, _) = report.spacing_mm
    assert 5 <= z0 <= z1 <= 10
    assert 0.7 <= y0 <= y1 <= 1.96
    dataset = PreparedDataset.open(tmp_path / "out")
    assert {info.class_voxels[0] > 0 for info in dataset.infos.values()} == {True}


def test_what_a_file_browser_left_does_not_occupy_a_folder(raw, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".DS_Store").write_bytes(b"\0")
    assert run(raw, out).written == 10
