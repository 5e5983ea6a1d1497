"""`dacl analyze density` as typed."""

import json
from pathlib import Path

import pytest
import tiny_run
import torch

from dacl.analysis.density.analysis import DensityRequest, analyze_density
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.training import checkpoint


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny_run.write_dataset(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture
def run(tmp_path: Path, dataset: PreparedDataset) -> Path:
    return tiny_run.write_run(tmp_path / "run", dataset)


def journal(run: Path) -> None:
    by_class = dict.fromkeys(tiny_run.CLASSES[1:], 0.5)
    keys = ("density", "key_density", "anchor_density", "compactness", "feature_density")
    with (run / "metrics.jsonl").open("w") as file:
        for step in (25, 50):
            record = {"kind": "train", "step": step, "diagnostics": dict.fromkeys(keys, by_class)}
            file.write(json.dumps(record) + "\n")


def test_as_typed_with_nothing_else(run_dacl, run: Path) -> None:
    journal(run)
    outcome = run_dacl("analyze", "density", run / "best.pt")
    assert outcome.code == 0, outcome.err
    folder = run / "analysis" / "density"
    for stem in ("units", "slice", "training"):
        assert (folder / f"{stem}.png").stat().st_size > 5000
        assert (folder / f"{stem}.svg").is_file()
    document = json.loads((folder / "density.json").read_text())
    assert document["synthetic"] is True
    assert document["protocol"]["space"] == "projection"
    assert document["protocol"]["slice"]["evaluated_on"] == "test"
    assert document["provenance"]["checkpoint"] == "best.pt"
    assert set(document["classes"]) == set(tiny_run.CLASSES[1:])
    assert document["slice"]["wrong_anchors"] <= document["slice"]["anchors"]
    assert f"of {document['slice']['anchors']} anchor pixels" in outcome.out
    assert "(synthetic)" in outcome.out
    assert "compactness" in outcome.out


@pytest.mark.usefixtures("unchecked")
def test_a_slice_that_was_trained_on_is_refused(run: Path) -> None:
    with pytest.raises(DaclError, match="no split 'train' to judge on") as raised:
        analyze_density(run, DensityRequest(split="train"))
    assert raised.value.hint == "choose one of: val, test"


def test_without_a_journal_there_is_no_curve_and_that_is_said(run_dacl, run: Path) -> None:
    outcome = run_dacl("analyze", "density", run, "--json", "--batches", 1)
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert not any("training" in file for file in document["files"])
    assert any("no metrics.jsonl" in note for note in document["notes"])


def test_the_median_case_of_the_evaluation_is_shown(run_dacl, run: Path) -> None:
    folder = run / "evaluation" / "test-best"
    folder.mkdir(parents=True)
    summary = {"shown_cases": {"median": {"case": "p5_frame02", "dice": 0.5}}}
    (folder / "summary.json").write_text(json.dumps(summary))
    outcome = run_dacl("analyze", "density", run, "--json", "--batches", 1)
    assert json.loads(outcome.out)["protocol"]["slice"]["case"] == "p5_frame02"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--case", "p1_frame01"], 1, "p1_frame01"),
        (["--slice", "9"], 1, "no slice 9"),
        (["--network", "mean"], 2, "mean"),
        (["--batches", "0"], 2, "batches"),
    ],
)
def test_what_cannot_be_is_said(run_dacl, run: Path, arguments, code, said) -> None:
    outcome = run_dacl("analyze", "density", run, *arguments)
    assert outcome.code == code
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert not (run / "analysis").exists()


def test_a_method_without_a_contrast(run_dacl, tmp_path: Path, dataset: PreparedDataset) -> None:
    run = tiny_run.write_run(tmp_path / "cps", dataset, method="cps")
    outcome = run_dacl("analyze", "density", run, "--batches", 1)
    assert outcome.code == 0, outcome.err
    assert "cps has no contrast" in outcome.out
    refused = run_dacl("analyze", "density", run, "--space", "projection")
    assert refused.code == 1
    assert "--space features" in refused.err


def test_features_that_are_not_finite_are_refused(run_dacl, run: Path) -> None:
    state = checkpoint.load(run / "best.pt")
    for key, value in state["method"].items():
        if value.is_floating_point():
            state["method"][key] = torch.full_like(value, torch.nan)
    checkpoint.save(run / "best.pt", state)
    outcome = run_dacl("analyze", "density", run, "--batches", 1)
    assert outcome.code == 1
    assert "not finite" in outcome.err
