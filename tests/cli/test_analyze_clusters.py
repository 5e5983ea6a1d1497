"""`dacl analyze clusters` as typed."""

import json

import pytest
import tiny_run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_run.write_dataset(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture
def run(tmp_path, dataset):
    return tiny_run.write_run(tmp_path / "run", dataset)


def test_as_typed_with_nothing_else(run_dacl, run):
    outcome = run_dacl("analyze", "clusters", run / "best.pt", "--points", 100)
    assert outcome.code == 0, outcome.err
    folder = run / "analysis" / "clusters-features"
    for name in ("clusters.png", "clusters.svg", "clusters.md", "clusters.json", "embeddings.npz"):
        assert (folder / name).stat().st_size > 1000
        assert str(folder / name) in outcome.out
    document = json.loads((folder / "clusters.json").read_text())
    assert document["protocol"]["evaluated_on"] == "test"
    assert document["protocol"]["space"] == "features"
    assert document["protocol"]["plane"] == ["t-SNE, perplexity 30"]
    assert "(synthetic)" in outcome.out
    assert "Silhouette ↑" in outcome.out
    assert "Davies-Bouldin ↓" in outcome.out
    assert "clusters: " in outcome.err  # progress


def test_several_checkpoints_as_json(run_dacl, run, tmp_path, dataset):
    cps = tiny_run.write_run(tmp_path / "cps", dataset, method="cps")
    outcome = run_dacl(
        "analyze", "clusters", cps, run, "--json", "--method", "pca", "--space", "logits",
        "--points", 80, "--plot-points", 40, "--network", "b", "--split", "val", "--seed", 3,
        "--checkpoint", "latest",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert [found["label"] for found in document["checkpoints"]] == ["cps seed 0", "dacl seed 0"]
    assert document["checkpoints"][1]["difference_to_first"]["silhouette"]["value"] is not None
    protocol = document["protocol"]
    assert (protocol["network"], protocol["seed"], protocol["points_plotted"]) == ("b", 3, 40)
    assert protocol["checkpoint_rules"] == ["latest"]
    assert all(
        (tmp_path / "clusters-logits").samefile(file.rpartition("/")[0])
        for file in document["files"]
    )


def test_the_folder_can_be_chosen(run_dacl, run, tmp_path):
    out = tmp_path / "elsewhere"
    outcome = run_dacl("analyze", "clusters", run, "--out", out, "--method", "pca", "--points", 80)
    assert outcome.code == 0, outcome.err
    assert (out / "clusters.json").is_file()
    assert not (run / "analysis").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--space", "projection"], 1, "--space features"),
        (["--network", "mean"], 2, "mean"),
        (["--points", "0"], 2, "points"),
        (["--checkpoint", "last"], 2, "last"),
        (["--data", "nowhere"], 1, "nowhere"),
    ],
)
def test_what_cannot_be_is_said(run_dacl, tmp_path, dataset, arguments, code, said):
    run = tiny_run.write_run(tmp_path / "run", dataset, method="cps")
    outcome = run_dacl("analyze", "clusters", run, *arguments)
    assert outcome.code == code
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert not (run / "analysis").exists()


def test_no_checkpoint_and_no_run(run_dacl, tmp_path):
    assert run_dacl("analyze", "clusters").code == 2
    outcome = run_dacl("analyze", "clusters", tmp_path / "nothing")
    assert outcome.code == 1
    assert "nothing" in outcome.err
