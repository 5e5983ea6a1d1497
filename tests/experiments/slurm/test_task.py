"""A job on its node: what it runs, and what it does when the cluster takes the node away."""

import os
import pickle
import signal
import time
from dataclasses import replace
from pathlib import Path

import cloudpickle
import pytest
import tiny
import tiny_ablation
import tiny_slurm
from submitit.core.job_environment import JobEnvironment

from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.experiments import cell_commands
from dacl.experiments.cell_commands import log_path
from dacl.experiments.cells import look
from dacl.experiments.slurm import task as slurm_task
from dacl.experiments.slurm.task import FRUITLESS, CellFailed, CellTask
from dacl.training.journal import Journal
from dacl.training.loop import Trainer

ANNOUNCEMENT = JobEnvironment._usr_sig()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_ablation.write_dataset(tmp_path_factory.mktemp("task") / "data")


@pytest.fixture
def cell(data, tmp_path):
    return tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.VI], seeds=[0], steps=9)[0]


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A job of submitit in this process; the announcements that reach submitit's handler."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "5")
    monkeypatch.setattr(slurm_task, "POLL_S", 0.001)
    monkeypatch.setattr(slurm_task, "APART_S", 0.05)
    monkeypatch.setattr(slurm_task, "LOCK_PATIENCE_S", 0.05)
    monkeypatch.setattr(Journal, "draw", lambda self: None)
    monkeypatch.chdir(tmp_path)
    handed_on = []
    numbers = (ANNOUNCEMENT, signal.SIGTERM)
    before = {n: signal.signal(n, lambda got, _: handed_on.append(got)) for n in numbers}
    yield handed_on
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def here(monkeypatch):
    """The commands run in this process."""
    here = tiny_ablation.Here()
    monkeypatch.setattr(cell_commands, "start", here)
    return here


class Training:
    """In the place of a `dacl train` that is alive: it ends when it is asked to, some looks later."""

    def __init__(self, code=130, looks=3):
        self.asked, self.killed, self._code, self._looks = 0, False, code, looks
        self.returncode = None

    def poll(self):
        if self.asked:
            self._looks -= 1
            if self._looks <= 0:
                self.returncode = self._code
        return self.returncode

    def terminate(self):
        self.asked += 1

    def kill(self):
        self.killed, self.returncode = True, -9

    def wait(self):
        assert self.returncode is not None


def trained(cell, data, steps):
    """Train some steps of a cell, and stop as by Ctrl-C."""
    trainer = Trainer(cell.config, PreparedDataset.open(data), cell.run_dir)
    trainer.run(tiny.Quiet(), lambda: trainer.step == steps)


def started(monkeypatch, process, sent=()):
    """Each command is `process`, during whose start some signals arrive; how often it was started."""
    times = []

    def start(words, log, environment, lock, prepare=None):
        times.append(words[0])
        for number in sent:
            os.kill(os.getpid(), number)
        return process

    monkeypatch.setattr(cell_commands, "start", start)
    return times


def test_a_cell_is_trained_and_evaluated_and_survives_pickling(data, cell, node, here, tmp_path):
    task = pickle.loads(cloudpickle.dumps(CellTask(cell, tmp_path, 1)))
    task()
    assert here.words() == ["train VI-seed0", "evaluate VI-seed0"]
    assert look(cell).state == "done"
    assert node == []
    tiny.train(data, tmp_path / "alone", cell.config)
    tiny.assert_same_run(tmp_path / "alone", cell.run_dir)
    log = log_path(tmp_path, cell).read_text()
    assert log.startswith("$ # job 5 on ")
    assert [line.split()[:3] for line in log.splitlines() if line.startswith("$ dacl")] == [
        ["$", "dacl", "train"], ["$", "dacl", "evaluate"],
    ]  # fmt: skip
    task()
    assert here.words() == []


def test_a_cell_that_was_interrupted_goes_on_to_the_same_bits(data, cell, node, here, tmp_path):
    trained(cell, data, 5)
    CellTask(cell, tmp_path, 1)()
    assert here.commands[0][:2] == ["train", "--resume"]
    tiny.train(data, tmp_path / "alone", cell.config)
    tiny.assert_same_run(tmp_path / "alone", cell.run_dir)


def test_paths_mean_what_they_meant_at_submission(data, node, here, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(data)
    (cell,) = tiny_ablation.cells(
        Path("data"), Path("out"), rows=[tiny_ablation.I], seeds=[0], steps=4
    )
    task = CellTask(cell, Path("out"), 1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    task()
    assert (tmp_path / "out" / "I-seed0" / "evaluation" / "test-best" / "summary.json").is_file()


def test_a_failure_is_raised_with_its_reason_in_the_log(data, node, here, tmp_path):
    (cell,) = tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.I], seeds=[0])
    cell = replace(cell, config=tiny.config("cps", optim={"steps": 4, "lr": 1e30}))
    with pytest.raises(CellFailed, match="not finite"):
        CellTask(cell, tmp_path, 1)()
    assert here.words() == ["train I-seed0"]
    assert log_path(tmp_path, cell).read_text().count("Error: ") == 1


@pytest.mark.parametrize(
    ("code", "why"), [(-signal.SIGKILL, "for want of memory"), (3, "exit code 3")]
)
def test_a_silent_failure_is_written_into_the_log(cell, node, tmp_path, monkeypatch, code, why):
    process = Training()
    process.returncode = code
    started(monkeypatch, process)
    with pytest.raises(CellFailed, match=why):
        CellTask(cell, tmp_path, 1)()
    assert f"Error: {cell_commands.how_it_ended(code)}\n" in log_path(tmp_path, cell).read_text()


def test_a_foreign_folder_is_refused_in_the_log(cell, node, here, tmp_path):
    cell.run_dir.mkdir()
    (cell.run_dir / "thesis.tex").write_text("mine")
    with pytest.raises(DaclError, match="not the folder of a run"):
        CellTask(cell, tmp_path, 1)()
    assert "Error: " in log_path(tmp_path, cell).read_text()
    assert here.words() == []


@pytest.mark.parametrize("code", [0, 130, -signal.SIGTERM])
@pytest.mark.parametrize("sent", [[ANNOUNCEMENT], [signal.SIGTERM, ANNOUNCEMENT]])
def test_an_announcement_is_handed_on_after_the_command_has_ended(
    cell, node, tmp_path, monkeypatch, sent, code
):
    """Whether the training saved, was already at its end, or had not begun when it was asked."""
    process = Training(code)
    seen = []
    signal.signal(ANNOUNCEMENT, lambda *_: seen.append(process.returncode))
    times = started(monkeypatch, process, sent)
    CellTask(cell, tmp_path, 1)()
    assert seen == [code]
    assert times == ["train"]  # not the evaluation as well
    assert (process.asked, process.killed) == (1, False)
    assert "the cluster takes the node: not run, requeued" in log_path(tmp_path, cell).read_text()


def test_an_announcement_before_the_first_command_starts_none(cell, node, tmp_path, monkeypatch):
    times = started(monkeypatch, Training())
    real = slurm_task._steps

    def steps(cell):
        os.kill(os.getpid(), ANNOUNCEMENT)
        return real(cell)

    monkeypatch.setattr(slurm_task, "_steps", steps)
    CellTask(cell, tmp_path, 1)()
    assert (times, node) == ([], [ANNOUNCEMENT])


def test_an_announcement_at_the_very_end_changes_nothing(data, node, here, tmp_path, monkeypatch):
    (cell,) = tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.I], seeds=[0])

    def start(words, log, environment, lock, prepare=None):
        ended = here(words, log, environment, lock)
        if words[0] == "evaluate":
            os.kill(os.getpid(), ANNOUNCEMENT)
        return ended

    monkeypatch.setattr(cell_commands, "start", start)
    CellTask(cell, tmp_path, 1)()
    assert look(cell).state == "done"
    assert node == []


def test_sigterm_alone_saves_and_is_no_requeue(cell, node, tmp_path, monkeypatch):
    """`scancel`, and `scontrol requeue`, which brings the job back by itself."""
    process = Training()
    started(monkeypatch, process, [signal.SIGTERM])
    with pytest.raises(CellFailed, match="stopped by SIGTERM: not run"):
        CellTask(cell, tmp_path, 1)()
    assert (process.asked, node) == (1, [])


@pytest.mark.parametrize(
    ("state", "preempted", "requeued"),
    [
        ("RUNNING", "2026-11-25T09:16:13", True),
        ("RUNNING", "None", False),
        ("CANCELLED", "2026-11-25T09:16:13", False),
        ("RUNNING", "2026-11-25T07:00:00", False),  # of an earlier start of the job
    ],
)
def test_sigterm_in_the_grace_time_of_a_preemption_is_an_announcement(
    cell, node, tmp_path, monkeypatch, state, preempted, requeued
):
    shown = f"JobState={state}\n StartTime=2026-11-25T09:00:00\n PreemptTime={preempted}"
    tiny_slurm.program(
        tmp_path / "bin", "scontrol", f'[ "$*" = "show job 70_3" ] && echo "{shown}"'
    )
    tiny_slurm.first_on_path(monkeypatch, tmp_path / "bin")
    array = {"JOB_ID": "70", "ARRAY_JOB_ID": "70", "ARRAY_TASK_ID": "3"}
    for key, value in array.items():
        monkeypatch.setenv(f"SLURM_{key}", value)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    started(monkeypatch, Training(), [signal.SIGTERM])
    if requeued:
        CellTask(cell, tmp_path, 1)()
    else:
        with pytest.raises(CellFailed):
            CellTask(cell, tmp_path, 1)()
    assert node == ([ANNOUNCEMENT] if requeued else [])


def test_no_process_is_left_behind_by_an_interruption(cell, node, tmp_path, monkeypatch):
    process = Training()
    started(monkeypatch, process)

    def interrupted(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        CellTask(cell, tmp_path, 1)()
    assert process.killed


def test_two_jobs_never_run_the_same_cell(cell, node, tmp_path, monkeypatch):
    """A node that was lost may still be writing when the job is requeued on another."""

    def start(words, log, environment, lock, prepare=None):
        with pytest.raises(CellFailed, match="another process is running VI seed 0"):
            CellTask(cell, tmp_path, 1)()
        return tiny_ablation.Ended(1)

    monkeypatch.setattr(cell_commands, "start", start)
    with pytest.raises(CellFailed):
        CellTask(cell, tmp_path, 1)()


def test_a_job_that_gets_nowhere_is_given_up(data, cell, node, tmp_path, monkeypatch):
    started(monkeypatch, Training(), [ANNOUNCEMENT])
    task = CellTask(cell, tmp_path, 1)

    def starts():
        task()
        return task.checkpoint()

    for _ in range(FRUITLESS - 1):
        assert starts().function is task

    def start(words, log, environment, lock, prepare=None):
        trained(cell, data, 2)
        os.kill(os.getpid(), ANNOUNCEMENT)
        return Training()

    monkeypatch.setattr(cell_commands, "start", start)
    assert starts() is not None  # two steps: the count begins anew
    started(monkeypatch, Training(), [ANNOUNCEMENT])
    for _ in range(FRUITLESS - 1):
        assert starts() is not None
    assert starts() is None
    assert "Error: given up: 3 starts in a row" in log_path(tmp_path, cell).read_text()
