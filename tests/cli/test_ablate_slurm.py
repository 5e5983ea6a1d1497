"""`dacl ablate --launcher slurm` from the command line."""

import json
import os
import signal

import pytest
import tiny
import tiny_ablation
import tiny_slurm

from dacl.config import resolve
from dacl.config_text import read_toml
from dacl.experiments import cell_commands
from dacl.experiments.slurm import launch as slurm_launch
from dacl.experiments.slurm import queue as slurm_queue
from dacl.training.journal import Journal

ONE = ["--rows", "I", "--seeds", "0", "--threads", "1", "--out", "out", "--launcher", "slurm"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A prepared dataset; read only."""
    return tiny_ablation.write_dataset(tmp_path_factory.mktemp("prepared") / "data")


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of this process; its `request` is what was asked for."""
    cluster = tiny_slurm.Cluster()

    def queue(folder, name, request):
        cluster.folder, cluster.name, cluster.request = folder, name, request
        return cluster

    cluster.script = lambda tasks: f"#!/bin/bash\n# {tasks} tasks"
    monkeypatch.setattr(slurm_queue, "SlurmQueue", queue)
    monkeypatch.setattr(slurm_launch, "Pace", lambda: tiny_slurm.AT_ONCE)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "5")
    monkeypatch.setattr(Journal, "draw", lambda self: None)
    monkeypatch.setattr(cell_commands, "start", tiny_ablation.Here())
    return cluster


@pytest.fixture
def ablate(run_dacl, prepared, tmp_path, monkeypatch, cluster):
    """Run `dacl ablate` with the smallest settings in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*args, options=None):
        options = tiny.options() if options is None else options
        return run_dacl("ablate", "--data", prepared, "--steps", 4, *options, *args)

    return run


def runs_at_the_first_question(cluster, monkeypatch, after=lambda: None):
    """Every pending job runs when the states are first asked after the submission."""
    states = cluster.states

    def asked(jobs):
        if jobs:
            cluster.run()
            after()
        return states(jobs)

    monkeypatch.setattr(cluster, "states", asked)


def test_submitted_left_and_collected(ablate, cluster, monkeypatch):
    outcome = ablate(*ONE, "--no-wait")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.splitlines() == [
        "1 of 1 cells to run as jobs of Slurm -> out",
        "I seed 0: queued: job 1_0",
        "jobs of Slurm that go on: 1; the same command waits for them and makes the table, `scancel 1` ends them",
    ]  # fmt: skip
    assert (cluster.name, str(cluster.folder)) == ("dacl-out", "out/slurm")

    runs_at_the_first_question(cluster, monkeypatch)
    outcome = ablate(*ONE)
    assert outcome.code == 0, outcome.err
    assert list(cluster.tasks) == ["1_0"]
    assert outcome.out.startswith("tiny (synthetic), test: ablation")
    settings = resolve("small", read_toml(tiny.Path("out/configs/I-seed0.toml")))
    assert settings.device == "cpu"

    outcome = ablate(*ONE)  # nothing is missing
    assert (outcome.code, outcome.err, list(cluster.tasks)) == (0, "", ["1_0"])


def test_ctrl_c_leaves_the_jobs(ablate, cluster, monkeypatch):
    states = cluster.states

    def asked(jobs):
        if jobs:
            os.kill(os.getpid(), signal.SIGINT)
        return states(jobs)

    monkeypatch.setattr(cluster, "states", asked)
    outcome = ablate(*ONE, "--json")
    assert outcome.code == 130
    assert "leaving; the jobs go on" in outcome.err
    assert "`scancel 1` ends them" in outcome.err
    content = json.loads(outcome.out)
    assert content["queued"] == {"I seed 0": "queued as job 1_0"}
    assert cluster.jobs == {"1_0": "PENDING"}


def test_what_the_jobs_ask_for(ablate, cluster):
    outcome = ablate(
        *ONE, "--no-wait", "--partition", "gpu", "--account", "lab", "--qos", "long", "--time", "90",
        "--mem", "16G", "--jobs", 2, "--threads", 6, "--slurm", "nice=5",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    asked = cluster.request
    assert (asked.partition, asked.account, asked.qos) == ("gpu", "lab", "long")
    assert (asked.minutes, asked.memory, asked.at_once, asked.threads) == (90, "16G", 2, 6)
    assert (dict(asked.extra), asked.gpus) == ({"nice": 5}, 0)
    assert cluster.tasks["1_0"].threads == 6


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_login_node_without_gpu_decides_nothing(ablate, cluster, device):
    """Neither the device nor the preset: `auto` is a GPU there, and the paper's recipe its preset."""
    outcome = ablate(*ONE, "--no-wait", "--device", device, options=[])
    assert outcome.code == 0, outcome.err
    config = cluster.tasks["1_0"].cell.config
    assert (config.device, config.preset, cluster.request.gpus) == ("cuda", "paper", 1)


def test_a_node_without_gpu(ablate, cluster):
    outcome = ablate(*ONE, "--no-wait", "--device", "cpu", options=[])
    assert outcome.code == 0, outcome.err
    config = cluster.tasks["1_0"].cell.config
    assert (config.device, config.preset, cluster.request.gpus) == ("cpu", "small", 0)


def test_a_dry_run_shows_the_script_and_submits_nothing(ablate, cluster):
    two = ["--rows", "I,VI", *ONE[2:]]
    assert ablate(*ONE, "--no-wait").code == 0
    outcome = ablate(*two, "--dry-run")
    assert outcome.code == 0, outcome.err
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert lines == [
        "out", "cell state steps", "I seed 0 not run; job 1_0 pending 4", "VI seed 0 not run 4",
        "#!/bin/bash", "# 1 tasks",
    ]  # fmt: skip
    content = json.loads(ablate(*two, "--dry-run", "--json").out)
    assert [cell["job"] for cell in content["cells"]] == ["1_0", None]
    assert list(cluster.tasks) == ["1_0"]


def test_a_failed_cell_is_named(ablate, cluster, monkeypatch):
    runs_at_the_first_question(cluster, monkeypatch)
    outcome = ablate(*ONE, "--lr", 1e30)
    assert outcome.code == 1
    assert "I seed 0 failed: the loss is not finite at step" in outcome.err
    assert "(log: out/logs/I-seed0.log)" in outcome.err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--partition", "gpu"], "--partition is about jobs of a cluster"),
        (["--no-wait"], "--no-wait is about jobs of a cluster"),
        (["--slurm", "nice=5"], "--slurm is about jobs of a cluster"),
        (["--launcher", "slurm", "--time", "4h"], "--time '4h'"),
        (["--launcher", "slurm", "--mem", "lots"], "--mem 'lots'"),
        (["--launcher", "slurm", "--slurm", "nodes=2"], "nodes is set by dacl"),
        (["--launcher", "slurm", "--device", "mps"], "--device mps"),
    ],
)
def test_bad_requests(ablate, cluster, words, found):
    outcome = ablate(*words)
    assert (outcome.code, outcome.out) == (1, "")
    assert found in outcome.err
    assert outcome.err.splitlines()[1].startswith("Hint: ")
    assert cluster.tasks == {}
