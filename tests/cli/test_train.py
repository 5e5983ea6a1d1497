"""`dacl train` from the command line: what it prints, what it refuses."""

import json
import shutil

import pytest
import tiny
import torch
from refused import assert_refused

from dacl.config_text import read_toml
from dacl.training import checkpoint, loop
from dacl.training.folder import sole_writer

SHORT = ["--steps", 5, "--method", "cps"]


pytestmark = pytest.mark.usefixtures("no_pictures")


# A run


def test_what_a_run_prints(train, place):
    outcome = train(*SHORT, "--labeled", 2, "--seed", 4)
    assert outcome.code == 0, outcome.err
    lines = outcome.err.splitlines()
    assert lines[0] == "cps, preset small, seed 4 -> runs/tiny-cps-2labeled-seed4"
    assert lines[1] == (
        "tiny (synthetic), split phantom: 2 labelled patients = 4 volumes = 8 slices; "
        "1 unlabelled patients = 4 slices; 1 validation patients"
    )
    assert lines[2].startswith(
        "1.5 mm in plane, 32x32 crops, 2+2 slices a step, 5 steps; cpu, fp32"
    )
    assert lines[3] == "a typical slice: 48x40 pixels of 1.5 mm, 48x40 on the network's grid"
    assert lines[4].startswith("about ")
    assert lines[5].startswith("step 4  validation Dice %  network a: mean ")
    assert any(line.startswith("step 5/5  supervised ") for line in lines)
    run_dir = "runs/tiny-cps-2labeled-seed4"
    said = outcome.out.splitlines()
    assert said[0].startswith("best validation Dice ")
    assert said[1:] == [f"curves: {run_dir}/progress.png", f"next: dacl evaluate {run_dir}"]
    assert checkpoint.load(place / run_dir / "latest.pt")["step"] == 5


def test_threads_are_those_of_the_run(train, place):
    assert train("--steps", 1, "--method", "supervised", "--threads", 2, "--out", "two").code == 0
    assert checkpoint.load(place / "two/latest.pt")["machine"]["threads"] == 2
    assert torch.get_num_threads() == 1


def test_a_warning_is_a_line_of_its_own(train):
    never = ["contrast.scales=[2, 4000]", "contrast.bank_size=5000"]  # which will not fill
    settings = [part for value in [*never, "journal.log_every=1"] for part in ("--set", value)]
    outcome = train("--steps", 5, "--method", "dacl", *settings)
    assert outcome.code == 0, outcome.err
    (told,) = [line for line in outcome.err.splitlines() if "there was no anchor" in line]
    assert told.startswith(
        "step 4  warning: in the 4 batches looked at since step 1 there was no anchor of RV ("
    )
    assert ", Myo (" in told
    assert ", LV (" in told


def test_json_is_all_there_is_on_stdout(train):
    outcome = train(*SHORT, "--out", "there", "--json")
    report = json.loads(outcome.out)
    assert (report["run_dir"], report["step"], report["finished"]) == ("there", 5, True)
    assert report["best"]["step"] in (4, 5)


def test_supervised_draws_no_unlabeled_slices(train):
    outcome = train("--steps", 1, "--method", "supervised")
    assert "no unlabelled slices drawn" in outcome.err
    assert " 2 slices a step" in outcome.err


def test_unknown_spacing_is_said(train, tmp_path):
    root = tiny.write_dataset(tmp_path / "unknown", spacing_mm=None)
    outcome = train(*SHORT, data=root)
    assert outcome.code == 0
    assert "spacing unknown: scans keep their own grid" in outcome.err


def test_the_only_dataset_under_data_is_taken(run_dacl, place):
    tiny.write_dataset(place / "data" / "one")
    outcome = run_dacl("train", *tiny.options(), *SHORT)
    assert outcome.code == 0
    assert (place / "runs" / "tiny-cps-1labeled-seed0" / "best.pt").exists()


def test_flags_win_over_set_and_set_over_the_file(train, place):
    (place / "my.toml").write_text(
        "seed = 1\nlabeled = 3\n[contrast]\ntau = 0.1\n[optim]\nsteps = 2\n"
    )
    flags = ["--steps", 3, "--set", "contrast.tau=0.2", "--set", "optim.steps=7"]
    outcome = train("--config", "my.toml", *flags, "--out", "there", "--method", "supervised")
    assert outcome.code == 0, outcome.err
    resolved = read_toml(place / "there" / "config.toml")
    assert resolved["optim"]["steps"] == 3
    assert resolved["contrast"]["tau"] == 0.2
    assert (resolved["seed"], resolved["labeled"]) == (1, 1)  # labeled: `tiny.options` has --set
    assert resolved["method"] == "supervised"


def test_a_resolved_configuration_makes_the_same_run(train, run_dacl, place, finished, prepared):
    outcome = run_dacl(
        "train", "--data", prepared, "--config", finished / "config.toml", "--out", "again"
    )
    assert outcome.code == 0, outcome.err
    tiny.assert_same_run(finished, place / "again")


def test_a_preset_is_chosen_by_its_flag(run_dacl, prepared, place):
    """Laid over another preset, its name would stand over values that are not its own."""
    arguments = ["--data", prepared, "--preset", "small", "--set", "preset=paper"]
    outcome = run_dacl("train", *arguments)
    assert_refused(outcome, "'paper' is set over it", "--preset paper")


# Refusals


def test_no_data(run_dacl, place):
    outcome = run_dacl("train", "--labeled", 3)
    assert_refused(outcome, "no prepared dataset under data/", "https://www.creatis")
    assert "dacl preprocess phantom" in outcome.err


def test_several_datasets(run_dacl, place):
    for name in ("acdc", "phantom"):
        tiny.write_dataset(place / "data" / name)
    outcome = run_dacl("train")
    assert_refused(
        outcome, "several prepared datasets under data/: acdc, phantom", "--data data/acdc"
    )


def test_a_folder_that_is_no_dataset(run_dacl, place):
    assert_refused(run_dacl("train", "--data", place), "no dataset.json", "dacl preprocess")


def test_a_case_damaged_on_disk(train, place, prepared):
    shutil.copytree(prepared, place / "copy")
    path = place / "copy" / "cases" / "p1_frame01.h5"
    path.write_bytes(path.read_bytes()[:3000])
    outcome = train(*SHORT, data=place / "copy")
    assert_refused(outcome, "p1_frame01.h5 is missing or damaged", "dacl preprocess phantom")


def test_more_labeled_patients_than_there_are(train, place):
    outcome = train("--labeled", 9)
    assert_refused(outcome, "9 labeled patients asked for", "--labeled from 1 to 3")
    assert not (place / "runs").exists()


def test_no_labeled_patients(train):
    assert_refused(train("--labeled", 0), "labeled = 0", "docs/configuration.md")


def test_an_unknown_method_is_a_usage_error(run_dacl, place):
    outcome = run_dacl("train", "--method", "mean-teacher")
    assert (outcome.code, outcome.out) == (2, "")
    for known in ("supervised", "cps", "dacl"):
        assert known in outcome.err


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_absent(train, place, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    outcome = train("--device", device)
    assert_refused(outcome, f"device '{device}' was asked for", "--device auto or cpu")
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("assignment", "found", "hint"),
    [
        ("contrast.tua=0.2", "unknown configuration key 'contrast.tua'", "'contrast.tau'?"),
        ("optim.step=5", "unknown configuration key 'optim.step'", "'optim.steps'?"),
        ("xyz=5", "unknown configuration key 'xyz'", "keys: method, "),
        ("contrast.tau", "--set 'contrast.tau' has no '='", "--set contrast.tau=0.2"),
        ("contrast.tau=-1", "contrast.tau = -1", "docs/configuration.md"),
        ("contrast.tau=warm", "contrast.tau = 'warm'", "docs/configuration.md"),
        ("image.patch_size=40", "image.patch_size = 40", "docs/configuration.md"),
        ("contrast.scales=[8,4]", "strictly ascending", "docs/configuration.md"),
        ("method=mean-teacher", "method = 'mean-teacher'", "docs/configuration.md"),
    ],
)
def test_values_that_are_refused(train, assignment, found, hint):
    assert_refused(train("--set", assignment), found, hint)


def test_a_configuration_file_that_is_none(train, place):
    (place / "broken.toml").write_text("seed = \n")
    assert_refused(
        train("--config", "gone.toml"), "no configuration file gone.toml", "existing TOML"
    )
    assert_refused(train("--config", "broken.toml"), "broken.toml is not valid TOML", "mend")


def test_a_run_of_the_same_name_on_another_split(train, place, finished):
    """Default names do not hold the split, and to resume that run would train on its own."""
    shutil.copytree(finished, place / "run")
    other = tiny.write_dataset(place / "other", train=tiny.TRAIN[::-1])
    outcome = train(*SHORT, "--out", "run", data=other)
    assert_refused(outcome, "run exists already, trained on other data", "name another --out")
    assert "--resume" not in outcome.err


def test_a_run_of_the_same_name(train, place, finished):
    shutil.copytree(finished, place / "run")
    before = (place / "run" / "latest.pt").read_bytes()
    outcome = train(*SHORT, "--out", "run")
    assert_refused(outcome, "run exists already", "dacl train --resume run")
    assert "--overwrite" in outcome.err
    assert (place / "run" / "latest.pt").read_bytes() == before
    (place / "run" / "run.json").write_text("{}")
    assert_refused(train(*SHORT, "--out", "run"), "run exists already", "--overwrite")
    (place / "run" / "evaluation").mkdir()
    assert train(*SHORT, "--out", "run", "--seed", 1, "--overwrite").code == 0
    assert read_toml(place / "run" / "config.toml")["seed"] == 1
    assert not (place / "run" / "evaluation").exists()


def test_a_run_that_another_process_began_meanwhile_is_kept(train, place, finished, monkeypatch):
    """Between the look at the folder and the first step lie seconds of reading the data."""
    build = loop.Trainer.__init__

    def slow(self, *args):
        build(self, *args)
        shutil.copytree(finished, place / "run")

    monkeypatch.setattr(loop.Trainer, "__init__", slow)
    outcome = train(*SHORT, "--seed", 1, "--out", "run")
    assert_refused(outcome, "run is the folder of a run already", "name another folder")
    for name in ("run.json", "latest.pt", "metrics.jsonl"):
        assert (place / "run" / name).read_bytes() == (finished / name).read_bytes()


def test_a_run_that_another_process_trains_is_not_replaced(train, place, finished):
    shutil.copytree(finished, place / "run")
    with sole_writer(place / "run"):
        outcome = train(*SHORT, "--seed", 1, "--out", "run", "--overwrite")
    assert_refused(outcome, "another process is training run", "wait for it")
    assert (place / "run" / "latest.pt").read_bytes() == (finished / "latest.pt").read_bytes()
    assert train(*SHORT, "--seed", 1, "--out", "run", "--overwrite").code == 0


def test_an_empty_folder_is_taken(train, place):
    (place / "run").mkdir()
    assert train("--steps", 1, "--method", "supervised", "--out", "run").code == 0


def test_overwrite_refuses_a_folder_that_is_no_run(train, place):
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter1.tex").write_text("years of work")
    outcome = train(*SHORT, "--out", "thesis", "--overwrite")
    assert_refused(outcome, "thesis is not the folder of a run", "--out")
    assert (place / "thesis" / "chapter1.tex").read_text() == "years of work"


@pytest.mark.parametrize("wrong", [["--labeled", 9], ["--device", "cuda"]])
def test_overwrite_keeps_the_old_run_where_the_new_one_cannot_start(
    train, place, finished, wrong, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    shutil.copytree(finished, place / "run")
    assert train("--out", "run", "--overwrite", *wrong).code == 1
    assert (place / "run" / "best.pt").exists()


@pytest.mark.parametrize("failing", [2, 3])  # the first best.pt, and what follows it
def test_a_full_disk_in_the_middle(train, place, monkeypatch, failing):
    import errno
    import os

    before, calls = os.fsync, []

    def fsync(file):
        calls.append(file)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        before(file)

    monkeypatch.setattr(os, "fsync", fsync)
    outcome = train(*SHORT, "--out", "run")
    assert outcome.code == 1
    assert "No space left on device" in outcome.err
    assert "dacl train --resume" in outcome.err
    assert "--overwrite" not in outcome.err
    assert "Traceback" not in outcome.err
    assert not list((place / "run").glob("*.partial"))
    assert checkpoint.load(place / "run" / "latest.pt")["step"] == 3


def test_a_nan_names_step_term_and_checkpoint(train, monkeypatch):
    from dacl.methods import Cps

    before = Cps.terms

    def terms(self, batch, moment):
        found = before(self, batch, moment)
        if moment.step == 3:
            found.parts["cross"] = found.parts["cross"] * float("nan")
        return found

    monkeypatch.setattr(Cps, "terms", terms)
    outcome = train(*SHORT, "--out", "run")
    assert outcome.code == 1
    assert "the loss is not finite at step 4: term 'cross' is nan" in outcome.err
    assert "last good checkpoint: run/latest.pt" in outcome.err
    assert checkpoint.load(tiny.Path("run/latest.pt"))["step"] == 3
