"""An exported model gives the masks of the one that was trained, and says what it is."""

import errno
import json
import os
from pathlib import Path

import made_scans as made
import numpy as np
import pytest
import torch

from dacl import DaclError, Predictor
from dacl.atomic import write_json
from dacl.model_export import export, onnx_file
from dacl.model_export.export import export_model
from dacl.prediction.model import load_model

pytest.importorskip("safetensors", reason="needs the extra `export`")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write_model(tmp_path_factory.mktemp("models") / "some-run", made.RESAMPLE)


@pytest.mark.parametrize("network", ["a", "b", "mean"])
@pytest.mark.parametrize("image", [made.RESAMPLE, made.VOLUMES])
def test_safetensors_predict_the_same_bits(tmp_path: Path, image: dict, network: str) -> None:
    run = made.write_model(tmp_path / "run", image)
    found = export_model(run, tmp_path / "model.safetensors", network=network)
    assert found.largest_difference == 0
    scan = made.write_scan(tmp_path / "scan.nii.gz", codes="RAS")
    wanted = Predictor.load(run, network=network, device="cpu").predict(scan)
    again = Predictor.load(found.model, device="cpu").predict(scan)
    np.testing.assert_array_equal(again.mask_ZHW, wanted.mask_ZHW)
    assert np.unique(wanted.mask_ZHW).size > 2
    assert again.warnings == wanted.warnings == ()
    (model,) = again.record["models"]
    assert model["file"] == "model.safetensors"
    assert model["source"] == {
        "file": "best.pt", "sha256": wanted.record["models"][0]["sha256"],
    }  # fmt: skip


def test_one_network_is_half_of_two_and_no_other_can_be_asked_for(
    tmp_path: Path, run: Path
) -> None:
    both = export_model(run, tmp_path / "both.safetensors", network="mean").model
    one = export_model(run, tmp_path / "one.safetensors", network="b").model
    assert 1.9 < both.stat().st_size / one.stat().st_size < 2.1
    assert load_model(both, CPU).network == "mean"
    assert load_model(one, CPU).method.judged == ("b",)
    with pytest.raises(DaclError, match="has no network 'a'"):
        load_model(one, CPU, network="a")


def test_a_shared_encoder_is_exported_with_its_decoder(tmp_path: Path) -> None:
    run = made.write_model(tmp_path / "run", made.RESAMPLE, shared_encoder=True)
    scan = made.write_scan(tmp_path / "scan.nii.gz")
    for network in ("b", "mean"):
        file = export_model(run, tmp_path / f"{network}.safetensors", network=network).model
        wanted = Predictor.load(run, network=network, device="cpu").predict(scan)
        found = Predictor.load(file, device="cpu").predict(scan)
        np.testing.assert_array_equal(found.mask_ZHW, wanted.mask_ZHW)


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DaclError, match=r"cannot write .*No space left") as raised:
        export_model(run, tmp_path / "out" / "model.safetensors")
    assert "free some space" in raised.value.hint
    assert list((tmp_path / "out").iterdir()) == []


def test_the_same_export_twice_is_the_same_file(tmp_path: Path, run: Path) -> None:
    one = export_model(run, tmp_path / "one.safetensors").model
    two = export_model(run, tmp_path / "two.safetensors").model
    assert one.read_bytes() == two.read_bytes()
    # neither patients nor folders travel
    for secret in (b"hidden-name", b"nowhere", str(tmp_path).encode()):
        assert secret not in one.read_bytes()


def test_labeled_patients_that_were_chosen_by_name_do_not_travel(tmp_path: Path) -> None:
    run = made.write_model(tmp_path / "run", made.RESAMPLE)
    state = torch.load(run / "best.pt", weights_only=True)
    state["config"]["labeled_cases"] = ["hidden-name"]
    torch.save(state, run / "best.pt")
    found = export_model(run, tmp_path / "model.safetensors").model
    assert b"hidden-name" not in found.read_bytes()
    read = load_model(found, CPU)
    assert (read.config.labeled, read.config.labeled_cases) == (1, ())
    # what the run was stays known
    trained = load_model(run, CPU)
    assert trained.config.labeled_cases == ("hidden-name",)
    assert read.about["config_hash"] == trained.about["config_hash"]
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    assert b"hidden-name" not in export_model(run, tmp_path / "model.onnx").model.read_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no such file format", "damaged or no safetensors"), (None, "no model of dacl")],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    from safetensors.torch import save

    file = tmp_path / "model.safetensors"
    file.write_bytes(content or save({"weight": torch.zeros(2)}))
    with pytest.raises(DaclError, match=said):
        Predictor.load(file, device="cpu")
    with pytest.raises(DaclError, match="no model"):
        Predictor.load(tmp_path / "absent.safetensors", device="cpu")


@pytest.fixture(scope="module", params=[made.RESAMPLE, made.VOLUMES], ids=["2D", "3D"])
def exported(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    pytest.importorskip("onnxscript", reason="needs the extra `export`")
    folder = tmp_path_factory.mktemp("onnx")
    run = made.write_model(folder / "run", request.param)
    network = "mean" if request.param is made.RESAMPLE else "a"
    found = export_model(run, folder / "model.onnx", network=network)
    assert found.largest_difference < 1e-4
    return run, found.model.read_bytes()


def test_onnx_answers_as_pytorch_does_whatever_the_size(exported: tuple[Path, bytes]) -> None:
    pytest.importorskip("onnxruntime", reason="an oracle of the development extra")
    run, content = exported
    props = properties(content)
    model = load_model(run, CPU, network=json.loads(props["dacl"])["network"])
    sides = [(1, 16, 48, 32), (3, 32, 64, 16), (2, 16, 16, 112)]
    for batch, *side in sides:
        shape = (batch, 1, *side[-int(props["dims"]) :])
        image = torch.rand(shape, generator=torch.Generator().manual_seed(batch))
        found, by = onnx_file.run_onnx(content, image)
        wanted = model.method.predict(image)[model.network]
        assert by.startswith("ONNX Runtime")
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
        first, second = wanted.topk(2, dim=1).values.unbind(dim=1)
        sure = first - second > 1e-3
        assert sure.float().mean() > 0.95
        torch.testing.assert_close(found.argmax(1)[sure], wanted.argmax(1)[sure])
        assert wanted.argmax(1).unique().numel() > 2


def test_without_a_runtime_the_reference_evaluator_checks(
    exported: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, content = exported
    model = load_model(run, CPU, network=json.loads(properties(content)["dacl"])["network"])
    image = torch.rand(1, 1, *[16, 16, 16][-model.config.image.dims :])
    monkeypatch.setattr(onnx_file, "find_spec", lambda _name: None)
    found, by = onnx_file.run_onnx(content, image)
    assert by.startswith("the reference evaluator")
    torch.testing.assert_close(found, model.method.predict(image)[model.network], atol=1e-4, rtol=0)


def test_the_file_says_how_it_is_fed(exported: tuple[Path, bytes]) -> None:
    run, content = exported
    said = properties(content)
    assert json.loads(said["class_names"]) == list(made.CLASSES)
    assert (said["intensity"], said["geometry"], said["orientation"]) == (
        "minmax",
        "resample",
        "LPS",
    )
    dims = int(said["dims"])
    assert json.loads(said["spacing_mm"]) == [2.0, 1.0, 1.0][-dims:]
    assert json.loads(said["patch"]) == [16, 32, 32][-dims:]
    assert said["input"].startswith("image: float32 (B, C, ")
    assert "softmax" in said["output"]
    assert json.loads(said["dacl"])["about"]["run"] == "run"
    for secret in (b"hidden-name", str(run.parent).encode(), b"/dacl/networks"):
        assert secret not in content


def properties(content: bytes) -> dict[str, str]:
    import onnx

    return {each.key: each.value for each in onnx.load_from_string(content).metadata_props}


def test_a_model_that_answers_otherwise_is_not_written(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = export.run_safetensors

    def shifted(content: bytes, image: torch.Tensor) -> tuple[torch.Tensor, str]:
        found, by = honest(content, image)
        return found.roll(1, dims=1), by

    monkeypatch.setattr(export, "run_safetensors", shifted)
    with pytest.raises(DaclError, match="does not answer as PyTorch does") as caught:
        export_model(run, tmp_path / "model.safetensors")
    assert "nothing was written" in caught.value.hint
    assert list(tmp_path.iterdir()) == []

    def cut(content: bytes, image: torch.Tensor) -> tuple[torch.Tensor, str]:
        found, by = honest(content, image)
        return found[..., :-1], by

    monkeypatch.setattr(export, "run_safetensors", cut)
    with pytest.raises(DaclError, match="shape"):
        export_model(run, tmp_path / "model.safetensors")


def test_what_is_there_stays_unless_asked(tmp_path: Path, run: Path) -> None:
    (tmp_path / "model.safetensors.md").write_text("mine")
    with pytest.raises(DaclError, match=r"model\.safetensors\.md is there already"):
        export_model(run, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
    export_model(run, tmp_path / "model.safetensors", overwrite=True)
    assert (tmp_path / "model.safetensors.md").read_text().startswith("# Model card")
    with pytest.raises(DaclError, match=r"no format '\.pt'"):
        export_model(run, tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("module", "ending"), [("onnx", "onnx"), ("onnxscript", "onnx"), ("safetensors", "safetensors")]
)
def test_a_missing_package_names_the_extra(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, module: str, ending: str
) -> None:
    from dacl import extras

    real = extras.importlib.import_module

    def absent(name: str) -> object:
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name)

    monkeypatch.setattr(extras.importlib, "import_module", absent)
    with pytest.raises(DaclError, match=f"{module} is not installed") as caught:
        export_model(run, tmp_path / f"model.{ending}")
    assert caught.value.hint == "pip install 'dacl[export]'"


class TestCard:
    def test_without_an_evaluation_it_says_so(self, tmp_path: Path, run: Path) -> None:
        text = export_model(run, tmp_path / "m.safetensors").card.read_text()
        assert "Not evaluated" in text
        assert "Not evaluated on test patients" in text
        assert "**For research. Not a medical device" in text
        assert "fingerprint ffffffffffff" in text
        assert "labels of 1 patient\n" in text
        assert "scans were mirrored in training" in text
        assert "8 x 1.5 x 1.25 mm (z, y, x)" in text
        assert "Each slice to 1 mm in plane, bilinearly" in text
        assert "dacl does not know the terms of this data" in text
        assert 'Predictor.load("m.safetensors")' in text
        assert "hidden-name" not in text
        assert str(tmp_path) not in text

    def test_scores_are_those_of_this_checkpoint_and_network(self, tmp_path: Path) -> None:
        run = made.write_model(tmp_path / "run")
        for name, step, dice in (("test-best", 1, 0.625), ("test-old", 7, 0.99)):
            write_json(run / "evaluation" / name / "summary.json", summary(step, dice))
        (run / "evaluation" / "damaged").mkdir()
        (run / "evaluation" / "damaged" / "summary.json").write_text("{")
        text = export_model(run, tmp_path / "m.safetensors").card.read_text()
        assert "| foreground | 62.50 | 5.00 | 55.00-70.00 | 1.25 | 2 | 1 |" in text
        assert "| RV | - | - | - | - | 0 | 0 |" in text
        assert "99.00" not in text
        assert "20 patients, 40 volumes" in text
        assert "- one seed: the interval" in text
        # notes on the data name patients
        assert "patient074" not in text
        assert "Not evaluated" not in text

    @pytest.mark.parametrize(
        ("dataset", "image", "intensity", "said"),
        [
            ("acdc", made.RESIZE, "minmax", ["CC BY-NC-SA", "32x32, nearest neighbour"]),
            ("synapse", made.VOLUMES, "hu:-75:275", ["synapse.org", "[-75, 275]", "16x32x32"]),
            ("phantom", made.RESIZE, "zscore", ["synthetic: no patient's data", "deviation 1"]),
        ],
    )
    def test_data_and_feeding(
        self, tmp_path: Path, dataset: str, image: dict, intensity: str, said: list[str]
    ) -> None:
        run = made.write_model(
            tmp_path / "run", image, dataset_name=dataset, intensity=intensity,
            synthetic=dataset == "phantom", modality="",
        )  # fmt: skip
        text = export_model(run, tmp_path / "m.safetensors").card.read_text()
        for part in said:
            assert part in text
        assert ("**synthetic**" in text) == (dataset == "phantom")
        assert "modality not recorded" in text

    @pytest.mark.parametrize("dataset", ["acdc-like", "synapse2", "phantom", "phantoms-of-ours"])
    def test_a_name_that_begins_alike_claims_no_licence(self, tmp_path: Path, dataset: str) -> None:
        run = made.write_model(tmp_path / "run", dataset_name=dataset, synthetic=False)
        text = export_model(run, tmp_path / "m.safetensors").card.read_text()
        licence = text.split("## Licence of the data\n\n")[1].split("\n")[0]
        assert licence.startswith("dacl does not know the terms of this data")


def summary(step: int, dice: float) -> dict:
    """What `dacl evaluate` leaves, as far as a card reads it."""
    nothing = {"mean": None, "std_over_patients": None, "ci95_over_patients": None}
    counts = {"n_missed": 0, "n_spurious": 0}
    found = {"mean": dice, "std_over_patients": 0.05, "ci95_over_patients": [0.55, 0.7]}
    return {
        "protocol": {
            "dataset": "made", "evaluated_on": "test", "split": "made", "resolution": "native",
            "post_processing": "none", "empty_rule": "strict",
        },
        "provenance": {"checkpoint": "best.pt", "checkpoint_step": step},
        "n_patients": 20, "n_volumes": 40,
        "networks": {
            "a": {
                "RV": {"dice": nothing, "asd_mm": nothing, **counts},
                "foreground": {
                    "dice": found, "asd_mm": {**found, "mean": 1.25}, "n_missed": 2, "n_spurious": 1,
                },
            }
        },
        "notes": ["patient074 and patient076 are one image", "one seed: the interval is over patients"],
    }  # fmt: skip
