"""What is missing is run, once; what fails, stops or is killed loses nothing else."""

import signal
from dataclasses import replace

import pytest
import tiny
import tiny_ablation
import torch
from tiny_ablation import run_all

from dacl.config import resolve
from dacl.config_text import read_toml
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.experiments import cell_commands
from dacl.experiments.cell_commands import commands, log_path
from dacl.experiments.cells import Status, look
from dacl.experiments.estimate import seconds_left_by_cell
from dacl.experiments.launch import Slots, slots_of
from dacl.training.journal import Journal
from dacl.training.loop import Trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_ablation.write_dataset(tmp_path_factory.mktemp("launch") / "data")


@pytest.fixture
def here(monkeypatch):
    """The commands run in this process."""
    monkeypatch.setattr(Journal, "draw", lambda self: None)
    here = tiny_ablation.Here()
    monkeypatch.setattr(cell_commands, "start", here)
    return here


class Running:
    """A process that goes on until it is told to end."""

    def __init__(self, after=lambda words: None, words=()):
        self.asked, self.killed = 0, False
        self._after, self._words = after, words

    def poll(self):
        if self.asked:
            self._after(self._words)
            return 130
        return None

    def terminate(self):
        self.asked += 1

    def kill(self):
        self.killed = True

    def wait(self):
        assert self.killed


def test_every_cell_is_trained_and_evaluated_once(data, tmp_path, here):
    cells = tiny_ablation.cells(data, tmp_path)
    outcome, heard = run_all(cells, tmp_path)
    assert outcome.missing == {}
    names = ("I-seed0", "VI-seed0", "I-seed1", "VI-seed1")
    assert here.words() == [f"{what} {name}" for name in names for what in ("train", "evaluate")]
    assert all(look(cell).state == "done" for cell in cells)
    each = ["training", "evaluating", "done"]
    assert heard.changes == [(cell.name, doing, "") for cell in cells for doing in each]
    for cell in cells:
        progress = heard.progress[cell.name]
        assert progress[:2] == (4, 4)
        val = [r for r in Journal(cell.run_dir).records() if r["kind"] == "val"]
        assert progress.dice == val[-1]["mean_dice"]["a"]
        toml = tmp_path / "configs" / f"{cell.run_dir.name}.toml"
        assert resolve(cell.config.preset, read_toml(toml)) == cell.config
        log = log_path(tmp_path, cell).read_text()
        assert "$ dacl train --config " in log
        assert "step 4/4" in log
        assert not (cell.evaluation / "predictions").exists()

    before = [(path, path.stat().st_mtime_ns) for path in sorted(tmp_path.rglob("*.pt"))]
    outcome, heard = run_all(cells, tmp_path)
    assert (outcome.missing, here.words(), heard.changes) == ({}, [], [])
    assert [(path, path.stat().st_mtime_ns) for path, _ in before] == before


def test_the_same_run_as_dacl_train_makes(data, tmp_path, here):
    (cell,) = tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.VI], seeds=[1])
    run_all([cell], tmp_path)
    tiny.train(data, tmp_path / "alone", cell.config)
    tiny.assert_same_run(tmp_path / "alone", cell.run_dir)


def test_an_interrupted_cell_goes_on_to_the_same_bits(data, tmp_path, here):
    (cell,) = tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.VI], seeds=[0], steps=9)
    tiny.train(data, tmp_path / "alone", cell.config)
    trainer = Trainer(cell.config, PreparedDataset.open(data), cell.run_dir)
    trainer.run(tiny.Quiet(), lambda: trainer.step == 5)
    assert look(cell) == Status(state="interrupted", step=5)
    outcome, _ = run_all([cell], tmp_path)
    assert outcome.missing == {}
    assert here.commands[0][:2] == ["train", "--resume"]
    tiny.assert_same_run(tmp_path / "alone", cell.run_dir)


def test_a_run_without_a_checkpoint_begins_again(data, tmp_path, here):
    (cell,) = tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.I], seeds=[0])
    tiny.train(data, cell.run_dir, cell.config)
    for path in cell.run_dir.glob("*.pt"):
        path.unlink()
    outcome, _ = run_all([cell], tmp_path)
    assert outcome.missing == {}
    assert "--overwrite" in here.commands[0]
    assert look(cell).state == "done"


def test_only_the_evaluation_is_missing(data, tmp_path, here):
    (cell,) = tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.I], seeds=[0])
    tiny.train(data, cell.run_dir, cell.config)
    _, heard = run_all([cell], tmp_path)
    assert here.words() == ["evaluate I-seed0"]
    assert [doing for _, doing, _ in heard.changes] == ["evaluating", "done"]


def test_failures_of_every_kind_stop_nothing_else(data, tmp_path, here):
    """Diverging, a damaged checkpoint, a foreign folder: and the last cell is still run."""
    cells = tiny_ablation.cells(data, tmp_path)
    good = tiny_ablation.cells(data, tmp_path / "elsewhere", rows=[tiny_ablation.I], seeds=[0])
    diverging = replace(cells[0], config=tiny.config("cps", optim={"steps": 4, "lr": 1e30}))
    cells[1].run_dir.mkdir(parents=True)
    (cells[1].run_dir / "latest.pt").write_bytes(b"PK")
    cells[2].run_dir.mkdir(parents=True)
    (cells[2].run_dir / "notes.txt").write_text("mine")

    outcome, heard = run_all([diverging, *cells[1:], *good], tmp_path)
    assert list(outcome.failed) == ["I seed 0", "VI seed 0", "I seed 1"]
    assert "not finite" in outcome.failed["I seed 0"]
    assert "latest.pt is no checkpoint" in outcome.failed["VI seed 0"]
    assert "is not the folder of a run" in outcome.failed["I seed 1"]
    assert outcome.missing["I seed 0"].startswith("failed: ")
    assert {name: doing for name, doing, _ in heard.changes}["VI seed 1"] == "done"
    assert here.words()[-2:] == ["train I-seed0", "evaluate I-seed0"]


@pytest.mark.parametrize(
    ("said", "code", "why"),
    [
        ("step 3\nError: the first\nHint: this\nError: the second\n", 1, "the first"),
        ("Traceback\n", 1, "exit code 1"),
        ("", -signal.SIGKILL, "killed (SIGKILL), perhaps for want of memory"),
        ("", -signal.SIGSEGV, "ended by SIGSEGV"),
    ],
)
def test_why_a_command_failed(data, tmp_path, monkeypatch, said, code, why):
    def start(words, log, environment, lock, prepare=None):
        with log.open("a") as file:
            file.write(said)
        return tiny_ablation.Ended(code)

    monkeypatch.setattr(cell_commands, "start", start)
    (cell,) = tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.I], seeds=[0])
    log = log_path(tmp_path, cell)
    log.parent.mkdir()
    log.write_text("Error: of the last time\n")
    outcome, heard = run_all([cell], tmp_path)
    assert outcome.failed == {"I seed 0": why}
    assert heard.changes[-1] == ("I seed 0", "failed", why)
    assert log.read_text().startswith("Error: of the last time\n$ dacl train")


def test_a_stop_asks_each_process_once_and_begins_nothing(data, tmp_path, monkeypatch):
    started = []

    def start(words, log, environment, lock, prepare=None):
        started.append(Running())
        return started[-1]

    asked = iter([False, False, False, True, True, True])
    monkeypatch.setattr(cell_commands, "start", start)
    cells = tiny_ablation.cells(data, tmp_path)
    two = Slots(jobs=2, threads=1)
    outcome, heard = run_all(cells, tmp_path, slots=two, should_stop=lambda: next(asked, True))
    assert [process.asked for process in started] == [1, 1]
    assert outcome.failed == {}
    assert outcome.unfinished == {cell.name: "not run" for cell in cells}
    assert [doing for _, doing, _ in heard.changes] == [
        "training",
        "training",
        "stopped",
        "stopped",
    ]


def test_interrupted_at_once_leaves_no_process_behind(data, tmp_path, monkeypatch):
    process = Running()
    monkeypatch.setattr(cell_commands, "start", lambda *_: process)

    def interrupt():
        if interrupt.asked:
            raise KeyboardInterrupt
        interrupt.asked = True
        return False

    interrupt.asked = False
    with pytest.raises(KeyboardInterrupt):
        run_all(tiny_ablation.cells(data, tmp_path), tmp_path, should_stop=interrupt)
    assert process.killed


def test_one_process_per_gpu(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert slots_of("cuda") == Slots(jobs=2, threads=3, gpus=("0", "1"))
    assert slots_of("cuda", jobs=4) == Slots(jobs=4, threads=1, gpus=("0", "1"))
    assert slots_of("cpu") == Slots(jobs=1, threads=6)
    assert slots_of("cpu", jobs=2, threads=5) == Slots(jobs=2, threads=5)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    two = slots_of("cuda")
    assert two.gpus == ("3", "5")
    environments = []

    def start(words, log, environment, lock, prepare=None):
        environments.append(environment)
        return tiny_ablation.Ended(1)

    monkeypatch.setattr(cell_commands, "start", start)
    run_all(tiny_ablation.cells(data, tmp_path), tmp_path, slots=two)
    gpus = [environment["CUDA_VISIBLE_DEVICES"] for environment in environments]
    assert gpus == ["3", "5", "3", "5"]
    assert {environment["OMP_NUM_THREADS"] for environment in environments} == {"3"}


def test_what_a_cell_needs(data, tmp_path):
    (cell,) = tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.I], seeds=[0])
    toml = tmp_path / "x.toml"

    def words(**status):
        return [" ".join(each[:2]) for each in commands(cell, Status(**status), toml, 2)]

    evaluate = f"evaluate {cell.run_dir}"
    assert words(state="not run") == ["train --config", evaluate]
    assert words(state="interrupted", step=2) == ["train --resume", evaluate]
    assert words(state="trained", step=4) == [evaluate]
    assert words(state="done", step=4) == []


def test_two_launches_never_run_the_same_folder(data, tmp_path, here):
    cells = tiny_ablation.cells(data, tmp_path, rows=[tiny_ablation.I], seeds=[0])

    def second():
        with pytest.raises(DaclError, match="another process is running the cells"):
            run_all(cells, tmp_path)
        return False

    assert run_all(cells, tmp_path, should_stop=second)[0].missing == {}


def test_the_estimate_times_each_recipe_once(data, tmp_path, monkeypatch):
    cells = tiny_ablation.cells(data, tmp_path, steps=10)
    timed, threads = [], []

    def plan(self):
        timed.append(self.config.method)
        threads.append(torch.get_num_threads())
        return type("Plan", (), {"estimated_seconds": 100.0 * len(timed)})

    monkeypatch.setattr(Trainer, "plan", plan)
    states = [
        Status(state="not run"), Status(state="interrupted", step=4),
        Status(state="trained", step=10), Status(state="not run"),
    ]  # fmt: skip
    before = torch.get_num_threads()
    seconds = seconds_left_by_cell(
        list(zip(cells, states, strict=True)), PreparedDataset.open(data), 2
    )
    assert timed == ["cps", "dacl"]
    assert threads == [2, 2]
    assert torch.get_num_threads() == before
    assert seconds == {
        "I seed 0": 100.0, "VI seed 0": pytest.approx(120.0), "I seed 1": 0.0, "VI seed 1": 200.0,
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []
