"""`dacl train --resume` from the command line."""

import pickle
from pathlib import Path

import pytest
import tiny
import torch
from refused import assert_refused

from dacl.training import checkpoint, loop
from dacl.training.folder import sole_writer
from dacl.training.report import RunSummary
from dacl_cli.train import _tell

SHORT = ["--steps", 5, "--method", "cps"]


pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def stopped(train, monkeypatch, place):
    """A run stopped by SIGTERM after its second step."""
    import os
    import signal

    before = loop.Trainer.train_step

    def step(self):
        before(self)
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "train_step", step)
        return train(*SHORT, "--out", "run")


def test_sigterm_saves_and_resume_goes_on(stopped, run_dacl, place, finished):
    assert stopped.code == 130
    assert "stopped at step 2, saved" in stopped.err
    assert stopped.out == "go on with: dacl train --resume run\n"
    outcome = run_dacl("train", "--resume", "run")
    assert outcome.code == 0, outcome.err
    assert "going on from step 2" in outcome.err
    tiny.assert_same_run(finished, place / "run")


def test_one_process_at_a_time_goes_on_with_a_run(stopped, run_dacl, place, finished):
    before = (place / "run" / "metrics.jsonl").read_bytes()
    with sole_writer(place / "run"):
        outcome = run_dacl("train", "--resume", "run")
    assert_refused(outcome, "another process is training run", "wait for it")
    assert (place / "run" / "metrics.jsonl").read_bytes() == before
    assert run_dacl("train", "--resume", "run").code == 0
    tiny.assert_same_run(finished, place / "run")


def test_stopping_at_once_says_what_is_kept(stopped, run_dacl, monkeypatch):
    def step(_self):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Trainer, "train_step", step)
    outcome = run_dacl("train", "--resume", "run")
    assert outcome.code == 130
    assert outcome.err.endswith(
        "what the last checkpoint holds is kept: dacl train --resume run\nInterrupted.\n"
    )


@pytest.mark.parametrize(
    "option",
    [["--seed", 1], ["--method", "cps"], ["--steps", 9], ["--set", "seed=1"], ["--out", "other"],
     ["--preset", "small"], ["--lr", 0.1], ["--tensorboard"], ["--overwrite"],
     ["--device", "cpu", "--lr", 0.1], ["--set", "contrast.tau=0.2", "--set", "cuda_graph=false"]],
)  # fmt: skip
def test_resume_takes_no_other_options(run_dacl, finished, option):
    outcome = run_dacl("train", "--resume", finished, *option)
    assert_refused(outcome, "--resume goes on with the run's own configuration", "leave the other")


def test_resume_takes_what_the_machine_does(stopped, run_dacl, place):
    """A run of another machine, or one whose steps cannot be captured, need not begin anew."""
    latest = place / "run" / "latest.pt"
    state = checkpoint.load(latest)
    checkpoint.save(latest, {**state, "config": {**state["config"], "device": "mps"}})
    assert_refused(run_dacl("train", "--resume", "run"), "device 'mps' was asked for", "--device")
    unknown = run_dacl("train", "--resume", "run", "--set", "device=gpu")
    assert_refused(unknown, "configuration key device = 'gpu'", "docs/configuration.md")
    outcome = run_dacl(
        "train", "--resume", "run", "--device", "cpu", "--precision", "bf16", "--set", "cuda_graph=false"
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert (
        "precision: the run began with fp32 and goes on with bf16; not the same bits" in outcome.err
    )
    config = checkpoint.load(latest)["config"]
    assert [config[key] for key in ("device", "precision", "cuda_graph")] == ["cpu", "bf16", False]
    assert config["optim"] == state["config"]["optim"]


def test_resuming_a_finished_run(run_dacl, finished):
    outcome = run_dacl("train", "--resume", finished)
    assert outcome.code == 0  # a script that resumes until it succeeds ends
    assert "is finished: 5 of 5 steps" in outcome.out
    assert f"dacl evaluate {finished}" in outcome.out


def test_resuming_what_is_not_there(run_dacl, place):
    assert_refused(run_dacl("train", "--resume", "nowhere"), "no checkpoint nowhere", "run folder")
    (place / "empty").mkdir()
    assert_refused(run_dacl("train", "--resume", "empty"), "empty holds no latest.pt", "a run?")


def test_resuming_a_file(finished, run_dacl):
    outcome = run_dacl("train", "--resume", finished / "latest.pt")
    assert_refused(outcome, "latest.pt is a file", f"give the run's folder: {finished}")


def test_resuming_on_other_data(stopped, run_dacl, place):
    tiny.write_dataset(place / "other", seed=1)
    outcome = run_dacl("train", "--resume", "run", "--data", "other")
    assert_refused(outcome, "run/latest.pt was trained on tiny (fingerprint ", "--data")


def test_a_truncated_checkpoint(stopped, run_dacl, place):
    path = place / "run" / "latest.pt"
    path.write_bytes(path.read_bytes()[:-1000])
    outcome = run_dacl("train", "--resume", "run")
    assert_refused(outcome, "run/latest.pt is damaged or is no checkpoint", "best.pt")


class Hostile:
    def __reduce__(self):
        return print, ("it ran",)


def test_a_hostile_checkpoint(run_dacl, place):
    (place / "run").mkdir()
    for write in (torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))):
        write({"format": 1, "config": Hostile()}, place / "run" / "latest.pt")
        outcome = run_dacl("train", "--resume", "run")
        assert_refused(outcome, "holds objects that could run code", "that `dacl train` wrote")
        assert "it ran" not in outcome.out + outcome.err


def test_the_line_to_go_on_with_can_be_typed(capsys):
    _tell(RunSummary(Path("my run"), 2, False, None), False, 1, "dacl")
    assert capsys.readouterr().out == "go on with: dacl train --resume 'my run' --threads 1\n"
