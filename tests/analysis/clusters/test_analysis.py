"""From checkpoints to scores, summaries over seeds, files, and sentences where there is nothing to score."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_run
import torch

from dacl.analysis.clusters.analysis import analyze_clusters
from dacl.analysis.clusters.files import default_folder, record, write_cluster_analysis
from dacl.analysis.clusters.result import ClusterRequest
from dacl.analysis.clusters.scores import SCORES
from dacl.analysis.clusters.tables import tables
from dacl.atomic import write_json
from dacl.data.case import Case
from dacl.data.casefile import case_path, write_case
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.training import checkpoint

REQUEST = ClusterRequest(points=120, plot_points=60, method="pca")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_run.write_dataset(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, dataset):
    root = tmp_path_factory.mktemp("runs")
    return {
        (method, seed): tiny_run.write_run(
            root / f"{method}-{seed}", dataset, method=method, seed=seed
        )
        for method in ("cps", "dacl")
        for seed in (0, 1)
    }


@pytest.fixture(scope="module")
def four(runs):
    return analyze_clusters(list(runs.values()), REQUEST)


def relabelled(root, change):
    """The tiny dataset with other annotations: `change` of every label, the class counts not looked at again."""
    dataset = tiny_run.write_dataset(root)
    for info in dataset.infos.values():
        case = Case(
            id=info.id, patient=info.patient, image_CZHW=dataset._read(info.id, "image")[0][None],
            label_ZHW=change(dataset.read_label(info.id)), spacing_mm=info.spacing_mm,
            source=dict(info.source),
        )  # fmt: skip
        write_case(case_path(root, info.id), case)
    return PreparedDataset.open(root)


def changed(run, change):
    """The run with every tensor of its method changed."""
    for which in checkpoint.WHICH:
        state = checkpoint.load(run / f"{which}.pt")
        for key, value in state["method"].items():
            if value.is_floating_point():
                state["method"][key] = change(value)
        checkpoint.save(run / f"{which}.pt", state)
    return run


def test_checkpoints_share_their_pixels_and_keep_their_names(four):
    assert [found.label for found in four.checkpoints] == [
        "cps seed 0", "cps seed 1", "dacl seed 0", "dacl seed 1",
    ]  # fmt: skip
    assert four.class_names == tiny_run.CLASSES
    assert four.pixels.found_C == (30, 30, 30, 30)
    assert np.bincount(four.pixels.class_N[four.plotted_P]).tolist() == [15] * 4
    for found in four.checkpoints:
        assert found.embeddings_ND.shape == (120, 8)
        assert found.xy_P2.shape == (60, 2)
        np.testing.assert_array_equal(found.plot_classes_P, four.pixels.class_N[four.plotted_P])
        assert set(found.scores) == set(SCORES)
        assert len(found.scores["silhouette"].by_class) == 4
        low, high = found.scores["silhouette"].overall.ci95_over_patients
        assert low <= found.scores["silhouette"].overall.value <= high


def test_alone_or_beside_others_a_checkpoint_scores_the_same(four, runs):
    alone = analyze_clusters([runs["dacl", 1]], REQUEST)
    assert alone.checkpoints[0].scores == four.checkpoints[3].scores
    assert alone.checkpoints[0].difference_to_first is None
    assert len(alone.methods) == 1


def test_differences_and_means_are_those_of_the_scores(four):
    value = {
        key: np.array([found.scores[key].overall.value for found in four.checkpoints])
        for key in SCORES
    }
    cps, dacl = four.methods
    assert cps.difference_to_first is None
    for key, of in value.items():
        for index in (1, 2, 3):
            found = four.checkpoints[index].difference_to_first[key]
            assert found.value == pytest.approx(of[index] - of[0])
        assert dacl.scores[key].estimate.value == pytest.approx(of[2:].mean())
        assert dacl.scores[key].std_over_seeds == pytest.approx(of[2:].std(ddof=1))
        assert dacl.difference_to_first[key].by_seed == pytest.approx(
            {0: of[2] - of[0], 1: of[3] - of[1]}
        )


def test_the_seed_decides(four, runs):
    other = analyze_clusters([runs["cps", 0]], replace(REQUEST, seed=1))
    assert (other.pixels.zyx_N3 != four.pixels.zyx_N3).any()
    again = analyze_clusters([runs["cps", 0]], REQUEST)
    assert again.checkpoints[0].scores == four.checkpoints[0].scores
    np.testing.assert_array_equal(again.checkpoints[0].xy_P2, four.checkpoints[0].xy_P2)


def test_progress_goes_up_to_its_end(runs):
    told = []
    analyze_clusters([runs["dacl", 0]], REQUEST, lambda *at: told.append(at))
    done = [at[0] for at in told]
    assert done == sorted(done)
    assert len({at[1] for at in told}) == 1
    assert told[-1][0] == told[-1][1]
    assert any("picture" in at[2] for at in told)


def test_everything_is_written(four, tmp_path):
    files = write_cluster_analysis(four, tmp_path / "out")
    assert {file.name for file in files} == {
        "clusters.png", "clusters.svg", "clusters.md", "clusters.tex", "embeddings.npz",
        "clusters.json",
    }  # fmt: skip
    assert all(file.stat().st_size > 1000 for file in files)
    document = json.loads((tmp_path / "out" / "clusters.json").read_text())
    assert document == json.loads(json.dumps(record(four)))
    assert document["synthetic"] is True
    assert document["protocol"]["patients"] == ["p4", "p5"]
    assert document["protocol"]["points"] == dict.fromkeys(tiny_run.CLASSES, 30)
    assert document["protocol"]["dataset_fingerprint"]
    assert document["scores"]["davies_bouldin"]["better"] == "lower"
    assert document["checkpoints"][2]["provenance"]["config_hash"]
    assert document["methods"][1]["difference_to_first"]["silhouette"]["by_seed"].keys() == {
        "0",
        "1",
    }
    with np.load(tmp_path / "out" / "embeddings.npz") as arrays:
        assert arrays["labels"].tolist() == [found.label for found in four.checkpoints]
        np.testing.assert_array_equal(arrays["class"], four.pixels.class_N)
        np.testing.assert_array_equal(arrays["zyx"], four.pixels.zyx_N3)
        assert set(arrays["patient"]) == {"p4", "p5"}
        assert arrays["case"][0] == "p4_frame01"
        np.testing.assert_array_equal(arrays["embedding_3"], four.checkpoints[3].embeddings_ND)
        assert arrays["xy_3"].shape == (60, 2)


def test_tables_say_which_way_is_better(four, tmp_path):
    by_checkpoint, by_method, between = tables(four, classes=False)
    assert by_checkpoint.columns == ("score", *(found.label for found in four.checkpoints))
    assert [row[0] for row in by_checkpoint.rows][:3] == [
        "Silhouette ↑", "Silhouette, cosine ↑", "Davies-Bouldin ↓",
    ]  # fmt: skip
    assert by_method.columns == ("score", "cps (2 seeds)", "dacl (2 seeds)")
    assert "±" in by_method.rows[0][1]
    assert between.title.startswith("dacl minus cps")
    assert between.columns[2:] == ("[95 % over seeds]", "seed 0", "seed 1")
    assert all(cell[0] in "+-[" for cell in between.rows[0][1:])
    assert any("can be claimed" in x and x.endswith("six patients or more") for x in four.notes)
    write_cluster_analysis(four, tmp_path)
    text = (tmp_path / "clusters.md").read_text()
    assert text.count("**") == 2 * len(tables(four))
    assert "(synthetic)" in text
    assert "| score | cps seed 0 |" in text


def test_where_results_go(runs, tmp_path, monkeypatch):
    run = runs["dacl", 0]
    assert default_folder([run], REQUEST) == run / "analysis" / "clusters-features"
    assert default_folder([run / "best.pt"], REQUEST) == run / "analysis" / "clusters-features"
    two = [run, runs["cps", 0]]
    assert default_folder(two, replace(REQUEST, space="logits")) == run.parent / "clusters-logits"
    monkeypatch.chdir(run)
    assert default_folder([two[0] / "best.pt", two[1]], REQUEST).parent == run.parent
    monkeypatch.chdir(run)
    where = default_folder([type(run)("best.pt"), two[1]], REQUEST)
    assert where.resolve() == (run.parent / "clusters-features").resolve()


def test_embeddings_all_alike_have_no_score_and_a_picture(dataset, tmp_path):
    run = changed(tiny_run.write_run(tmp_path / "run", dataset), torch.zeros_like)
    found = analyze_clusters([run], replace(REQUEST, method="tsne"))
    (one,) = found.checkpoints
    assert all(score.overall.value is None for score in one.scores.values())
    assert "all pixels have the same embedding" in found.notes[-1]
    files = write_cluster_analysis(found, tmp_path / "out")
    assert all(file.stat().st_size > 500 for file in files)
    assert one.lines()[0] == "Silhouette ↑ –"


def test_embeddings_that_are_not_numbers_are_refused(dataset, runs, tmp_path):
    run = changed(
        tiny_run.write_run(tmp_path / "run", dataset, seed=5), lambda x: torch.full_like(x, torch.nan)
    )  # fmt: skip
    with pytest.raises(DaclError, match="not finite"):
        analyze_clusters([runs["dacl", 0], run], REQUEST)


def test_one_class_only(tmp_path):
    dataset = relabelled(tmp_path / "data", np.zeros_like)
    found = analyze_clusters([tiny_run.write_run(tmp_path / "run", dataset)], REQUEST)
    (one,) = found.checkpoints
    defined = [key for key, score in one.scores.items() if score.overall.value is not None]
    assert defined == ["compactness"]
    assert any("one class only" in note for note in found.notes)
    assert any("RV: 0 of 30 pixels, none" in note for note in found.notes)
    write_cluster_analysis(found, tmp_path / "out")


def test_a_class_with_one_pixel(tmp_path):
    def change(label):
        label[label == 3] = 0
        return label

    dataset = relabelled(tmp_path / "data", change)
    case = dataset.cases(("p4",))[0]
    label = dataset.read_label(case.id)
    label[0, 0, 0] = 3
    image = dataset._read(case.id, "image")[0]
    write_case(
        case_path(dataset.root, case.id),
        Case(
            id=case.id, patient="p4", image_CZHW=image[None], label_ZHW=label,
            spacing_mm=case.spacing_mm, source=dict(case.source),
        ),
    )  # fmt: skip
    run = tiny_run.write_run(tmp_path / "run", dataset)
    # Whether it is kept depends on who else lies in its cell: some seed keeps it.
    for seed in range(20):
        found = analyze_clusters([run], replace(REQUEST, seed=seed))
        if found.pixels.found_C[3]:
            break
    assert found.pixels.found_C[3] == 1
    scores = found.checkpoints[0].scores
    assert scores["compactness"].by_class[3].value is None
    assert scores["silhouette"].overall.value is not None
    assert any("LV: one pixel has neither" in note for note in found.notes)
    assert any("LV: 1 of 30 pixels, all" in note for note in found.notes)


def test_one_patient_has_no_interval(tmp_path):
    dataset = tiny_run.write_dataset(
        tmp_path / "data", split={**tiny_run.SPLIT, "test": ["p4"], "missing": ["p5"]}
    )
    found = analyze_clusters([tiny_run.write_run(tmp_path / "run", dataset)], REQUEST)
    score = found.checkpoints[0].scores["silhouette"].overall
    assert score.value is not None
    assert score.ci95_over_patients is None
    assert "one patient: no intervals" in found.notes
    assert found.protocol["resamples"] == 0


def test_validation_cases_that_chose_the_checkpoint_are_said_to(runs):
    found = analyze_clusters(
        [runs["dacl", 0], runs["dacl", 0] / "latest.pt"], replace(REQUEST, split="val")
    )
    assert [x.label for x in found.checkpoints] == ["dacl, best seed 0", "dacl, latest seed 0"]
    assert any("chose the checkpoint" in note for note in found.notes)
    assert any("different rules: best, latest" in note for note in found.notes)
    assert any("unfinished run" in note for note in found.notes)


def test_other_data_another_split_and_no_cases_are_refused(runs, tmp_path):
    other = tiny_run.write_dataset(tmp_path / "other", name="other")
    with pytest.raises(DaclError, match="different data: blocks") as raised:
        analyze_clusters([runs["dacl", 0], tiny_run.write_run(tmp_path / "a", other)], REQUEST)
    assert raised.value.hint
    split = {"train": ["p1"], "val": ["p2", "p3"], "test": ["p4", "p5"], "missing": []}
    resplit = tiny_run.write_dataset(tmp_path / "split", split=split)
    with pytest.raises(DaclError, match="different split"):
        analyze_clusters([runs["dacl", 0], tiny_run.write_run(tmp_path / "b", resplit)], REQUEST)
    blind = tiny_run.write_dataset(tmp_path / "blind", unlabeled=("p4", "p5"))
    with pytest.raises(DaclError, match="no labelled test case"):
        analyze_clusters([tiny_run.write_run(tmp_path / "c", blind)], REQUEST)
    with pytest.raises(DaclError, match="no checkpoint"):
        analyze_clusters([], REQUEST)


@pytest.mark.usefixtures("unchecked")
def test_pixels_that_were_trained_on_are_refused(runs):
    with pytest.raises(DaclError, match="no split 'train' to judge on") as raised:
        analyze_clusters([runs["dacl", 0]], replace(REQUEST, split="train"))
    assert raised.value.hint == "choose one of: val, test"


def test_a_checkpoint_twice_is_refused_before_any_work(runs):
    told = []
    with pytest.raises(DaclError, match="are both dacl seed 0"):
        analyze_clusters([runs["dacl", 0]] * 2, REQUEST, lambda *at: told.append(at))
    assert not told


def test_geometries_are_thinned_together(dataset, runs, tmp_path):
    """A checkpoint with another grid beside: still one pixel per cell, in both."""
    run = tiny_run.write_run(tmp_path / "other", dataset, seed=3)
    state = checkpoint.load(run / "best.pt")
    state["config"]["image"] = {"geometry": "resample", "patch_size": 32, "spacing_mm": 2.0}
    checkpoint.save(run / "best.pt", state)
    found = analyze_clusters([runs["dacl", 0], run], replace(REQUEST, points=4000))
    assert found.protocol["cell_grids"] == [["resize", 32.0, 2], ["resample", 2.0, 2]]
    alone = analyze_clusters([runs["dacl", 0]], replace(REQUEST, points=4000))
    assert len(found.pixels.class_N) < len(alone.pixels.class_N)
    write_json(tmp_path / "x.json", record(found))
