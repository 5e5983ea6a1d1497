"""An ablation of the tiny dataset: patients to test on, and `dacl` processes that run in this one."""

import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import tiny

from dacl.data.prepared import PreparedDataset
from dacl.experiments import launch
from dacl.experiments.ablation import Row
from dacl.experiments.cell_progress import Outcome, Progress
from dacl.experiments.cells import Cell, plan

TEST = ("p5", "p6")
I = Row(key="I", title="cross pseudo supervision", settings={"method": "cps"})  # noqa: E741
VI = Row(key="VI", title="full", settings={"contrast": {"negatives_from": "pixels"}}, above="I")


def write_dataset(root: Path, *, seed: int = 0) -> Path:
    """Three patients to train on, one to validate on, two to test on."""
    tiny.write_dataset(root, val=(*tiny.VAL, *TEST), seed=seed)
    split = {"name": "phantom", "train": tiny.TRAIN, "val": tiny.VAL, "test": TEST, "missing": ()}
    (root / "splits.json").write_text(json.dumps(split), encoding="utf-8")
    return root


def cells(
    data: Path, out: Path, *, rows=(I, VI), seeds=(0, 1), steps=4, **over
) -> tuple[Cell, ...]:
    """Two rows under two seeds, four steps each."""
    base = tiny.config(optim={"steps": steps}, **over)
    return plan(rows, seeds, base, PreparedDataset.open(data), out)


class Ended:
    """A process that ended before anyone looked."""

    def __init__(self, code: int) -> None:
        self.code = code

    def poll(self) -> int:
        return self.code


class Here:
    """In the place of `cell_commands.start`: runs each command in this process, and remembers it.

    A process of its own takes seconds to import torch, a training of this size takes tenths.
    """

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.environments: list[dict[str, str]] = []

    def __call__(self, words, log, environment, lock, prepare=None) -> Ended:
        from dacl_cli.app import main

        self.commands.append(list(words))
        self.environments.append(dict(environment))
        with log.open("a") as file, redirect_stdout(file), redirect_stderr(file):
            return Ended(main(list(words)))

    def words(self) -> list[str]:
        """`train I-seed0`, `evaluate I-seed0`, ... since the last call."""
        ran, self.commands = self.commands, []
        return [f"{words[0]} {run_dir(words).name}" for words in ran]


def run_dir(words: list[str]) -> Path:
    """The run folder that a command is about."""
    if words[0] == "evaluate":
        return Path(words[1])
    return Path(words[words.index("--resume" if "--resume" in words else "--out") + 1])


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str, str]] = []
        self.progress: dict[str, Progress] = {}

    def changed(self, cell, doing, why="") -> None:
        self.changes.append((cell.name, doing, why))

    def progressed(self, cell, progress) -> None:
        self.progress[cell.name] = progress


def run_all(cells, out, **how) -> tuple[Outcome, Heard]:
    """Launch with one job, without waiting between looks."""
    heard = Heard()
    one = launch.Slots(jobs=1, threads=1)
    how = {"slots": one, "poll_seconds": 0, **how}
    return launch.launch(cells, out, listener=heard, **how), heard
