"""`dacl ablate` from the command line: what runs, what is passed over, what it prints and refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import tiny
import tiny_ablation
from refused import assert_refused
from tiny_ablation import Here

from dacl.config import resolve
from dacl.config_text import read_toml
from dacl.data.prepared import PreparedDataset
from dacl.experiments import cell_commands, launch
from dacl.training import checkpoint
from dacl.training.journal import Journal
from dacl.training.loop import Trainer

TWO_BY_TWO = ["--rows", "I,VI", "--seeds", "0,1", "--out", "out"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A prepared dataset; read only."""
    return tiny_ablation.write_dataset(tmp_path_factory.mktemp("prepared") / "data")


@pytest.fixture
def here(monkeypatch):
    """The commands run in this process."""
    monkeypatch.setattr(Journal, "draw", lambda self: None)
    monkeypatch.setattr(launch, "time", SimpleNamespace(sleep=lambda _: None))
    here = Here()
    monkeypatch.setattr(cell_commands, "start", here)
    return here


@pytest.fixture
def ablate(run_dacl, prepared, tmp_path, monkeypatch, here):
    """Run `dacl ablate` with the smallest settings in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*args, data=prepared, steps=4):
        return run_dacl("ablate", "--data", data, "--steps", steps, *tiny.options(), *args)

    return run


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    """A folder in which `ablate --rows I,VI --seeds 0,1 --out out` is finished; read only."""
    from dacl_cli.app import main

    folder, here = tmp_path_factory.mktemp("finished"), Here()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Journal, "draw", lambda self: None)
        patch.setattr(launch, "time", SimpleNamespace(sleep=lambda _: None))
        patch.setattr(cell_commands, "start", here)
        words = ["ablate", *TWO_BY_TWO, "--data", prepared, *tiny.options(), "--steps", "4"]
        assert main([str(word) for word in words]) == 0
    names = ("I-seed0", "VI-seed0", "I-seed1", "VI-seed1")
    assert here.words() == [f"{what} {name}" for name in names for what in ("train", "evaluate")]
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """The same in the working folder."""
    shutil.copytree(finished / "out", tmp_path / "out")
    return tmp_path / "out"


# Runs


def test_everything_is_written(finished):
    out = finished / "out"
    assert {path.name for path in out.glob("components.*")} == {
        f"components.{kind}" for kind in ("md", "tex", "csv", "json", "png")
    }
    content = json.loads((out / "components.json").read_text())
    assert content["protocol"]["dataset"] == "tiny"
    assert [row["row"] for row in content["rows"]] == ["I", "VI"]
    assert len(list((out / "logs").glob("*.log"))) == 4
    for name in ("run.json", "config.toml", "metrics.jsonl", "latest.pt", "best.pt"):
        assert (out / "VI-seed1" / name).is_file()


def test_a_finished_table_is_only_printed(ablate, copy, here):
    before = {path: path.stat().st_mtime_ns for path in copy.glob("*-seed*/*")}
    outcome = ablate(*TWO_BY_TWO)
    assert outcome.code == 0, outcome.err
    assert here.commands == []
    assert {path: path.stat().st_mtime_ns for path in copy.glob("*-seed*/*")} == before
    assert outcome.err == ""
    lines = [line.rstrip() for line in outcome.out.splitlines()]
    assert lines[0] == "tiny (synthetic), test: ablation"
    headings = "row adds runs Dice % ± sd over seeds sd over patients to I"
    assert " ".join(lines[1].split()) == headings
    assert lines[2].startswith("I ")
    assert lines[3].startswith("VI ")
    assert lines[3].count("[") == 1
    assert " ± " in lines[3]
    assert outcome.out.endswith("out/components.json\nout/components.png\n")


def test_lines_of_a_run(ablate, copy, here):
    shutil.rmtree(copy / "VI-seed1")
    outcome = ablate(*TWO_BY_TWO)
    assert outcome.code == 0, outcome.err
    assert here.words() == ["train VI-seed1", "evaluate VI-seed1"]
    lines = outcome.err.splitlines()
    assert lines[0] == "1 of 4 cells to run, 1 at once -> out"
    assert lines[1] == "VI seed 1: training"
    assert lines[2].startswith("VI seed 1: step 4/4, val Dice ")
    assert lines[3:] == ["VI seed 1: evaluating", "VI seed 1: done"]


def test_an_interrupted_cell_goes_on(ablate, copy, here, prepared):
    run_dir = copy / "VI-seed1"
    again = copy.parent / "again"
    run_dir.rename(again)
    config = checkpoint.load(again / "latest.pt")["config"]
    trainer = Trainer(resolve("small", config), PreparedDataset.open(prepared), run_dir)
    trainer.run(tiny.Quiet(), lambda: trainer.step == 3)
    assert ablate(*TWO_BY_TWO).code == 0
    assert here.commands[0][:2] == ["train", "--resume"]
    tiny.assert_same_run(again, run_dir)


def test_a_failed_cell_is_named_and_the_others_are_in_the_table(ablate, copy, here):
    latest = copy / "VI-seed1" / "latest.pt"
    latest.write_bytes(latest.read_bytes()[:-1000])
    shutil.rmtree(copy / "I-seed1")
    outcome = ablate(*TWO_BY_TWO)
    assert outcome.code == 1
    assert here.words() == ["train I-seed1", "evaluate I-seed1"]
    failed = "VI seed 1 failed: out/VI-seed1/latest.pt is damaged"
    [line] = [line for line in outcome.err.splitlines() if line.startswith(failed)]
    assert line.endswith("(log: out/logs/VI-seed1.log)")
    assert "MISSING: VI seed 1: failed: out/VI-seed1/latest.pt is damaged" in outcome.out
    assert "1 of 2" in outcome.out
    content = json.loads((copy / "components.json").read_text())
    assert content["rows"][0]["missing"] == {}
    assert list(content["rows"][1]["missing"]) == ["1"]


def test_nothing_that_ran_makes_no_table(ablate, here):
    outcome = ablate("--rows", "I", "--seeds", 0, "--out", "out", "--lr", 1e30)
    assert (outcome.code, outcome.out) == (1, "")
    assert "I seed 0 failed: " in outcome.err
    assert "not finite" in outcome.err
    assert "out/logs/I-seed0.log" in outcome.err
    assert not list(tiny.Path("out").glob("components.*"))


def test_stopped_by_a_signal(ablate, copy, monkeypatch):
    """What is there is written, the exit code is that of Ctrl-C, and the same command goes on."""

    class Going(tiny_ablation.Ended):
        def poll(self):
            return self.code if self.terminated else None

        terminated = False

        def terminate(self):
            self.terminated = True

    def start(words, log, environment, lock, prepare=None):
        os.kill(os.getpid(), signal.SIGTERM)
        return Going(130)

    with monkeypatch.context() as patch:
        patch.setattr(cell_commands, "start", start)
        shutil.rmtree(copy / "I-seed1")
        shutil.rmtree(copy / "VI-seed1")
        outcome = ablate(*TWO_BY_TWO)
    assert outcome.code == 130
    assert "stopping: each run saves after its step" in outcome.err
    assert outcome.err.endswith("I seed 1: stopped: not run\nstopped; the same command goes on\n")
    assert "MISSING: I seed 1: not run" in outcome.out
    assert "MISSING: VI seed 1: not run" in outcome.out
    assert ablate(*TWO_BY_TWO).code == 0


def test_ctrl_c_on_real_processes(ablate, here, prepared, tmp_path):
    """A terminal sends it to every process of the group, and `ablate` asks its own once more."""
    one = ["--rows", "I", "--seeds", "0", "--out", "out", *tiny.options(), "--steps", "40"]
    words = [sys.executable, "-m", "dacl_cli", "ablate", "--data", str(prepared), *one]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True)
    journal = tmp_path / "out" / "I-seed0" / "metrics.jsonl"
    deadline = time.monotonic() + 600  # a busy machine starts two processes slowly
    try:
        while not (journal.exists() and journal.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(600) == 130, log.read_text()
    finally:  # nothing outlives a test that failed
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    step = checkpoint.load(tmp_path / "out" / "I-seed0" / "latest.pt")["step"]
    assert 4 <= step < 40
    assert f"I seed 0: stopped: interrupted at step {step}\n" in log.read_text()
    assert f"stopped at step {step}, saved" in (tmp_path / "out/logs/I-seed0.log").read_text()

    assert ablate(*one).code == 0
    assert here.words() == ["train I-seed0", "evaluate I-seed0"]
    settings = read_toml(tmp_path / "out" / "configs" / "I-seed0.toml")
    tiny.train(prepared, tmp_path / "alone" / "run", resolve("small", settings))
    tiny.assert_same_run(tmp_path / "alone" / "run", tmp_path / "out" / "I-seed0")


def test_json_is_all_there_is_on_stdout(ablate, copy):
    outcome = ablate(*TWO_BY_TWO, "--json")
    content = json.loads(outcome.out)
    assert [row["row"] for row in content["rows"]] == ["I", "VI"]
    assert content["files"][0] == "out/components.md"
    assert (content["failed"], content["unfinished"], content["queued"]) == ({}, {}, {})


def test_another_network(ablate, copy):
    outcome = ablate(*TWO_BY_TWO, "--network", "b", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["protocol"]["network"] == "b"


def test_the_default_folder_and_the_upper_bound(ablate, here):
    outcome = ablate("--rows", "labeled-only", "--upper-bound", "--seeds", 0)
    assert outcome.code == 0, outcome.err
    out = tiny.Path("runs/tiny-ablation-1labeled")
    assert here.words()[::2] == ["train labeled-only-seed0", "train all-labeled-seed0"]
    assert checkpoint.load(out / "all-labeled-seed0" / "best.pt")["config"]["labeled"] == 3
    assert (out / "components.md").is_file()


def test_without_parts(ablate, copy, here):
    """The full method is shared with the table of the parts where both have it."""
    pixels = ["--set", "contrast.negatives_from=pixels"]
    outcome = ablate("--without", "bank,ms+w", "--seeds", 0, "--out", "out", *pixels)
    assert outcome.code == 0, outcome.err
    names = ("without-bank-seed0", "without-ms+w-seed0")
    assert here.words() == [f"{what} {name}" for name in names for what in ("train", "evaluate")]
    text = (copy / "without.md").read_text()
    assert "without memory bank" in text
    assert "without multi-scale density and positiveness w" in text


def test_a_sweep(ablate, copy, here):
    pixels = ["--set", "contrast.negatives_from=pixels"]
    outcome = ablate("sweep", "tau=0.2,0.4", "phi=0.3", "--seeds", "0", "--out", "out", *pixels)
    assert outcome.code == 0, outcome.err
    assert here.words() == ["train tau=0.2-seed0", "evaluate tau=0.2-seed0"]
    assert outcome.out.startswith("tiny (synthetic), test: sweep")
    assert (copy / "sweep.png").is_file()
    rows = json.loads((copy / "sweep.json").read_text())["rows"]
    assert [(row["parameter"], row["value"]) for row in rows] == [
        ("tau", "0.2"), ("tau", "0.4"), ("phi", "0.3"),
    ]  # fmt: skip


# Dry run


def test_a_dry_run_lists_and_starts_nothing(ablate, copy, here, prepared):
    shutil.rmtree(copy / "VI-seed1")
    (copy / "I-seed1" / "evaluation" / "test-best" / "summary.json").unlink()
    before = sorted(copy.rglob("*"))
    outcome = ablate(*TWO_BY_TWO, "--dry-run")
    assert outcome.code == 0, outcome.err
    assert here.commands == []
    assert sorted(copy.rglob("*")) == before
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert lines[:5] == [
        "out",
        "cell state steps training left",
        "I seed 0 done 4 -",
        "VI seed 0 done 4 -",
        "I seed 1 trained, not evaluated 4 -",
    ]
    assert lines[5].startswith("VI seed 1 not run 4 ")
    assert lines[6].startswith("2 of 4 cells done; about ")
    assert lines[6].endswith("of training left, 1 at once, 1 threads each; evaluation comes on top")


def test_a_dry_run_as_json(ablate, monkeypatch):
    class Plan:
        estimated_seconds = 60.0

    monkeypatch.setattr(Trainer, "plan", lambda self: Plan)
    outcome = ablate(*TWO_BY_TWO, "--dry-run", "--json", "--jobs", 2)
    content = json.loads(outcome.out)
    assert (content["jobs"], content["seconds"]) == (2, 120.0)
    assert content["cells"][0] == {
        "cell": "I seed 0", "folder": "out/I-seed0", "state": "not run", "step": 0, "steps": 4,
        "seconds": 60.0,
    }  # fmt: skip


def test_the_rows_of_a_bare_ablate(ablate):
    outcome = ablate("--dry-run", "--json", "--seeds", 0)
    assert outcome.code == 0, outcome.err
    cells = [cell["cell"] for cell in json.loads(outcome.out)["cells"]]
    rows = ("labeled-only", "I", "II", "III", "IV", "V", "VI", "VI-anchors")
    assert cells == [f"{row} seed 0" for row in rows]


# Refusals


def test_cells_of_other_settings(ablate, copy, here):
    outcome = ablate(*TWO_BY_TWO, "--set", "cross.weight=0.5")
    assert_refused(outcome, "out/I-seed0 is a run of other settings: cross.weight 1.0, not 0.5",
                   "another folder")  # fmt: skip
    assert here.commands == []


def test_forced_cells_of_other_settings_are_named_in_the_table(ablate, copy, here):
    outcome = ablate("--rows", "I,II", "--seeds", 0, "--out", "out", "--force",
                     "--set", "optim.weight_decay=0.0")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert here.words() == ["train II-seed0", "evaluate II-seed0"]
    assert "NOT COMPARABLE, forced: " in outcome.out
    assert "optim.weight_decay" in outcome.out


@pytest.mark.parametrize(
    ("words", "found", "hint"),
    [
        (["--rows", "I,VII"], "no row 'VII'", "labeled-only, I, II"),
        (["--rows", ""], "--rows '' names nothing", "--rows I,VI"),
        (["--without", "bnak"], "no part 'bnak'", "pcl, da, ms, bank, w"),
        (["--without", "bank", "--rows", "I"], "--rows is about", "one of the two"),
        (["--without", "bank", "--upper-bound"], "--upper-bound is about", "one of the two"),
        (["--seeds", ","], "--seeds ',' names nothing", "--seeds 0,1,2"),
        (["--seeds", "0,1,0"], "--seeds names 0 twice", "each once"),
        (["--seeds", "0,00"], "--seeds names 0 twice", "each once"),
        (["--seeds", "0,-1"], "'-1' is no seed", "--seeds 0,1,2"),
        (["components", "tau=0.2"], "tau=0.2 is a parameter of a sweep", "dacl ablate sweep tau=0.2"),
        (["sweep", "tua=0.2"], "no parameter 'tua'", "tau"),
        (["sweep", "tau=-1"], "contrast.tau", "docs/configuration.md"),
        (["sweep", "--rows", "I"], "--rows chooses among the parts", "sweep"),
        (["--labeled", 9], "9 labeled patients asked for", "--labeled from 1 to 3"),
        (["--labeled", 3, "--upper-bound", "--rows", "labeled-only"],
         "rows labeled-only and all-labeled are the same", "--rows"),
        (["--set", "seed=5"], "seed = 5 is set", "--seeds 5"),
        (["--set", "method=cps"], "method = 'cps'", "the rows set it"),
        (["--set", "contrast.bank_size=0"], "rows IV and V are the same configuration", "--rows"),
    ],
)  # fmt: skip
def test_bad_requests(ablate, here, words, found, hint):
    outcome = ablate(*words)
    assert_refused(outcome, found, hint)
    assert here.commands == []
    assert not tiny.Path("runs").exists()


def test_parameters_need_the_word_sweep(ablate):
    outcome = ablate("tau=0.2")
    assert outcome.code == 2
    assert "sweep" in outcome.err


def test_data_without_patients_to_test_on(ablate, tmp_path):
    data = tiny.write_dataset(tmp_path / "no-test")
    assert_refused(ablate(data=data), "no labelled test case", "--split")


def test_a_cell_is_an_ordinary_run(finished, run_dacl, prepared):
    outcome = run_dacl("evaluate", finished / "out" / "I-seed0", "--out", finished / "apart",
                       "--no-predictions", "--no-pictures")  # fmt: skip
    assert outcome.code == 0, outcome.err
    first = json.loads((finished / "apart" / "summary.json").read_text())["networks"]
    cell = finished / "out" / "I-seed0" / "evaluation" / "test-best"
    assert first == json.loads((cell / "summary.json").read_text())["networks"]
