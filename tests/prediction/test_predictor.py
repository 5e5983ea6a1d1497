"""A predicted mask is the mask that an evaluation writes, and lies where its scan lies."""

import json
import subprocess
import sys
from pathlib import Path

import made_scans as made
import nibabel as nib
import numpy as np
import pytest
import torch

from dacl import DaclError, Predictor
from dacl.experiments.evaluation import Request, evaluate
from dacl.inference.postprocess import largest_component
from dacl.prediction.scan import Unusable
from dacl.training import checkpoint


def canonical(path: Path) -> np.ndarray:
    """A file's voxels in nibabel's canonical orientation: the same place in the world, whatever is stored."""
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)


@pytest.mark.parametrize(
    ("image", "codes"), [(made.RESIZE, "SLA"), (made.RESAMPLE, "LPS"), (made.VOLUMES, "RAS")]
)
def test_it_is_the_mask_that_an_evaluation_writes(tmp_path: Path, image: dict, codes: str) -> None:
    scans = {
        name: made.write_scan(tmp_path / "raw" / f"{name}.nii.gz", made.volume(n), codes=codes)
        for n, name in enumerate(["p1", "p2", "p3"])
    }
    dataset = made.write_dataset(tmp_path / "data", scans)
    run = made.write_model(tmp_path / "run", image, dataset=dataset)
    for network in ("a", "mean"):
        out = tmp_path / f"evaluated-{network}"
        evaluate(run, Request(network=network, pictures=False, device="cpu", out=out))
        predictor = Predictor.load(run, network=network, device="cpu")
        mask, _ = predictor.predict(scans["p3"]).save(tmp_path / f"mask-{network}.nii.gz")
        assert np.unique(nib.load(mask).dataobj).size > 2
        assert mask.read_bytes() == (out / "predictions" / "p3.nii.gz").read_bytes()


@pytest.mark.parametrize(
    ("image", "codes"), [(made.RESIZE, "LAS"), (made.RESAMPLE, "PIR"), (made.VOLUMES, "SRA")]
)
def test_another_storage_order_changes_neither_place_nor_mask(
    tmp_path: Path, image: dict, codes: str
) -> None:
    predictor = Predictor.load(made.write_model(tmp_path / "run", image), device="cpu")
    plain = made.write_scan(tmp_path / "plain.nii.gz")
    turned = made.write_scan(tmp_path / "turned.nii.gz", codes=codes)
    first = predictor.predict(plain)
    second = predictor.predict(turned)
    first.save(tmp_path / "first.nii.gz")
    second.save(tmp_path / "second.nii.gz")
    np.testing.assert_array_equal(
        canonical(tmp_path / "first.nii.gz"), canonical(tmp_path / "second.nii.gz")
    )
    written, source = nib.load(tmp_path / "second.nii.gz"), nib.load(turned)
    assert written.shape == source.shape
    np.testing.assert_array_equal(written.affine, source.affine)
    np.testing.assert_array_equal(np.asarray(written.dataobj), second.mask_XYZ)
    assert first.warnings == second.warnings == ()
    assert second.record["image"]["orientation"] == codes


def test_the_same_scan_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made.write_model(tmp_path / "run", made.RESAMPLE)
    scan = made.write_scan(tmp_path / "scan.nii.gz")
    for name, now in (("one", 1e9), ("two", 1.5e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        found = Predictor.load(run, device="cpu").predict(
            scan, probabilities=tmp_path / name / "p.nii.gz"
        )
        found.save(tmp_path / name / "scan.nii.gz")
    for file in ("scan.nii.gz", "scan.json", "p.nii.gz"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("image", [made.RESAMPLE, made.VOLUMES])
def test_probabilities_lie_on_the_scans_grid_and_their_argmax_is_the_mask(
    tmp_path: Path, image: dict
) -> None:
    predictor = Predictor.load(made.write_model(tmp_path / "run", image), device="cpu")
    scan = made.write_scan(tmp_path / "scan.nii.gz", codes="SLA")
    found = predictor.predict(scan, probabilities=tmp_path / "p.nii.gz")
    written = nib.load(tmp_path / "p.nii.gz")
    probs_XYZN = np.asarray(written.dataobj)
    assert written.get_data_dtype() == np.float32
    assert probs_XYZN.shape == (*nib.load(scan).shape, 4)
    np.testing.assert_array_equal(written.affine, nib.load(scan).affine)
    np.testing.assert_array_equal(probs_XYZN.argmax(axis=-1), found.mask_XYZ)
    np.testing.assert_allclose(probs_XYZN.sum(axis=-1), 1, atol=1e-5)
    assert found.record["probabilities"] == "p.nii.gz"
    # nothing else is left in the folder
    assert {path.name for path in tmp_path.iterdir()} == {"p.nii.gz", "scan.nii.gz", "run"}


def test_post_processing_is_that_of_an_evaluation(tmp_path: Path) -> None:
    run = made.write_model(tmp_path / "run")
    scan = made.write_scan(tmp_path / "scan.nii.gz")
    plain = Predictor.load(run, device="cpu").predict(scan)
    kept = Predictor.load(run, device="cpu", post="largest-component").predict(scan)
    assert (plain.mask_ZHW != kept.mask_ZHW).any()
    np.testing.assert_array_equal(kept.mask_ZHW, largest_component(plain.mask_ZHW, 4))


def test_the_sidecar_says_what_was_found_and_what_made_it(tmp_path: Path) -> None:
    run = made.write_model(tmp_path / "some-run")
    scan = made.write_scan(tmp_path / "scan.nii.gz")
    found = Predictor.load(run, device="cpu").predict(scan)
    mask, beside = found.save(tmp_path / "out" / "mask.nii.gz")
    said = json.loads(beside.read_text())
    voxels = np.bincount(np.asarray(nib.load(mask).dataobj).ravel(), minlength=4)
    assert [(c["value"], c["name"], c["voxels"]) for c in said["classes"]] == [
        (i, name, voxels[i]) for i, name in enumerate(made.CLASSES)
    ]
    # 8 x 1.5 x 1.25 mm are 15 mm3
    assert said["classes"][3]["volume_ml"] == pytest.approx(voxels[3] * 0.015)
    assert found.volumes_ml["LV"] == said["classes"][3]["volume_ml"]
    assert said["mask"] == "mask.nii.gz"
    (model,) = said["models"]
    assert (model["file"], model["run"], model["method"], model["labeled_patients"]) == (
        "best.pt", "some-run", "cps", 1,
    )  # fmt: skip
    assert len(model["sha256"]) == len(said["image"]["files"]["scan.nii.gz"]) == 64
    assert said["options"] == {
        "network": ["a"], "tta": False, "post": "none", "device": "cpu", "precision": "fp32",
    }  # fmt: skip
    assert said["provenance"]["packages"]["torch"] == torch.__version__
    assert "hidden-name" not in beside.read_text()
    assert str(tmp_path) not in beside.read_text()


def test_saving_replaces_nothing_unasked(tmp_path: Path) -> None:
    predictor = Predictor.load(made.write_model(tmp_path / "run"), device="cpu")
    found = predictor.predict(made.write_scan(tmp_path / "scan.nii.gz"))
    with pytest.raises(DaclError, match="is there already"):
        found.save(tmp_path / "scan.nii.gz")
    with pytest.raises(DaclError, match="no name of a NIfTI file"):
        found.save(tmp_path / "scan.mha")
    with pytest.raises(DaclError, match="no name of a NIfTI file"):
        predictor.predict(tmp_path / "scan.nii.gz", probabilities=tmp_path / "p.npy")
    mask, beside = found.save(tmp_path / "mask.nii")
    assert beside.name == "mask.json"
    beside.write_text("old")
    found.save(mask, overwrite=True)
    assert json.loads(beside.read_text())["mask"] == "mask.nii"


def test_a_checkpoint_of_before_predicts(tmp_path: Path) -> None:
    run = made.write_model(tmp_path / "run", made.RESAMPLE)
    scan = made.write_scan(tmp_path / "scan.nii.gz")
    wanted = Predictor.load(run, device="cpu").predict(scan)
    state = checkpoint.load(run / "best.pt")
    for name in (
        "channel_names", "modality", "orientation", "spacing_low_mm", "spacing_high_mm",
    ):  # fmt: skip
        del state["meta"][name]
    checkpoint.save(run / "best.pt", {k: v for k, v in state.items() if k != "format"})
    found = Predictor.load(run, device="cpu").predict(scan)
    np.testing.assert_array_equal(found.mask_ZHW, wanted.mask_ZHW)
    assert found.warnings == ()
    turned = made.write_scan(tmp_path / "turned.nii.gz", codes="RAS")
    (warning,) = Predictor.load(run, device="cpu").predict(turned).warnings
    assert "turned from RAS to LPS" in warning


@pytest.mark.usefixtures("unchecked")
def test_post_processing_that_there_is_none_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DaclError, match="no post-processing 'largest_component'") as caught:
        Predictor.load(made.write_model(tmp_path / "run"), device="cpu", post="largest_component")
    assert caught.value.hint == "choose one of: none, largest-component"


def test_a_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = made.write_model(tmp_path / "run", method="supervised")
    with pytest.raises(DaclError, match="has no network 'b'") as caught:
        Predictor.load(run, network="b", device="cpu")
    assert caught.value.hint == "it has a"


def test_channels_are_counted_and_named(tmp_path: Path) -> None:
    one = Predictor.load(made.write_model(tmp_path / "one"), device="cpu")
    two = Predictor.load(
        made.write_model(tmp_path / "two", channels=2, channel_names=("T1", "T2")), device="cpu"
    )
    first = made.write_scan(tmp_path / "x_0000.nii.gz", made.volume(0))
    second = made.write_scan(tmp_path / "x_0001.nii.gz", made.volume(1))
    with pytest.raises(Unusable, match=r"2 channels, the model takes 1 channel \(MR\)"):
        one.predict([first, second])
    with pytest.raises(Unusable, match=r"1 channel, the model takes 2 channels \(T1, T2\)"):
        two.predict(first)
    found, swapped = two.predict([first, second]), two.predict([second, first])
    assert (found.mask_ZHW != swapped.mask_ZHW).any()
    assert set(found.record["image"]["files"]) == {"x_0000.nii.gz", "x_0001.nii.gz"}


def test_a_scan_that_preparing_refuses_is_refused_in_the_same_words(tmp_path: Path) -> None:
    predictor = Predictor.load(made.write_model(tmp_path / "run"), device="cpu")
    (tmp_path / "broken.nii.gz").write_bytes(b"no gzip")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 3), np.int16), np.eye(4)), tmp_path / "4d.nii.gz")
    made.write_scan(tmp_path / "flat.nii.gz", np.full(made.SHAPE_ZHW, 7, np.int16))
    for name, problem in (("broken", "unreadable"), ("4d", "3D"), ("flat", "constant image")):
        with pytest.raises(Unusable, match=problem) as caught:
            predictor.predict(tmp_path / f"{name}.nii.gz")
        assert caught.value.message.startswith(f"{name}.nii.gz: ")
        assert caught.value.hint


def test_importing_dacl_imports_nothing_heavy() -> None:
    program = (
        "import sys, dacl\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "assert dacl.Predictor.__name__ == 'Predictor' and 'torch' in sys.modules\n"
        "assert set(dacl.__all__) <= set(dir(dacl)) | {*dacl._WHERE}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    import dacl

    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        _ = dacl.Predicter


def test_a_scan_in_metres_is_refused(tmp_path: Path) -> None:
    path = made.write_scan(tmp_path / "scan.nii")
    content = bytearray(path.read_bytes())
    content[123] = 1
    path.write_bytes(content)
    predictor = Predictor.load(made.write_model(tmp_path / "run"), device="cpu")
    with pytest.raises(DaclError, match="in metres") as caught:
        predictor.predict(path)
    assert "in mm" in caught.value.hint
