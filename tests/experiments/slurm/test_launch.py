"""A table's cells on a cluster: submitted once, watched to their ends, left alone and found again."""

import json
import os
import threading
import time
from types import SimpleNamespace

import pytest
import tiny
import tiny_ablation
import tiny_slurm
from submitit.core.job_environment import JobEnvironment
from submitit.local.local import LocalExecutor
from tiny_slurm import Cluster, descendants, run_all

from dacl.errors import DaclError
from dacl.experiments import cell_commands
from dacl.experiments.cell_commands import log_path
from dacl.experiments.cells import look
from dacl.experiments.slurm import watch
from dacl.experiments.slurm.book import Book
from dacl.experiments.slurm.states import Unreachable
from dacl.training.journal import Journal


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_ablation.write_dataset(tmp_path_factory.mktemp("cluster") / "data")


@pytest.fixture
def cells(data, tmp_path):
    """Two cells, which are not run by most of the tests."""
    return tiny_ablation.cells(data, tmp_path / "out", seeds=[0])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def cluster(monkeypatch):
    """A cluster whose jobs run their commands in this process."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "5")
    monkeypatch.setattr(Journal, "draw", lambda self: None)
    monkeypatch.setattr(cell_commands, "start", tiny_ablation.Here())
    return Cluster()


def test_every_cell_is_one_task_of_one_array_and_ends_in_the_table(cells, out, cluster):
    outcome, heard = run_all(cells, out, cluster, cluster.run, lambda: None)
    assert outcome.missing == {}
    assert list(cluster.tasks) == ["1_0", "1_1"]
    assert heard.changes == [
        ("I seed 0", "queued", "job 1_0"), ("VI seed 0", "queued", "job 1_1"),
        ("I seed 0", "done", ""), ("VI seed 0", "done", ""),
    ]  # fmt: skip
    assert all(look(cell).state == "done" for cell in cells)
    assert Book(out).read() == {}


def test_a_cell_in_work_is_followed(cells, out, cluster):
    """By its log and its journal: waiting, training, requeued, training again, evaluating."""
    journal = Journal(cells[0].run_dir)
    log = log_path(out, cells[0])

    def train(step):
        cells[0].run_dir.mkdir(exist_ok=True)
        log.parent.mkdir(exist_ok=True)
        with log.open("a") as file:
            file.write("$ # job 1_0 on node\n$ dacl train --out x\nstep\n")
        journal.append({"kind": "train", "step": step})
        cluster.jobs["1_0"] = "RUNNING"

    def requeue():
        with log.open("a") as file:
            file.write("$ # the cluster takes the node\n")
        cluster.jobs["1_0"] = "PENDING"

    def evaluate():
        with log.open("a") as file:
            file.write("$ dacl evaluate x\n")

    story = (lambda: train(1), requeue, lambda: train(3), evaluate)
    outcome, heard = run_all(cells, out, cluster, *story)
    said = [change[1:] for change in heard.changes if change[0] == "I seed 0"]
    assert said == [
        ("queued", "job 1_0"), ("training", ""), ("queued", "job 1_0"), ("training", ""),
        ("evaluating", ""),
    ]  # fmt: skip
    assert heard.progress["I seed 0"][:2] == (3, 4)
    assert outcome.queued == {
        "I seed 0": "evaluating as job 1_0", "VI seed 0": "queued as job 1_1",
    }  # fmt: skip
    assert outcome.missing == outcome.queued


def test_no_cell_is_submitted_twice(cells, out, cluster):
    """Left, and found again: what is queued is waited for, what was cancelled meanwhile goes anew."""
    outcome, _ = run_all(cells, out, cluster, wait=False)
    assert set(outcome.queued) == {"I seed 0", "VI seed 0"}
    outcome, _ = run_all(cells, out, cluster, wait=False)
    assert list(cluster.tasks) == ["1_0", "1_1"]

    cluster.run("1_0")
    del cluster.jobs["1_0"]  # forgotten by Slurm
    cluster.jobs["1_1"] = "CANCELLED"
    left = [cell for cell in cells if look(cell).state != "done"]
    outcome, heard = run_all(left, out, cluster, cluster.run, lambda: None)
    assert outcome.missing == {}
    assert list(cluster.tasks) == ["1_0", "1_1", "2_0"]
    assert heard.changes[0] == ("VI seed 0", "queued", "job 2_0")


def test_cells_of_another_table_in_the_folder_keep_their_jobs(cells, out, cluster):
    run_all(cells[:1], out, cluster, wait=False)
    run_all(cells[1:], out, cluster, wait=False)
    assert {name: ticket.job for name, ticket in Book(out).read().items()} == {
        "I-seed0": "1_0", "VI-seed0": "2_0",
    }  # fmt: skip


def test_a_queued_cell_of_other_settings_is_refused(data, cells, out, cluster):
    run_all(cells, out, cluster, wait=False)
    other = tiny_ablation.cells(data, out, seeds=[0], cross={"weight": 0.5})
    with pytest.raises(
        DaclError, match="I seed 0 is job 1_0 of Slurm with other settings"
    ) as error:
        run_all(other, out, cluster, wait=False)
    assert "scancel 1" in error.value.hint
    assert len(cluster.tasks) == 2


def test_a_failed_cell_is_named_with_its_reason(cells, out, cluster, monkeypatch):
    """And one that has failed before is not taken for one that fails now."""

    def start(words, log, environment, lock, prepare=None):
        with log.open("a") as file:
            file.write("Error: no space\nHint: make some\n")
        return tiny_ablation.Ended(1)

    monkeypatch.setattr(cell_commands, "start", start)
    outcome, heard = run_all(cells, out, cluster, cluster.run, lambda: None)
    assert outcome.failed == {"I seed 0": "no space", "VI seed 0": "no space"}
    assert ("I seed 0", "failed", "no space") in heard.changes
    assert Book(out).read() == {}

    def lose():
        cluster.jobs["2_0"] = "OUT_OF_MEMORY"
        del cluster.jobs["2_1"]

    outcome, _ = run_all(cells, out, cluster, lose, lambda: None)
    folder = out / "slurm"
    assert outcome.failed == {
        "I seed 0": f"job 2_0 ended as OUT_OF_MEMORY, see {folder}/2_0_0_log.err",
        "VI seed 0": f"job 2_1 is not known to Slurm any more, see {folder}/2_1_0_log.err",
    }


def test_a_job_that_was_taken_away_is_no_failure_of_the_cell(cells, out, cluster):
    def take():
        cluster.jobs |= {"1_0": "CANCELLED", "1_1": "NODE_FAIL"}

    outcome, heard = run_all(cells, out, cluster, take, lambda: None)
    assert outcome.failed == {}
    assert outcome.unfinished == {
        "I seed 0": "not run; job 1_0 cancelled", "VI seed 0": "not run; job 1_1 node_fail",
    }  # fmt: skip
    assert [doing for _, doing, _ in heard.changes[2:]] == ["stopped", "stopped"]


def test_an_end_is_believed_only_after_a_while(cells, out, cluster):
    """A job on its way back into the queue, and files that the network shows late."""

    def state(value):
        return lambda: cluster.jobs.update({"1_0": value})

    slow = tiny_slurm.Pace(files_s=0, queue_s=0, settle_s=3600)
    outcome, heard = run_all(
        cells[:1], out, cluster, state("NODE_FAIL"), state("PENDING"), lambda: None, pace=slow
    )
    assert outcome.missing == {"I seed 0": "queued as job 1_0"}
    assert [doing for _, doing, _ in heard.changes] == ["queued"]
    story = (state("FAILED"), lambda: None, cluster.tasks["1_0"], lambda: None)
    outcome, heard = run_all(cells[:1], out, cluster, *story, pace=slow)
    assert outcome.missing == {}
    assert [doing for _, doing, _ in heard.changes] == ["queued", "done"]


def test_an_end_before_a_silence_is_asked_for_again(cells, out, cluster, monkeypatch):
    """A job that went back into the queue while Slurm did not answer."""
    clock, states = [0.0], cluster.states
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def silent(jobs):
        raise Unreachable("squeue does not answer")

    def fail():
        cluster.jobs["1_0"] = "NODE_FAIL"

    def fall_silent():
        cluster.states, clock[0] = silent, 3600.0

    def speak():
        cluster.states, cluster.jobs["1_0"] = states, "PENDING"

    slow = tiny_slurm.Pace(files_s=0, queue_s=0, settle_s=15)
    outcome, heard = run_all(
        cells[:1], out, cluster, fail, fall_silent, speak, lambda: None, pace=slow
    )
    assert outcome.missing == {"I seed 0": "queued as job 1_0"}
    assert [doing for _, doing, _ in heard.changes] == ["queued"]


def test_a_silent_slurm_is_waited_for_but_not_at_submission(cells, out, cluster, monkeypatch):
    states = cluster.states

    def silent(jobs):
        raise Unreachable("squeue does not answer")

    def fall_silent():
        cluster.states = silent
        cluster.run()

    def speak():
        cluster.states = states

    story = (fall_silent, lambda: None, speak, lambda: None)
    outcome, _ = run_all(cells[:1], out, cluster, *story)
    assert outcome.missing == {}
    cluster.states = silent
    with pytest.raises(DaclError, match="does not answer"):
        run_all(cells, out, cluster)


def test_a_cell_that_is_done_by_now_is_not_submitted(cells, out, cluster):
    """Its job ended between the first look at the cells and the lock."""
    run_all(cells[:1], out, cluster, wait=False)
    cluster.run()
    outcome, heard = run_all(cells[:1], out, cluster)
    assert (outcome.missing, heard.changes) == ({}, [("I seed 0", "done", "")])
    assert list(cluster.tasks) == ["1_0"]


def test_a_cell_that_cannot_go_on_is_not_submitted(cells, out, cluster):
    cells[0].run_dir.mkdir(parents=True)
    (cells[0].run_dir / "latest.pt").write_bytes(b"PK")
    cells[1].run_dir.mkdir()
    (cells[1].run_dir / "thesis.tex").write_text("mine")
    outcome, heard = run_all(cells, out, cluster)
    assert "latest.pt is " in outcome.failed["I seed 0"]
    assert "not the folder of a run" in outcome.failed["VI seed 0"]
    assert cluster.tasks == {}
    assert [doing for _, doing, _ in heard.changes] == ["failed", "failed"]


def test_two_commands_never_watch_the_same_folder(cells, out, cluster):
    def second():
        with pytest.raises(DaclError, match="another process is running the cells"):
            run_all(cells, out, cluster)

    run_all(cells, out, cluster, second)


def test_cells_of_a_cluster_are_not_run_here(cells, out, cluster, tmp_path, monkeypatch):
    """While they are queued or running; nothing is asked where nothing was submitted."""
    bin_ = tmp_path / "bin"
    cells = cells[:1]
    run_all(cells, out, cluster, wait=False)
    tiny_slurm.program(bin_, "squeue", "echo '1_0|RUNNING'")
    monkeypatch.setenv("PATH", str(bin_))
    with pytest.raises(DaclError, match=r"I seed 0 is job 1_0 of Slurm \(running\)") as error:
        tiny_ablation.run_all(cells, out)
    assert "--launcher slurm" in error.value.hint
    (bin_ / "squeue").unlink()
    with pytest.raises(DaclError, match="no squeue here"):
        tiny_ablation.run_all(cells, out)
    tiny_slurm.program(
        bin_, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    )
    assert tiny_ablation.run_all(cells, out)[0].missing == {}


def test_a_damaged_book_is_not_guessed_at(cells, out, cluster):
    run_all(cells, out, cluster, wait=False)
    Book(out).path.write_text('{"I-seed0": {"job"')
    with pytest.raises(DaclError, match=r"jobs\.json is damaged"):
        run_all(cells, out, cluster)
    Book(out).path.write_text(json.dumps({"I-seed0": {"job": "1_0"}}))
    with pytest.raises(DaclError, match=r"jobs\.json is damaged"):
        run_all(cells, out, cluster)


class Processes:
    """Jobs of submitit's local executor: processes of this machine, requeued by submitit itself."""

    def __init__(self, folder) -> None:
        self._executor = LocalExecutor(folder, max_num_timeout=100)
        self._executor.update_parameters(timeout_min=10)
        self.jobs = {}

    def submit(self, tasks):
        jobs = [self._executor.submit(task) for task in tasks]
        self.jobs |= {job.job_id: job for job in jobs}
        return [job.job_id for job in jobs]

    def states(self, jobs):
        return {job: "COMPLETED" if self.jobs[job].done() else "RUNNING" for job in jobs}

    def alive(self, job: str) -> list[int]:
        return descendants(int(job))

    def announce_the_end(self, job: str) -> None:
        """To every process of the job, as Slurm does; not to submitit's controller, which stands for Slurm."""
        for pid in self.alive(job):
            os.kill(pid, JobEnvironment._usr_sig())


def test_a_preempted_job_comes_back_and_ends_with_the_same_bits(data, tmp_path):
    """Real processes: the job loses its node in the middle of the training, is requeued, resumes, and is evaluated."""
    steps = 40
    quiet = {"log_every": 1, "validate_every": steps, "checkpoint_every": steps}
    (cell,) = tiny_ablation.cells(
        data, tmp_path / "out", rows=[tiny_ablation.VI], seeds=[0], steps=steps, journal=quiet
    )
    cluster = Processes(tmp_path / "out" / "slurm")
    reached = []

    def preempt() -> None:
        journal = Journal(cell.run_dir)
        while not (journal.path.exists() and journal.records()):
            assert time.monotonic() < deadline, log_path(tmp_path / "out", cell).read_text()
            time.sleep(0.005)
        cluster.announce_the_end(next(iter(cluster.jobs)))
        while "requeued" not in log_path(tmp_path / "out", cell).read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        reached.append(look(cell))

    deadline = time.monotonic() + 600
    actor = threading.Thread(target=preempt)
    actor.start()
    heard = tiny_ablation.Heard()
    pace = tiny_slurm.Pace(files_s=0.02, queue_s=0.1, settle_s=0.0)
    outcome = tiny_slurm.launch(
        [cell], tmp_path / "out", queue=cluster, threads=1, listener=heard, pace=pace
    )
    actor.join()
    log = log_path(tmp_path / "out", cell).read_text()
    assert outcome.missing == {}, log
    assert (reached[0].state, 0 < reached[0].step < steps) == ("interrupted", True), log
    starts = [line.split()[2] for line in log.splitlines() if line.startswith("$ dacl ")]
    assert starts == ["train", "train", "evaluate"]
    assert "--resume" in log
    assert not any(cluster.alive(job) for job in cluster.jobs)
    tiny.train(data, tmp_path / "alone" / "run", cell.config)
    tiny.assert_same_run(tmp_path / "alone" / "run", cell.run_dir)
