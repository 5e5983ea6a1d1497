"""A run that was interrupted, in whatever way and however often, ends with the bits of one left alone."""

import os
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny
import torch
from forks import PATIENCE_S, Forks

from dacl.data.prepared import PreparedDataset
from dacl.methods import Cps
from dacl.training import checkpoint
from dacl.training.loop import Trainer

METHODS = ["supervised", "cps", "dacl"]
STEPS = 13  # a multiple of none of log, validate and checkpoint
OPTIM = {"steps": STEPS, "lr": 0.1}  # steep, so that the best moves several times
FLAGS = ["--steps", STEPS, "--lr", 0.1]


@pytest.fixture(scope="module")
def forks():
    with Forks() as server:
        yield server


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """Run folders of each method never interrupted, made when asked for."""

    done = {}

    def run(method):
        if method not in done:
            folder = tmp_path_factory.mktemp(method) / "run"
            with tiny.no_pictures():
                tiny.train(data, folder, tiny.config(method, optim=OPTIM))
            assert checkpoint.load(folder / "latest.pt")["step"] == STEPS
            done[method] = folder
        return done[method]

    return run


@pytest.mark.parametrize("method", METHODS)
def test_stopped_between_any_two_steps(method, data, alone, tmp_path, no_pictures):
    run_dir, listener = tmp_path / "run", tiny.Quiet()
    trainer = Trainer(tiny.config(method, optim=OPTIM), PreparedDataset.open(data), run_dir)
    for stop_at in (2, 7):
        summary = trainer.run(listener, lambda at=stop_at: listener.steps[-1] == at)
        assert (summary.step, summary.finished) == (stop_at, False)
        state = checkpoint.load(run_dir / "latest.pt")
        assert (state["step"], len(state["since_log"])) == (stop_at, 2)
        torch.rand(3)  # other programs of this process draw meanwhile
        trainer = Trainer.resume(run_dir)
        assert trainer.step == stop_at
    assert trainer.run(listener).finished
    assert listener.steps == list(range(1, STEPS + 1))
    tiny.assert_same_run(alone(method), run_dir)


NEVER_NEIGHBOURS = {
    "contrast": {"scales": [2, 4000], "bank_size": 5000},  # which will not fill
    "journal": {"log_every": 1},
}
"""No class has 4,000 neighbours, so none gets an anchor, which is told after four records."""


def test_warnings_come_once_whenever_a_run_is_interrupted(data, tmp_path, no_pictures):
    settings = tiny.config("dacl", optim=OPTIM, **NEVER_NEIGHBOURS)
    tiny.train(data, tmp_path / "alone", settings)
    warned = [r for r in tiny.without_wall(tmp_path / "alone") if r["kind"] == "warning"]
    expected = [r for r in warned if "no anchor" in r["text"]]
    assert [r["step"] for r in expected] == [4]
    assert all(f"{name} (" in expected[0]["text"] for name in ("RV", "Myo", "LV"))

    # stopped before they are due, and after
    run_dir, listener = tmp_path / "stopped", tiny.Quiet()
    trainer = Trainer(settings, PreparedDataset.open(data), run_dir)
    for stop_at in (2, 7):
        trainer.run(listener, lambda at=stop_at: listener.steps[-1] == at)
        trainer = Trainer.resume(run_dir)
    trainer.run(listener)
    tiny.assert_same_run(tmp_path / "alone", run_dir)
    assert listener.warnings == [(r["step"], r["text"]) for r in warned]

    # killed once they are written, but after the last checkpoint of step 3: they are cut, and written again
    run_dir, listener = tmp_path / "killed", tiny.Quiet()
    trainer = Trainer(settings, PreparedDataset.open(data), run_dir)
    listener.warned = lambda text, step: "no anchor" in text and 1 / 0
    with pytest.raises(ZeroDivisionError):
        trainer.run(listener)
    assert tiny.without_wall(run_dir)[-1]["kind"] == "warning"
    assert checkpoint.load(run_dir / "latest.pt")["step"] == 3
    Trainer.resume(run_dir).run(tiny.Quiet())
    tiny.assert_same_run(tmp_path / "alone", run_dir)


def test_a_collapse_is_told_once_wherever_a_run_is_interrupted(
    data, tmp_path, no_pictures, monkeypatch
):
    """b is made a copy of a after every step; validations are at 4, 8, 12 and 13, and the run settles by step 2."""

    def copy(method, _):
        method.networks["b"].load_state_dict(method.networks["a"].state_dict())

    monkeypatch.setattr(Cps, "after_step", copy)
    settings = tiny.config("cps", optim=OPTIM)
    tiny.train(data, tmp_path / "alone", settings)
    records = tiny.without_wall(tmp_path / "alone")
    assert all(
        v in (1, None) for r in records if r["kind"] == "val" for v in r["agreement"].values()
    )
    told = [r["step"] for r in records if r["kind"] == "warning" and "become one" in r["text"]]
    assert told == [8]

    for at in ((5, 7), (8, 9), (4, 12)):  # between the validations, at them, and after the warning
        run_dir, listener = tmp_path / f"stopped{at[0]}", tiny.Quiet()
        trainer = Trainer(settings, PreparedDataset.open(data), run_dir)
        for stop_at in at:
            trainer.run(listener, lambda at=stop_at, heard=listener: heard.steps[-1] == at)
            trainer = Trainer.resume(run_dir)
        trainer.run(listener)
        tiny.assert_same_run(tmp_path / "alone", run_dir)
        assert [step for step, text in listener.warnings if "become one" in text] == [8]


def test_what_a_checkpoint_compares(alone):
    """The comparison above covers the bank, the optimiser and the random state, and they are in use."""
    state = checkpoint.load(alone("dacl") / "latest.pt")
    assert state["method"]["contrast.a.bank.features_CLD"].any()
    assert state["method"]["contrast.b.bank.written_C"].any()
    assert len(state["optimizer"]["state"]) == len(state["optimizer"]["param_groups"][0]["params"])
    assert state["rng"]["cpu"].numel() > 1000


def _kill_in_writing(forks, log, run_dir, name):
    """Resume with a pipe in the place of NAME.partial and kill in the middle of its writing.

    What came through the pipe is left behind as the partial file.
    """
    partial = run_dir / f"{name}.partial"
    partial.unlink(missing_ok=True)
    os.mkfifo(partial)
    reader = os.open(partial, os.O_RDONLY | os.O_NONBLOCK)
    process = forks.start(log, "train", "--resume", run_dir)
    ready, _, _ = select.select([reader], [], [], PATIENCE_S)
    process.signal(signal.SIGKILL)
    assert process.end() == -signal.SIGKILL, process.text()
    assert ready
    written = os.read(reader, 5000)
    os.close(reader)
    partial.unlink()
    partial.write_bytes(written)
    return written


def _kill_when(forks, log, condition, *args, after_s=0.0):
    process = forks.start(log, *args)
    process.until(condition)
    time.sleep(after_s)
    process.signal(signal.SIGKILL)
    return process.end()


def _lines(run_dir):
    path = run_dir / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def test_killed_at_any_moment(data, alone, tmp_path, forks):
    """DACL: it has all the state that the other methods have, and the banks."""
    run_dir, log = tmp_path / "run", tmp_path / "log"
    latest, again = run_dir / "latest.pt", ["train", "--resume", run_dir]
    fresh = ["train", "--data", data, "--out", run_dir, *tiny.options(), *FLAGS]
    killed = _kill_when(forks, log, latest.exists, *fresh)
    assert killed == -signal.SIGKILL, log.read_text()

    # gone on from latest.pt, not from a best.pt of later: it would have no better one to write
    (run_dir / "best.pt").unlink(missing_ok=True)
    for name in ("best.pt", "latest.pt"):
        assert _kill_in_writing(forks, log, run_dir, name).startswith(b"PK")

    # while it starts, before it has done anything
    random = np.random.default_rng()
    code = _kill_when(forks, log, lambda: True, *again, after_s=random.uniform(0, 0.3))
    assert code == -signal.SIGKILL
    for _ in range(2):
        held = _lines(run_dir) + 1
        code = _kill_when(forks, log, lambda held=held: _lines(run_dir) > held, *again,
                          after_s=random.uniform(0, 0.1))  # fmt: skip
        if code == 0:
            break
    if checkpoint.load(latest)["step"] < STEPS:
        assert forks.start(log, *again).end() == 0, log.read_text()
    tiny.assert_same_run(alone("dacl"), run_dir)
    assert list(run_dir.glob("*.partial")) == []


def test_killed_before_the_first_checkpoint_says_how_to_begin_again(data, tmp_path, forks):
    run_dir, log = tmp_path / "run", tmp_path / "log"
    fresh = ["train", "--data", data, "--out", run_dir, *tiny.options(), *FLAGS]
    _kill_when(forks, log, (run_dir / "metrics.jsonl").exists, *fresh)
    assert not (run_dir / "latest.pt").exists()
    process = forks.start(log, "train", "--resume", run_dir)
    if process.end() != 0:  # going on from step 0 is an answer too
        assert "--overwrite" in process.text()


def test_ctrl_c_saves_and_says_how_to_go_on(data, tmp_path, forks):
    """SIGTERM does the same: tests/cli/test_train.py."""
    run_dir, log = tmp_path / "run", tmp_path / "log"
    options = [*tiny.options(), *FLAGS, "--method", "cps"]
    process = forks.start(log, "train", "--data", data, "--out", run_dir, *options)
    process.until(lambda: _lines(run_dir) > 0)
    process.signal(signal.SIGINT)
    assert process.end() == 130, process.text()
    step = checkpoint.load(run_dir / "latest.pt")["step"]
    assert 4 <= step < STEPS
    assert f"stopped at step {step}, saved" in process.text()
    assert f"go on with: dacl train --resume {run_dir}\n" in process.text()
    assert Trainer.resume(run_dir).step == step


def test_a_process_of_its_own_gives_the_same_bits(data, alone, tmp_path):
    """`python -m dacl_cli`, without the fork server that the other tests start from."""
    run_dir = tmp_path / "run"
    command = ["train", "--data", data, "--out", run_dir, *tiny.options(), *FLAGS, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "dacl_cli", *map(str, command)],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tiny.assert_same_run(alone("dacl"), run_dir)
