import gc
import shutil
import weakref
from dataclasses import replace

import h5py
import pytest
import tiny
import torch

from dacl.config import resolve
from dacl.config_text import read_toml
from dacl.data.casefile import case_path
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.training import checkpoint, loop, replay
from dacl.training.feed import Feed
from dacl.training.recent import Diverged
from dacl.training.replay import Replayed
from dacl.training.validation import Validation

pytestmark = pytest.mark.usefixtures("no_pictures")
METHODS = ["supervised", "cps", "dacl"]
SHORT = {"steps": 6}


def weights(run_dir):
    state = checkpoint.load(run_dir / "latest.pt")
    return {key: state[key] for key in ("method", "optimizer", "rng", "step")}


# What reaches a method


@pytest.fixture(scope="module")
def without_labels(data, tmp_path_factory):
    """The dataset with the labels of its unlabelled train cases destroyed on disk."""
    root = tmp_path_factory.mktemp("without") / "data"
    shutil.copytree(data, root)
    for patient in tiny.TRAIN[1:]:
        for frame in ("frame01", "frame02"):
            path = case_path(root, f"{patient}_{frame}")
            with h5py.File(path, "a") as file:
                chunks = [file["label"].id.get_chunk_info(n) for n in range(len(file["label"]))]
                if frame == "frame02":
                    del file["label"]
            if frame == "frame01":
                with path.open("r+b") as raw:
                    for chunk in chunks:
                        raw.seek(chunk.byte_offset)
                        raw.write(b"\xff" * chunk.size)
    return root


@pytest.mark.parametrize("method", METHODS)
def test_labels_of_unlabeled_cases_never_reach_a_method(method, data, without_labels, tmp_path):
    for frame in ("frame01", "frame02"):
        with pytest.raises(DaclError, match="missing or damaged"):
            PreparedDataset.open(without_labels).read_label(f"p2_{frame}")
    settings = tiny.config(method, optim=SHORT)
    tiny.train(data, tmp_path / "with", settings)
    tiny.train(without_labels, tmp_path / "without", settings)
    assert tiny.differences(weights(tmp_path / "with"), weights(tmp_path / "without")) == []
    assert tiny.without_wall(tmp_path / "with") == tiny.without_wall(tmp_path / "without")


def test_the_unlabeled_part_of_a_batch_has_no_label(data):
    dataset = PreparedDataset.open(data)
    over = {"batch_labeled": 3, "batch_unlabeled": 2}
    feed = Feed(tiny.config(optim=over), dataset, torch.device("cpu"), unlabeled=True)
    batch = feed.batch(0)
    assert (batch.images.shape, batch.labels.shape) == ((5, 1, 32, 32), (3, 32, 32))
    assert feed.unlabeled.mask_pixels is None
    assert feed.labeled_patients == ("p1",)
    assert feed.unlabeled_patients == ("p2", "p3")
    assert (len(feed.labeled), len(feed.unlabeled)) == (4, 8)


def test_a_supervised_batch_is_labeled_throughout(data):
    dataset = PreparedDataset.open(data)
    feed = Feed(tiny.config("supervised"), dataset, torch.device("cpu"), unlabeled=False)
    batch = feed.batch(0)
    assert len(batch.images) == batch.labeled == 2
    assert feed.unlabeled is None


@pytest.mark.parametrize("labeled", [1, 3])
def test_a_frame_without_a_mask_of_a_labeled_patient_is_an_unlabeled_scan(data, labeled):
    whole = PreparedDataset.open(data)
    bare = replace(whole.infos["p1_frame02"], has_label=False)
    dataset = replace(whole, infos={**whole.infos, bare.id: bare})
    settings = tiny.config(labeled=labeled)
    feed = Feed(settings, dataset, torch.device("cpu"), unlabeled=True)
    own = {case.id for case in whole.cases(feed.labeled_patients)}
    others = {case.id for case in whole.cases(feed.unlabeled_patients)}
    assert {case.id for case in feed.labeled_cases} == own - {bare.id}
    assert {case.id for case in feed.unlabeled_cases} == others | {bare.id}
    assert len(feed.unlabeled) == 2 * (len(others) + 1)
    without = Feed(settings, dataset, torch.device("cpu"), unlabeled=False)
    assert (without.unlabeled_cases, len(without.labeled)) == ([], len(feed.labeled))


def test_validation_patients_are_not_drawn_from(data, monkeypatch, tmp_path):
    read = []
    before = PreparedDataset.read_image
    monkeypatch.setattr(
        PreparedDataset, "read_image", lambda self, case: read.append(case) or before(self, case)
    )
    tiny.trainer_of(data, tmp_path / "run")
    assert {case[:2] for case in read} == set(tiny.TRAIN)


@pytest.mark.parametrize("method", METHODS)
def test_all_patients_labeled(method, data, tmp_path):
    trainer = tiny.train(data, tmp_path / "run", tiny.config(method, labeled=3, optim=SHORT))
    assert trainer.plan().unlabeled_slices == 0
    assert all(torch.isfinite(p).all() for p in trainer.method.parameters())


def test_more_labeled_patients_than_there_are(data, tmp_path):
    with pytest.raises(DaclError, match="4 labeled patients") as caught:
        tiny.trainer_of(data, tmp_path / "run", labeled=4)
    assert "from 1 to 3" in caught.value.hint
    assert not (tmp_path / "run").exists()


# Seeds


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(data, tmp_path):
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        tiny.train(data, tmp_path / name, tiny.config("dacl", seed=seed, optim=SHORT))
    tiny.assert_same_run(tmp_path / "one", tmp_path / "two")
    different = tiny.differences(weights(tmp_path / "one"), weights(tmp_path / "other"))
    for part in (
        "/rng",
        "networks.a.encoder",
        "networks.b.encoder",
        "contrast.a.head",
        "contrast.b.bank",
    ):
        assert any(part in where for where in different)
    losses = [
        [r["loss"] for r in tiny.without_wall(tmp_path / name) if r["kind"] == "train"]
        for name in ("one", "other")
    ]
    assert losses[0] != losses[1]


def test_two_networks_begin_apart(data, tmp_path):
    networks = tiny.trainer_of(data, tmp_path / "run").method.networks
    pairs = zip(networks["a"].parameters(), networks["b"].parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_the_contrast_at_weight_0_leaves_cps_as_it_is(data, tmp_path):
    over = {"optim": SHORT, "contrast": {"weight": 0.0}}
    tiny.train(data, tmp_path / "dacl", tiny.config("dacl", **over))
    tiny.train(data, tmp_path / "cps", tiny.config("cps", **over))
    states = [checkpoint.load(tmp_path / name / "latest.pt")["method"] for name in ("dacl", "cps")]
    for key, value in states[1].items():
        assert torch.equal(value, states[0][key]), key
    records = [tiny.without_wall(tmp_path / name) for name in ("dacl", "cps")]
    for dacl, cps in zip(*records, strict=True):
        if cps["kind"] == "train":
            assert {k: dacl["parts"][k] for k in cps["parts"]} == cps["parts"]
        else:
            assert dacl == cps


# The estimate


@pytest.mark.parametrize("method", METHODS)
def test_the_estimate_leaves_everything_as_it_was(method, data, tmp_path):
    trainer = tiny.trainer_of(data, tmp_path / "run", method)
    trainer.method.train()
    for _ in range(2):
        trainer.train_step()  # banks and momentum are filled

    def everything():
        return {
            "method": {k: v.clone() for k, v in trainer.method.state_dict().items()},
            "grad": [p.grad.clone() for p in trainer.method.parameters() if p.grad is not None],
            "momentum": {
                i: {k: v.clone() for k, v in state.items()}
                for i, state in trainer.optimizer.state_dict()["state"].items()
            },
            "rng": torch.get_rng_state(),
            "training": [module.training for module in trainer.method.modules()],
            "step": trainer.step,
            "waiting": len(trainer._recent.of_steps),
            "batch": trainer.feed.batch(trainer.step).images,
        }

    before = everything()
    assert trainer.plan().estimated_seconds > 0
    assert tiny.differences(before, everything()) == []


def test_the_plan_counts_patients_volumes_and_slices(data, tmp_path):
    plan = tiny.trainer_of(data, tmp_path / "run", "dacl", labeled=2).plan()
    assert (plan.labeled_volumes, plan.labeled_slices) == (4, 8)
    assert (plan.unlabeled_patients, plan.unlabeled_slices, plan.val_patients) == (1, 4, 1)


# Divergence


def breaking(method, at, term):
    """Make the losses of `method` NaN in `term` (or in the total alone) at step index `at`."""
    before = method.terms

    def terms_of(batch, moment):
        terms = before(batch, moment)
        if moment.step == at:
            if term != "total":
                terms.parts[term] = terms.parts[term] * float("nan")
            return replace(terms, total=terms.total * float("nan"))
        return terms

    method.terms = terms_of


@pytest.mark.parametrize(
    ("at", "term", "good"),
    [
        (1, "supervised", None),  # before any checkpoint
        (6, "cross", 6),  # step 7, seen when step 8 is validated or 9 is saved
        (8, "contrast", 6),  # step 9, in which the checkpoint is due
        (9, "total", 9),  # step 10, in which the record is due
    ],
)
def test_a_nan_stops_the_run(at, term, good, data, tmp_path):
    run_dir = tmp_path / "run"
    trainer = tiny.trainer_of(data, run_dir, "dacl")
    breaking(trainer.method, at, term)
    with pytest.raises(Diverged) as caught:
        trainer.run(tiny.Quiet())
    assert f"not finite at step {at + 1}: term {term!r} is nan" in caught.value.message
    latest = run_dir / "latest.pt"
    if good is None:
        assert "none yet" in caught.value.hint
        assert not latest.exists()
    else:
        assert str(latest) in caught.value.hint
        assert checkpoint.load(latest)["step"] == good
    best = run_dir / "best.pt"
    assert not best.exists() or checkpoint.load(best)["step"] <= at
    assert all(r["step"] <= at for r in tiny.without_wall(run_dir) if r["kind"] == "train")


def test_an_infinite_loss_stops_the_run_too(data, tmp_path):
    trainer = tiny.trainer_of(data, tmp_path / "run", "supervised")
    before = trainer.method.terms

    def terms_of(batch, moment):
        terms = before(batch, moment)
        terms.parts["supervised"] = terms.parts["supervised"] + float("inf")
        return terms

    trainer.method.terms = terms_of
    with pytest.raises(Diverged, match="step 1: term 'supervised' is inf"):
        trainer.run(tiny.Quiet())


def test_no_checkpoint_holds_weights_that_a_nan_gradient_broke(data, tmp_path):
    """A finite loss with a NaN gradient breaks the weights in the very step a checkpoint is due."""
    trainer = tiny.trainer_of(data, tmp_path / "run", "supervised", journal={"validate_every": 50})
    before = trainer.method.terms

    def terms_of(batch, moment):
        terms = before(batch, moment)
        if moment.step == 5:  # d sqrt(x) / dx at x = 0
            nothing = next(trainer.method.parameters()).sum() * 0
            return replace(terms, total=terms.total + nothing.sqrt())
        return terms

    trainer.method.terms = terms_of
    with pytest.raises(Diverged):
        trainer.run(tiny.Quiet())
    state = checkpoint.load(tmp_path / "run" / "latest.pt")
    assert all(value.isfinite().all() for value in state["method"].values())


# Best and latest


def test_best_is_judged_by_the_mean_dice_of_network_a(data, tmp_path, monkeypatch):
    import numpy as np

    scripted = iter(
        [
            {"a": [0.1, 0.2, 0.3], "b": [0.9, 0.9, 0.9], "mean": [0.9, 0.9, 0.9]},
            {"a": [0.9, 0.5, 0.1], "b": [0.1, 0.1, 0.1], "mean": [0.1, 0.1, 0.1]},
            {"a": [0.5, 0.5, 0.5], "b": [1.0, 1.0, 1.0], "mean": [1.0, 1.0, 1.0]},  # a tie
            {"a": [0.4, 0.6, 0.4], "b": [1.0, 1.0, 1.0], "mean": [1.0, 1.0, 1.0]},
        ]
    )

    def validation(method, *_):
        if method is not trainer.method:  # the estimate's copy
            return None
        dice = {name: np.array(values) for name, values in next(scripted).items()}
        return Validation(dice, precision={}, recall={})

    monkeypatch.setattr(loop, "validate", validation)
    trainer = tiny.trainer_of(data, tmp_path / "run", "cps", optim={"steps": 14})
    summary = trainer.run(tiny.Quiet())
    assert (summary.step, summary.finished) == (14, True)
    assert summary.best == {"step": 8, "dice": pytest.approx(0.5)}
    best, latest = (checkpoint.load(tmp_path / "run" / f"{name}.pt") for name in ("best", "latest"))
    assert (best["step"], latest["step"]) == (8, 14)
    assert best["best"] == latest["best"] == summary.best
    assert tiny.differences(best["method"], latest["method"]) != []
    vals = [r for r in tiny.without_wall(tmp_path / "run") if r["kind"] == "val"]
    assert [r["step"] for r in vals] == [4, 8, 12, 14]
    assert vals[1]["dice"]["a"] == {"RV": 0.9, "Myo": 0.5, "LV": 0.1}


def test_without_validation_patients_there_is_a_latest_and_no_best(tmp_path):
    root = tiny.write_dataset(tmp_path / "data", val=())
    trainer = tiny.train(root, tmp_path / "run", tiny.config("supervised", optim=SHORT))
    assert trainer.best is None
    assert (tmp_path / "run" / "latest.pt").exists()
    assert not (tmp_path / "run" / "best.pt").exists()


# The run's folder


def test_the_folder_tells_the_configuration(data, tmp_path):
    import json

    settings = tiny.config("dacl", seed=3, optim=SHORT)
    run_dir = tmp_path / "run"
    tiny.train(data, run_dir, settings)
    toml = read_toml(run_dir / "config.toml")
    assert resolve(toml["preset"], toml) == settings
    run = json.loads((run_dir / "run.json").read_text())
    assert resolve(run["config"]["preset"], run["config"]) == settings
    assert run["provenance"]["seed"] == 3
    assert run["provenance"]["precision"] == "fp32"
    assert run["data"]["labeled_patients"] == ["p1"]
    assert run["data"]["synthetic"] is True
    expected = {"run.json", "config.toml", "metrics.jsonl", "latest.pt", "best.pt"}
    assert {path.name for path in run_dir.iterdir()} == expected


def test_a_run_learns(data, tmp_path):
    settings = tiny.config("supervised", labeled=3, optim={"steps": 40, "lr": 0.05})
    tiny.train(data, tmp_path / "run", settings)
    losses = [r["loss"] for r in tiny.without_wall(tmp_path / "run") if r["kind"] == "train"]
    assert losses[-1] < 0.7 * losses[0]


def test_a_fresh_run_in_the_folder_of_another_is_refused(data, tmp_path):
    tiny.trainer_of(data, tmp_path / "run", "supervised").run(tiny.Quiet())
    before = {
        file.name: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.is_file()
    }
    other = tiny.trainer_of(data, tmp_path / "run", "supervised", seed=7)
    with pytest.raises(DaclError, match="is the folder of a run already"):
        other.run(tiny.Quiet())
    after = {
        file.name: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.is_file()
    }
    assert after == before


def test_a_trainer_that_is_done_goes_without_the_collector(data, tmp_path, monkeypatch):
    """On a GPU its memory would count as the next run's."""
    trainer = tiny.trainer_of(data, tmp_path / "run", "dacl", optim={"steps": 4})

    def capture(run):  # as on a GPU: what ran is kept, and not who ran it
        terms = run()
        return lambda: terms

    monkeypatch.setattr(replay, "PATIENCE", 1)
    trainer._replayed = Replayed(lambda: capture)
    trainer.run(tiny.Quiet())
    assert trainer._replayed._captured
    method = weakref.ref(trainer.method)
    gc.collect()
    gc.disable()
    try:
        del trainer
        assert method() is None
    finally:
        gc.enable()
