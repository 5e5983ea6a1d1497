import json
import math
from unittest import mock

import pytest
import tiny
import torch

from dacl.errors import DaclError
from dacl.methods.base import Terms
from dacl.training import journal as journal_module
from dacl.training import loop
from dacl.training.journal import Journal
from dacl.training.recent import Diverged
from dacl.training.records import train_record, warning_record
from dacl.training.schedule import poly_lr


def record(step, **more):
    return {
        "kind": "train",
        "step": step,
        "loss": 1.0 / 3,
        "parts": {"supervised": 0.25},
        "diagnostics": {},
        "wall": {"time": 1e9 / 7},
        **more,
    }


def validation(step, **dice):
    networks = dice or {"a": 0.5}
    per_class = {name: {"RV": value, "Myo": value} for name, value in networks.items()}
    return {"kind": "val", "step": step, "dice": per_class, "mean_dice": networks, "wall": {}}


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path)


def test_what_is_written_is_read(journal):
    written = [record(5), validation(8), record(10)]
    for item in written:
        journal.append(item)
    assert journal.records() == written
    assert [json.loads(line) for line in journal.path.read_text().splitlines()] == written


def test_a_journal_that_is_not_there_yet(journal):
    assert journal.records() == []


def test_nan_and_infinity_become_null(journal):
    journal.append(record(5, loss=math.nan, parts={"cross": math.inf}))
    (read,) = journal.records()
    assert (read["loss"], read["parts"]) == (None, {"cross": None})


def test_cutting_keeps_the_lines_up_to_a_step_byte_for_byte(journal):
    for item in (
        record(5),
        validation(8),
        record(10),
        warning_record(10, "no anchors"),
        record(12),
    ):
        journal.append(item)
    lines = journal.path.read_text().splitlines(keepends=True)
    journal.cut(10)
    assert journal.path.read_text() == "".join(lines[:4])
    journal.cut(4)
    assert journal.path.read_text() == ""
    assert list(journal.run_dir.iterdir()) == [journal.path]


@pytest.mark.parametrize("kept", [1, 20, -2, -1])
def test_a_line_that_a_kill_cut_short(journal, kept):
    journal.append(record(5))
    whole = journal.path.read_text()
    journal.path.write_text(whole + whole.replace('"step": 5', '"step": 9')[:kept])
    complete = kept == -1  # only its line end is missing
    assert [r["step"] for r in journal.records()] == ([5, 9] if complete else [5])
    journal.cut(9)
    journal.append(record(10))
    assert [r["step"] for r in journal.records()] == ([5, 9, 10] if complete else [5, 10])


@pytest.mark.parametrize("damage", ["{", "5", "[]", '{"kind": "train"}', "\0\0\0", "\ufeff"])
def test_a_damaged_line_in_the_middle_is_told_and_nothing_is_cut(journal, damage):
    for step in (5, 6, 10):
        journal.append(record(step))
    first, _, last = journal.path.read_text().splitlines()
    written = f"{first}\n{damage}\n{last}\n"
    journal.path.write_text(written)
    for use in (journal.records, lambda: journal.cut(10)):
        with pytest.raises(DaclError, match="line 2 of 3 is no record"):
            use()
    assert journal.path.read_text() == written


def test_only_what_depends_on_the_clock_stands_under_wall(data, tmp_path, no_pictures):
    for name in ("one", "two"):
        tiny.train(data, tmp_path / name, tiny.config("dacl", optim={"steps": 6}))
    first, second = (Journal(tmp_path / name).records() for name in ("one", "two"))
    assert {key for r in first for key in r.get("wall", {})} == {
        "time",
        "steps_per_second",
        "peak_memory_mb",
    }
    without = [
        [{k: v for k, v in r.items() if k != "wall"} for r in run] for run in (first, second)
    ]
    assert without[0] == without[1]
    times = [[r["wall"]["time"] for r in run if r["kind"] != "warning"] for run in (first, second)]
    assert times[0] != times[1]


def test_the_records_of_a_run(data, tmp_path, no_pictures):
    tiny.train(data, tmp_path / "run", tiny.config("dacl", optim={"steps": 11}))
    records = [r for r in tiny.without_wall(tmp_path / "run") if r["kind"] != "warning"]
    kinds = [(r["kind"], r["step"]) for r in records]
    assert kinds == [
        ("val", 4),
        ("train", 5),
        ("val", 8),
        ("train", 10),
        ("train", 11),
        ("val", 11),
    ]
    train = records[1]
    assert list(train["parts"]) == ["supervised", "cross", "contrast"]
    weighted = sum(train["weights"][name] * value for name, value in train["parts"].items())
    assert train["weights"]["cross"] == 1.0
    assert weighted == pytest.approx(train["loss"], rel=0.1)  # weights are those of the last step
    for name in ("reliable", "bank_fill", "anchors", "density", "positiveness"):
        assert list(train["diagnostics"][name]) == list(tiny.CLASS_NAMES[1:])
    assert train["diagnostics"]["reliable"]["Myo"] > 0
    assert list(records[0]["dice"]) == ["a", "b", "mean"]
    for measure in ("pseudo_label_precision", "pseudo_label_recall"):
        assert list(records[0][measure]) == ["a", "b"]
        assert list(records[0][measure]["a"]) == list(tiny.CLASS_NAMES[1:])
    assert list(records[0]["agreement"]) == list(tiny.CLASS_NAMES[1:])


def test_diagnostics_are_vectors_by_class_or_scalars(journal):
    diagnostics = {
        "agreement": torch.tensor([0.5, math.nan, 1.0]),
        "gradient_share": torch.tensor(0.25),
    }
    terms = Terms(torch.tensor(1.0), {"cross": torch.tensor(3.0)}, diagnostics)
    names = tiny.CLASS_NAMES[1:]
    journal.append(train_record(5, [6.0, 3.0], terms, {"cross": 2.0}, 0.01, names))
    assert journal.records() == [
        {
            "kind": "train",
            "step": 5,
            "loss": 6.0,
            "parts": {"cross": 3.0},
            "weights": {"cross": 2.0},
            "lr": 0.01,
            "diagnostics": {
                "agreement": {"RV": 0.5, "Myo": None, "LV": 1.0},
                "gradient_share": 0.25,
            },
        }
    ]


def test_a_method_without_pseudo_labels_has_no_record_of_them(data, tmp_path, no_pictures):
    tiny.train(data, tmp_path / "run", tiny.config("supervised", optim={"steps": 4}))
    assert list(tiny.without_wall(tmp_path / "run")[-1]) == ["kind", "step", "dice", "mean_dice"]


def test_a_record_is_the_mean_of_the_steps_since_the_last(data, tmp_path, no_pictures):
    every = {"log_every": 1, "validate_every": 50}
    for name, log_every in (("each", 1), ("fives", 5)):
        journal = {**every, "log_every": log_every}
        settings = tiny.config("supervised", optim={"steps": 7}, journal=journal)
        tiny.train(data, tmp_path / name, settings)
    each, fives = (
        [r for r in tiny.without_wall(tmp_path / name) if r["kind"] == "train"]
        for name in ("each", "fives")
    )
    losses = [r["loss"] for r in each]
    assert len(losses) == 7
    expected = [sum(losses[:5]) / 5, sum(losses[5:]) / 2]
    assert [r["loss"] for r in fives] == pytest.approx(expected, rel=1e-12)
    assert [r["lr"] for r in fives] == [each[4]["lr"], each[6]["lr"]]
    used = [poly_lr(step, settings.optim) for step in range(7)]  # steps are counted from 0
    assert [r["lr"] for r in each] == used


def test_tensorboard_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "find_spec", lambda _: None)
    with pytest.raises(DaclError, match="TensorBoard") as caught:
        Journal(tmp_path, tensorboard=True)
    assert "pip install" in caught.value.hint


def test_tensorboard_gets_the_numbers(tmp_path, monkeypatch):
    written = []

    class Writer:
        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def add_text(self, name, text, step):
            written.append((name, text, step))

        def flush(self):
            pass

    monkeypatch.setattr(journal_module, "_summary_writer", lambda *_: Writer())
    journal = Journal(tmp_path, tensorboard=True)
    journal.append(validation(8, a=0.25))
    assert written == [("dice/a/RV", 0.25, 8), ("dice/a/Myo", 0.25, 8), ("mean_dice/a", 0.25, 8)]
    written.clear()
    journal.append({"kind": "train", "step": 9, "share": 0.5, "agreement": {"RV": math.nan}})
    journal.append(warning_record(9, "no anchors"))
    assert written == [("share", 0.5, 9), ("warning", "no anchors", 9)]


@pytest.mark.parametrize("ends", ["finished", "stopped", "diverged"])
def test_tensorboard_is_closed_once_at_the_end_of_a_run(
    ends, data, tmp_path, monkeypatch, no_pictures
):
    writer = mock.Mock()
    monkeypatch.setattr(journal_module, "_summary_writer", lambda *_: writer)
    monkeypatch.setattr(loop, "require_tensorboard", lambda: None)
    trainer = tiny.trainer_of(
        data, tmp_path / "run", optim={"steps": 6}, journal={"tensorboard": True}
    )
    if ends == "diverged":
        with torch.no_grad():
            next(trainer.method.parameters()).fill_(math.nan)
        with pytest.raises(Diverged):
            trainer.run(tiny.Quiet())
    else:
        trainer.run(tiny.Quiet(), lambda: ends == "stopped")
    assert [call[0] for call in writer.method_calls].count("close") == 1
    assert writer.method_calls[-1] == mock.call.close()
