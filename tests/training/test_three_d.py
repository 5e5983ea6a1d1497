"""A run on volumes from the first step to its evaluation, by the loop and the commands that serve slices."""

import json
import shutil

import h5py
import numpy as np
import pytest
import tiny
import torch

from dacl.data.casefile import case_path
from dacl.data.prepared import PreparedDataset
from dacl.data.volume_pool import VolumePool
from dacl.errors import DaclError
from dacl.experiments.evaluation import Request, evaluate
from dacl.networks.vnet import VNet
from dacl.training import checkpoint
from dacl.training.feed import Feed
from dacl.training.loop import Trainer

pytestmark = pytest.mark.usefixtures("no_pictures")
METHODS = ["supervised", "cps", "dacl"]
STEPS = 5
VOLUMES = {
    "image": {
        "dims": 3, "patch_depth": 16, "patch_size": 32, "spacing_mm": 1.5, "slice_spacing_mm": 5.0,
    },
    "optim": {"steps": STEPS, "batch_labeled": 1, "batch_unlabeled": 1},
    "journal": {"log_every": 2, "validate_every": 3, "checkpoint_every": 2},
}  # fmt: skip


def config(method, **over):
    return tiny.config(method, **(VOLUMES | over))


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """Run folders of each method never interrupted."""
    folders = {}
    with tiny.no_pictures():
        for method in METHODS:
            folders[method] = tmp_path_factory.mktemp(method) / "run"
            tiny.train(data, folders[method], config(method))
    return folders


@pytest.mark.parametrize("method", METHODS)
def test_stopped_and_resumed_it_ends_with_the_same_bits(method, data, alone, tmp_path):
    run_dir, listener = tmp_path / "run", tiny.Quiet()
    trainer = Trainer(config(method), PreparedDataset.open(data), run_dir)
    for stop_at in (1, 3):
        trainer.run(listener, lambda at=stop_at: listener.steps[-1] == at)
        torch.rand(3)
        trainer = Trainer.resume(run_dir)
        assert (trainer.step, trainer.config.image.dims) == (stop_at, 3)
    assert trainer.run(listener).finished
    tiny.assert_same_run(alone[method], run_dir)


def test_what_was_trained_are_v_nets(alone):
    trained = checkpoint.load_trained(alone["dacl"], torch.device("cpu"))
    assert all(type(network) is VNet for network in trained.method.networks.values())
    records = tiny.without_wall(alone["dacl"])
    assert [r["step"] for r in records if r["kind"] == "val"] == [3, STEPS]
    anchors = [r["diagnostics"]["anchors"] for r in records if r["kind"] == "train"]
    assert any(value and value > 0 for record in anchors for value in record.values())


@pytest.mark.parametrize("method", METHODS)
def test_it_is_evaluated(method, alone):
    found = evaluate(alone[method], Request(device="cpu", split="val", predictions=True))
    summary = json.loads((found.out / "summary.json").read_text())
    judged = ["a"] if method == "supervised" else ["a", "b", "mean"]
    assert summary["protocol"]["networks"] == judged
    assert summary["n_volumes"] == 2
    masks = sorted(file.name for file in (found.out / "predictions").iterdir())
    assert masks == ["p4_frame01.nii.gz", "p4_frame02.nii.gz"]


@pytest.mark.parametrize("method", METHODS)
def test_labels_of_unlabeled_cases_never_reach_a_method(method, data, alone, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(data, root)
    for patient in tiny.TRAIN[1:]:
        for frame in ("frame01", "frame02"):
            with h5py.File(case_path(root, f"{patient}_{frame}"), "a") as file:
                del file["label"]
            with pytest.raises(DaclError, match="missing or damaged"):
                PreparedDataset.open(root).read_label(f"{patient}_{frame}")
    tiny.train(root, tmp_path / "run", config(method))
    states = [checkpoint.load(folder / "latest.pt") for folder in (alone[method], tmp_path / "run")]
    of_interest = [{k: s[k] for k in ("method", "optimizer", "rng", "step")} for s in states]
    assert tiny.differences(*of_interest) == []
    assert tiny.without_wall(alone[method]) == tiny.without_wall(tmp_path / "run")


def test_a_batch_is_a_function_of_seed_and_step(data):
    dataset, settings = PreparedDataset.open(data), config("dacl")
    feeds = [Feed(settings, dataset, torch.device("cpu"), unlabeled=True) for _ in range(2)]
    assert all(type(pool) is VolumePool for pool in (feeds[0].labeled, feeds[0].unlabeled))
    assert feeds[0].unlabeled.mask_P is None
    feeds[0].batch(3)  # what was drawn before changes nothing
    first, second = (feed.batch(4) for feed in feeds)
    assert first.images.shape == (2, 1, 16, 32, 32)
    assert first.labels.shape == (1, 16, 32, 32)
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    other = Feed(
        settings.model_copy(update={"seed": 1}), dataset, torch.device("cpu"), unlabeled=True
    )
    assert not torch.equal(first.images, other.batch(4).images)


def test_the_plan_counts_slices_and_volumes(data, tmp_path):
    plan = Trainer(config("cps"), PreparedDataset.open(data), tmp_path / "run").plan()
    depth = tiny.SHAPE_ZHW[0]
    assert (plan.labeled_volumes, plan.labeled_slices) == (2, 2 * depth)
    assert (plan.unlabeled_patients, plan.unlabeled_slices) == (2, 4 * depth)


def test_several_channels(tmp_path, data):
    """Every case again with a second channel: the networks read both."""
    root = tmp_path / "data"
    shutil.copytree(data, root)
    content = json.loads((root / "dataset.json").read_text())
    content["channels"] = ["T1", "T2"]
    (root / "dataset.json").write_text(json.dumps(content))
    for case_id in content["cases"]:
        with h5py.File(case_path(root, case_id), "a") as file:
            image = file["image"][...]
            del file["image"]
            file["image"] = np.stack([image, image.max() - image])
    trainer = tiny.train(root, tmp_path / "run", config("cps"))
    assert trainer.method.networks["a"].encoder[0][0].in_channels == 2
    assert trainer.feed.batch(0).images.shape[1] == 2
    evaluate(
        tmp_path / "run", Request(device="cpu", split="val", predictions=False, pictures=False)
    )
