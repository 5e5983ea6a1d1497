"""`dacl report` as typed."""

import json
import re
from pathlib import Path

import pytest
import tiny_run

from dacl.data.prepared import PreparedDataset
from dacl.experiments import judged

QUICK = ("--no-embeddings", "--device", "cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny_run.write_dataset(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture(autouse=True)
def quick_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = tiny_run.block_label(2)
    answers = {"a": mask, "b": mask, "mean": mask}
    monkeypatch.setattr(judged, "predict_volume", lambda *_args: dict(answers))


@pytest.fixture
def runs(tmp_path: Path, dataset: PreparedDataset) -> list[Path]:
    return [
        tiny_run.write_run(tmp_path / "runs" / f"seed{seed}", dataset, seed=seed) for seed in (0, 1)
    ]


def test_one_run_gets_its_report_in_its_folder(run_dacl, runs: list[Path]) -> None:
    outcome = run_dacl("report", runs[0], *QUICK)
    assert outcome.code == 0, outcome.err
    target = runs[0] / "report.html"
    assert re.search(
        rf"^{re.escape(str(target))} \(\d+\.\d MB, 4 cases\)$", outcome.out, re.MULTILINE
    )
    assert "seed0 was evaluated for this report" in outcome.out
    text = target.read_text()
    assert text.startswith("<!doctype html>")
    assert "not scans" in text  # the blocks are synthetic


def test_several_runs_get_theirs_beside_the_first(run_dacl, runs: list[Path]) -> None:
    outcome = run_dacl("report", *runs, "--split", "val", "--json", *QUICK)
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    target = runs[0].parent / "report.html"
    assert document["out"] == str(target)
    assert document["bytes"] == target.stat().st_size
    assert document["runs"] == ["seed0", "seed1"]
    assert document["cases"] == 2
    assert document["mixture"] == []
    assert document["embeddings"] == []


def test_out_is_obeyed_and_a_checkpoint_is_a_run(
    run_dacl, runs: list[Path], tmp_path: Path
) -> None:
    target = tmp_path / "mail" / "r.html"
    assert run_dacl("report", runs[0] / "latest.pt", "--out", target, *QUICK).code == 0
    assert target.is_file()
    assert not (runs[0] / "report.html").exists()
    assert (runs[0] / "evaluation" / "test-latest" / "summary.json").is_file()


def test_a_mixture_is_refused_and_said_when_forced(
    run_dacl, runs: list[Path], tmp_path: Path
) -> None:
    other = tiny_run.write_dataset(tmp_path / "others", name="others")
    stranger = tiny_run.write_run(tmp_path / "runs" / "stranger", other)
    refused = run_dacl("report", runs[0], stranger, *QUICK)
    assert refused.code == 1
    assert "not measured alike" in refused.err
    assert "--force" in refused.err
    assert not (runs[0].parent / "report.html").exists()
    forced = run_dacl("report", runs[0], stranger, "--force", *QUICK)
    assert forced.code == 0, forced.err
    assert "NOT COMPARABLE, forced: seed0 and stranger, dataset:" in forced.out
    assert "Not comparable" in (runs[0].parent / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere"], 1, "nowhere"),
        ([], 2, "RUN"),
        (["RUN", "--network", "teacher"], 2, "teacher"),
        (["RUN", "--data", "nowhere"], 1, "nowhere"),
        (["RUN", "RUN"], 1, "named twice"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(
    run_dacl, runs: list[Path], arguments: list[str], code: int, said: str
) -> None:
    outcome = run_dacl("report", *(runs[0] if word == "RUN" else word for word in arguments))
    assert outcome.code == code
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
