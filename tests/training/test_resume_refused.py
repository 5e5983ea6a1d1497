"""Runs that cannot be resumed as they are, and what resuming keeps of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch

from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.training import checkpoint, journal, loop
from dacl.training.loop import Trainer

pytestmark = pytest.mark.usefixtures("no_pictures")
SHORT = {"steps": 6}


@pytest.fixture(scope="module")
def stopped(data, tmp_path_factory):
    """A run stopped after four steps; read only."""
    run_dir = tmp_path_factory.mktemp("stopped") / "run"
    with tiny.no_pictures():
        listener = tiny.Quiet()
        trainer = Trainer(tiny.config("cps"), PreparedDataset.open(data), run_dir)
        trainer.run(listener, lambda: listener.steps[-1] == 4)
    return run_dir


def test_resuming_on_other_data(stopped, data, tmp_path):
    other = tiny.write_dataset(tmp_path / "other", seed=1)
    with pytest.raises(DaclError, match=r"was trained on tiny \(fingerprint") as caught:
        Trainer.resume(stopped, other)
    assert "--data" in caught.value.hint
    resplit = tiny.write_dataset(tmp_path / "resplit", train=("p1", "p2"), val=("p3", "p4"))
    with pytest.raises(DaclError, match="was trained on split phantom"):
        Trainer.resume(stopped, resplit)
    copied = tmp_path / "copy"
    shutil.copytree(data, copied)
    assert Trainer.resume(stopped, copied).step == 4


def test_resuming_a_finished_run(data, tmp_path):
    run_dir = tmp_path / "my run"
    tiny.train(data, run_dir, tiny.config("supervised", optim={"steps": 2}))
    with pytest.raises(DaclError, match="is finished: 2 of 2 steps") as caught:
        Trainer.resume(run_dir)
    assert caught.value.hint.endswith(f"dacl evaluate '{run_dir}'")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("my cut", "the --split-file that split 'my cut' is from"),
        ("splits_final:0", "the --split-file that split 'splits_final:0' is from"),
        ("random:3", "--split random:3"),
    ],
)
def test_the_way_back_to_a_split_can_be_typed(data, tmp_path, name, way):
    dataset = PreparedDataset.open(data)
    meta = tiny.trainer_of(data, tmp_path / "run").meta()
    other = replace(meta, split_name=name, split_hash="0" * 64, dataset_root=str(dataset.root))
    with pytest.raises(DaclError) as caught:
        checkpoint.open_data(other, tmp_path / "best.pt")
    assert caught.value.hint == f"prepare the data with {way} and name it with --data"


def test_a_resumed_run_beats_the_best_so_far_or_leaves_it(stopped, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(stopped, run_dir)
    state = checkpoint.load(run_dir / "latest.pt")
    assert state["best"]["step"] == 4
    checkpoint.save(run_dir / "latest.pt", {**state, "best": {"step": 4, "dice": 0.99}})
    before = (run_dir / "best.pt").read_bytes()
    summary = Trainer.resume(run_dir).run(tiny.Quiet())
    assert (summary.finished, summary.best) == (True, {"step": 4, "dice": 0.99})
    assert (run_dir / "best.pt").read_bytes() == before


def test_the_best_checkpoint_needs_no_readable_latest(stopped, tmp_path):
    """It is read for the run's last step alone."""
    run_dir = tmp_path / "run"
    shutil.copytree(stopped, run_dir)
    cpu = torch.device("cpu")
    assert checkpoint.load_trained(run_dir, cpu, "best").run_step == 4
    latest = run_dir / "latest.pt"
    latest.write_bytes(latest.read_bytes()[:1000])
    trained = checkpoint.load_trained(run_dir, cpu, "best")
    assert trained.run_step == trained.step
    with pytest.raises(DaclError, match="damaged"):
        checkpoint.load_trained(run_dir, cpu, "latest")


def test_tensorboard_keeps_what_the_journal_keeps(stopped, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(loop, "require_tensorboard", lambda: None)
    monkeypatch.setattr(
        journal, "_summary_writer", lambda _folder, purge_step: asked.append(purge_step)
    )
    shutil.copytree(stopped, tmp_path / "run")
    state = checkpoint.load(tmp_path / "run" / "latest.pt")
    of_journal = state["config"]["journal"] | {"tensorboard": True}
    config = state["config"] | {"journal": of_journal}
    checkpoint.save(tmp_path / "run" / "latest.pt", {**state, "config": config})
    Trainer.resume(tmp_path / "run").run(tiny.Quiet())
    assert asked == [5], "the records of step 4 stand in metrics.jsonl, and are not written again"


@pytest.mark.parametrize(
    "changed", [("threads", 64), ("precision", "bf16"), ("device", "H200"), ("dacl", "0.0.9")]
)
def test_another_machine_is_said(stopped, tmp_path, changed):
    shutil.copytree(stopped, tmp_path / "run")
    state = checkpoint.load(tmp_path / "run" / "latest.pt")
    machine = {**state["machine"], changed[0]: changed[1]}
    checkpoint.save(tmp_path / "run" / "latest.pt", {**state, "machine": machine})
    (note,) = Trainer.resume(tmp_path / "run").notes
    assert note.startswith(f"{changed[0]}: the run began with {changed[1]}")
    assert Trainer.resume(stopped).notes == []


@pytest.mark.parametrize("drop", ["config", "meta", "method", "rng", "since_log"])
def test_a_checkpoint_that_lacks_a_part_is_a_readable_error(drop, stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "run")
    state = checkpoint.load(tmp_path / "run" / "latest.pt")
    del state[drop]
    checkpoint.save(tmp_path / "run" / "latest.pt", state)
    with pytest.raises(DaclError):
        Trainer.resume(tmp_path / "run")


def test_data_that_moved_is_named_with_data(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "run")
    state = checkpoint.load(tmp_path / "run" / "latest.pt")
    state["meta"] |= {"dataset_root": str(tmp_path / "gone"), "dataset_from_run": "../gone"}
    checkpoint.save(tmp_path / "run" / "latest.pt", state)
    with pytest.raises(DaclError) as caught:
        Trainer.resume(tmp_path / "run")
    assert "--data" in caught.value.hint


def test_data_is_found_from_another_folder(data, tmp_path, monkeypatch):
    """The path as it was typed no longer leads there; the path from the run's folder does."""
    shutil.copytree(data, tmp_path / "work" / "data")
    monkeypatch.chdir(tmp_path / "work")
    trainer = tiny.trainer_of(Path("data"), Path("run"), "supervised", optim=SHORT)
    trainer.run(tiny.Quiet(), lambda: True)
    monkeypatch.chdir(tmp_path)
    assert Trainer.resume(Path("work/run")).step == 1


def test_what_happens_between_building_and_running_does_not_matter(data, tmp_path):
    settings = tiny.config("supervised", optim=SHORT)
    tiny.train(data, tmp_path / "one", settings)
    trainer = tiny.trainer_of(data, tmp_path / "two", "supervised", optim=SHORT)
    torch.rand(1)
    trainer.run(tiny.Quiet())
    tiny.assert_same_run(tmp_path / "one", tmp_path / "two")


def test_going_on_from_best_where_there_is_no_latest_yet(data, stopped, tmp_path):
    """Killed between the first best.pt and the first latest.pt: the same state under another name."""
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "run" / "latest.pt").rename(tmp_path / "run" / "best.pt")
    assert Trainer.resume(tmp_path / "run").step == Trainer.resume(stopped).step


@pytest.mark.parametrize("total", [4, 6])
def test_going_on_from_a_best_that_latest_does_not_know(data, tmp_path, total):
    """Killed between best.pt and latest.pt of step 4, which may be the last: it is not made again."""
    run_dir, listener = tmp_path / "run", tiny.Quiet()
    settings = tiny.config("cps", optim={"steps": total})
    Trainer(settings, PreparedDataset.open(data), run_dir).run(
        listener, lambda: listener.steps[-1] == 3
    )
    before = (run_dir / "latest.pt").read_bytes()
    Trainer.resume(run_dir).run(listener, lambda: listener.steps[-1] == 4)
    best = checkpoint.load(run_dir / "best.pt")
    assert best["step"] == 4
    (run_dir / "latest.pt").write_bytes(before)

    trainer = Trainer.resume(run_dir)
    assert (trainer.step, trainer.best) == (4, best["best"])
    assert trainer.run().finished
    tiny.train(data, tmp_path / "alone", settings)
    assert tiny.without_wall(run_dir) == tiny.without_wall(tmp_path / "alone")
    for name in ("latest.pt", "best.pt"):
        held, other = (checkpoint.load(run / name) for run in (run_dir, tmp_path / "alone"))
        assert (held["step"], held["rule"]) == (other["step"], other["rule"])
        for part in ("method", "rng", "best", "since_log"):
            assert tiny.differences(held[part], other[part]) == []


def test_a_best_that_cannot_be_read_does_not_keep_from_going_on(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "run" / "best.pt").write_bytes(b"no checkpoint")
    assert Trainer.resume(tmp_path / "run").step == 4


def test_a_failure_while_building_is_not_blamed_on_the_checkpoint(stopped, monkeypatch):
    def out_of_memory(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("dacl.training.loop.Feed", out_of_memory)
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        Trainer.resume(stopped)


def test_a_run_whose_journal_was_mended_goes_on(stopped, tmp_path):
    """What kept others out of its folder is let go with the error, although the error is still at hand."""
    run_dir = tmp_path / "run"
    shutil.copytree(stopped, run_dir)
    path = run_dir / "metrics.jsonl"
    whole = path.read_text()
    path.write_text("{}\n" + whole)
    with pytest.raises(DaclError, match=r"line 1 of .* is no record") as kept:
        Trainer.resume(run_dir).run()
    path.write_text(whole)
    assert Trainer.resume(run_dir).run().finished
    assert kept.value.hint


def test_a_run_whose_record_may_not_be_written_goes_on(stopped, tmp_path, monkeypatch):
    run_dir = tmp_path / "run"
    shutil.copytree(stopped, run_dir)
    opened = Path.open

    def refused(path, mode="r", **options):
        if path.name == "run.json" and "a" in mode:
            raise PermissionError(13, "Permission denied")
        return opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", refused)
    assert Trainer.resume(run_dir).run().finished
