"""What a report gathers from runs that were written to disk."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tiny_run

from dacl.analysis.clusters.result import ClusterAnalysis, ClusterRequest
from dacl.config import resolve
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.experiments import judged
from dacl.experiments.evaluation import Request, evaluate
from dacl.experiments.report import content as report_content
from dacl.experiments.report import subjects as report_subjects
from dacl.experiments.report.content import ReportRequest, gather
from dacl.experiments.report.embeddings import PLOT_POINTS, embed
from dacl.experiments.report.facts import MEAN, UNKNOWN, cost
from dacl.experiments.report.subjects import open_runs, short_names

CASES = ["p4_frame01", "p4_frame02", "p5_frame01", "p5_frame02"]
PLAIN = ReportRequest(device="cpu", embeddings=False)


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedDataset:
    return tiny_run.write_dataset(tmp_path / "data" / "blocks")


@pytest.fixture
def runs(tmp_path: Path, dataset: PreparedDataset) -> list[Path]:
    return [
        tiny_run.write_run(tmp_path / "runs" / f"{method}-seed0", dataset, method=method)
        for method in ("supervised", "dacl")
    ]


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """What every network answers; b misses the LV."""
    answers = {
        "a": tiny_run.block_label(2), "b": tiny_run.block_label(1) % 3, "mean": tiny_run.block_label(1),
    }  # fmt: skip
    monkeypatch.setattr(judged, "predict_volume", lambda *_args: dict(answers))
    return answers


def test_a_run_is_evaluated_in_passing_and_not_twice(runs: list[Path], masks: object) -> None:
    seen: list[tuple[int, int]] = []
    first = gather(runs, PLAIN, lambda done, total, _: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (12, 12)  # four cases judged under two runs, then drawn
    assert "dacl-seed0 was evaluated for this report" in first.notes
    summary = runs[1] / "evaluation" / "test-best" / "summary.json"
    written = summary.read_bytes()
    again = gather(runs, PLAIN)
    assert summary.read_bytes() == written
    assert not any("evaluated for this report" in note for note in again.notes)
    assert again.runs[1].averages == first.runs[1].averages


def test_numbers_are_those_of_the_evaluation(runs: list[Path], masks: object) -> None:
    summary = evaluate(runs[1], Request(device="cpu", predictions=False, pictures=False)).summary
    report = gather(runs[1:], PLAIN)
    (run,) = report.runs
    assert list(run.averages) == ["RV", "Myo", "LV", MEAN]
    expected = summary["networks"]["a"]["foreground"]["dice"]
    assert run.averages[MEAN]["dice"].mean == expected["mean"]
    assert list(run.averages[MEAN]["dice"].ci95) == expected["ci95_over_patients"]
    assert run.protocol == summary["protocol"]
    assert run.provenance["command"] == summary["provenance"]["command"]
    assert [case.name for case in report.cases] == CASES
    assert report.synthetic
    # p5 is met; p4 is one row off. The RV is a ring of 12 x 12 - 8 x 8 = 80 pixels a slice, of which both rings hold
    # 11 x 12 rows of the outer block without the 9 x 8 that lie in an inner one: 60 of 80.
    dice = [case.dice[0]["RV"] for case in report.cases]
    assert dice == pytest.approx([0.75, 0.75, 1, 1])
    assert report.cases[0].aspect == pytest.approx(1.5 / 1.25)
    assert report.cases[0].shape == tiny_run.SHAPE
    rv = [score.values["dice"] for score in run.scores if score.class_name == "RV"]
    assert rv == pytest.approx(dice)
    assert {score.status for score in run.scores} == {"ok"}


def test_settings_that_a_hash_leaves_out_are_shown(runs: list[Path], masks: object) -> None:
    for run in gather(runs, PLAIN).runs:
        assert run.settings["image.mirror"] is True
        assert (run.settings["labeled_order"], run.settings["labeled_cases"]) == ("split", [])


def test_the_network_asked_for_is_shown(runs: list[Path], masks: dict[str, np.ndarray]) -> None:
    report = gather(runs[1:], ReportRequest(device="cpu", embeddings=False, network="b"))
    lv = [score for score in report.runs[0].scores if score.class_name == "LV"]
    assert {score.status for score in lv} == {"missed"}
    with pytest.raises(DaclError, match="has no network 'b'"):
        gather(runs, ReportRequest(device="cpu", embeddings=False, network="b"))


def test_another_checkpoint_since_is_judged_anew(runs: list[Path], masks: dict[str, np.ndarray]) -> None:  # fmt: skip
    gather(runs[1:], PLAIN)
    summary = runs[1] / "evaluation" / "test-best" / "summary.json"
    content = json.loads(summary.read_text())
    content["provenance"]["checkpoint_step"] += 1
    summary.write_text(json.dumps(content))
    report = gather(runs[1:], PLAIN)
    assert "dacl-seed0 was evaluated for this report" in report.notes
    assert json.loads(summary.read_text())["provenance"]["checkpoint_step"] == 0


def test_an_evaluation_that_lost_a_line_is_refused(runs: list[Path], masks: object) -> None:
    gather(runs[:1], PLAIN)
    cases = runs[0] / "evaluation" / "test-best" / "cases.csv"
    lines = cases.read_text().splitlines(keepends=True)
    cases.write_text("".join(line for line in lines if not line.startswith("p5_frame01,p5,Myo,a")))
    with pytest.raises(DaclError, match="damaged: it lacks p5_frame01 Myo, network a") as caught:
        gather(runs[:1], PLAIN)
    assert "dacl evaluate" in caught.value.hint


def test_masks_that_score_otherwise_are_said(
    runs: list[Path], masks: dict[str, np.ndarray]
) -> None:
    gather(runs[1:], PLAIN)
    masks["a"][:, 5, 3:15] = 1  # one more row of the RV than was scored
    report = gather(runs[1:], PLAIN)
    assert sum("points of Dice otherwise" in note for note in report.notes) == 1


def test_runs_of_other_data_are_refused_unless_forced(
    tmp_path: Path, runs: list[Path], masks: object
) -> None:
    other = tiny_run.write_dataset(tmp_path / "data" / "others", name="others")
    stranger = tiny_run.write_run(tmp_path / "runs" / "stranger", other)
    with pytest.raises(DaclError, match="not measured alike") as refused:
        gather([runs[1], stranger], PLAIN)
    assert "--force" in refused.value.hint
    assert "stranger, dataset: blocks" in refused.value.message
    assert not (stranger / "evaluation").exists()  # refused before any evaluation
    report = gather([runs[1], stranger], ReportRequest(device="cpu", embeddings=False, force=True))
    (line,) = report.mixture
    assert line.startswith(
        "dacl-seed0 and stranger, dataset: blocks != others; dataset_fingerprint: "
    )
    assert len(line) < 200  # hashes by their heads
    names = [f"{name}: {case}" for name in ("blocks", "others") for case in CASES]
    assert [case.name for case in report.cases] == names
    assert report.cases[0].predictions[1] is None
    assert report.cases[4].predictions[0] is None
    assert report.cases[4].mean_dice(0) is None
    assert [s.case for s in report.runs[1].scores] == [4] * 3 + [5] * 3 + [6] * 3 + [7] * 3


def test_methods_may_differ_in_their_networks(runs: list[Path], masks: object) -> None:
    assert gather(runs, PLAIN).mixture == []


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["r/a/best.pt", "r/b/best.pt"], ["a", "b"]),
        (["r/x/a/best.pt", "r/y/a/best.pt"], ["x/a", "y/a"]),
        (["r/a/best.pt", "r/a/latest.pt"], ["a/best", "a/latest"]),
        (["r/a/best.pt"], ["a"]),
    ],
)
def test_names_are_short_and_differ(paths: list[str], names: list[str]) -> None:
    assert short_names([Path(path) for path in paths]) == names


def test_what_cannot_be_reported(tmp_path: Path, runs: list[Path]) -> None:
    for paths, said in (([], "no run"), ([runs[0], runs[0] / "best.pt"], "named twice")):
        with pytest.raises(DaclError, match=said):
            open_runs(paths, PLAIN)
    with pytest.raises(DaclError, match="nowhere"):
        gather([tmp_path / "nowhere"], PLAIN)


def test_without_pillow_the_way_out_is_said(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_content, "find_spec", lambda _name: None)
    with pytest.raises(DaclError, match="Pillow"):
        gather(runs, PLAIN)


def test_a_report_is_whole_without_its_embeddings(
    runs: list[Path], masks: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dacl.analysis.clusters import analysis as cluster_analysis

    def fail(*_args: object) -> None:
        raise DaclError("embeddings are not finite", "")

    monkeypatch.setattr(cluster_analysis, "analyze_clusters", fail)
    report = gather(runs[1:], ReportRequest(device="cpu"))
    assert report.embeddings == ()
    assert report.embedding_notes == ("Left out: embeddings are not finite.",)


def test_embeddings_are_of_the_runs_in_order(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dacl.analysis.clusters import analysis as cluster_analysis

    analyze = cluster_analysis.analyze_clusters

    def fewer(paths: list[Path], asked: ClusterRequest, report: object) -> ClusterAnalysis:
        assert (asked.points, asked.plot_points) == (ClusterRequest().points, PLOT_POINTS)
        return analyze(paths, dataclasses.replace(asked, points=200, plot_points=100), report)

    monkeypatch.setattr(cluster_analysis, "analyze_clusters", fewer)
    request = ReportRequest(device="cpu")
    subjects = [report_subjects.evaluated(o, request, lambda *_: None) for o in open_runs(runs, request)]  # fmt: skip
    done: list[tuple[int, int]] = []
    found = embed(subjects, request, lambda n, total, _: done.append((n, total)))
    assert [embedding.label for embedding in found.embeddings] == ["supervised-seed0", "dacl-seed0"]
    for embedding in found.embeddings:
        assert embedding.xy_P2.shape == (len(embedding.classes_P), 2)
        assert np.isfinite(embedding.xy_P2).all()
        assert len(embedding.lines) >= 3
    assert found.class_names == tiny_run.CLASSES
    assert done[-1][0] == done[-1][1]


def test_cost_by_hand() -> None:
    def train(step: int, speed: float, memory: float) -> dict:
        wall = {"steps_per_second": speed, "peak_memory_mb": memory}
        return {"kind": "train", "step": step, "wall": wall}

    # 100 steps at 2/s, then after a validation 200 at 4/s (50 of them at 5/s first): 50 + 50 seconds.
    records = [
        train(50, 1.0, 900), train(100, 2.0, 1000), {"kind": "val", "step": 100, "wall": {"peak_memory_mb": 1500.4}},
        train(150, 5.0, 1100), {"kind": "warning", "step": 150, "text": "x"}, train(300, 4.0, 1100),
    ]  # fmt: skip
    assert cost(records) == {
        "Time in steps": "1.7 min, without validations", "Speed": "3.00 steps/s", "Peak memory": "1,500 MB",
    }  # fmt: skip
    assert set(cost([]).values()) == {UNKNOWN}
    assert cost([train(7200, 1.0, 1)])["Time in steps"].startswith("2.00 h")


def test_settings_are_what_the_method_reads(runs: list[Path], masks: object) -> None:
    supervised, dacl = gather(runs, PLAIN).runs
    assert "contrast.tau" not in supervised.settings
    assert (
        dacl.settings["contrast.tau"]
        == resolve("small", {"method": "dacl", "labeled": 1}).contrast.tau
    )
