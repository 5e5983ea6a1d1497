"""The cells of a table: a row under a seed, each an ordinary run folder, and how far each of them is.

A folder is taken for a cell only if it holds a run of the cell's settings on the cell's data. Anything else that lies
there is refused and left alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dacl.config import Config, resolve, settings_of
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.experiments.ablation import Row
from dacl.experiments.measured import RowResult, RunResult, read_run
from dacl.run_layout import evaluation_folder
from dacl.training import checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run of a table."""

    row: Row
    seed: int
    config: Config
    run_dir: Path
    data: Path
    """Root of the prepared dataset."""

    @property
    def name(self) -> str:
        """`II seed 0`."""
        return f"{self.row.key} seed {self.seed}"

    @property
    def evaluation(self) -> Path:
        """Where `dacl evaluate RUN` writes."""
        return evaluation_folder(self.run_dir, "test", "best")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a cell is."""

    state: Literal["not run", "interrupted", "trained", "done", "damaged"]
    """`trained`: not evaluated since; `damaged`: a checkpoint that cannot be read."""
    step: int = 0
    """Steps trained."""
    leftover: bool = False
    """A run that ended before its first checkpoint lies in the folder; only a new one can follow."""
    why: str = ""
    """What is damaged."""

    def __str__(self) -> str:
        if self.state == "interrupted":
            return f"interrupted at step {self.step}"
        if self.state == "trained":
            return "trained, not evaluated"
        return f"damaged: {self.why}" if self.why else self.state


def plan(
    rows: Sequence[Row], seeds: Sequence[int], base: Config, dataset: PreparedDataset, out: Path
) -> tuple[Cell, ...]:
    """The cells of a table in the order in which they are run.

    Every row's first seed comes before any second seed: an ablation cut short still compares all rows. A row that
    stands twice (the full method, in each panel of a sweep) is run once.

    Raises:
        DaclError: a split without a labelled case to choose the checkpoint by, or to judge on.
    """
    for use in ("val", "test"):
        if not any(case.has_label for case in dataset.cases(getattr(dataset.split, use))):
            raise DaclError(
                f"{dataset.root} has no labelled {use} case; every cell is judged on test at the "
                "checkpoint that was best on val",
                "prepare the data with a --split that has both",
            )
    patients = len(dataset.split.train)
    once = list({row.key: row for row in rows}.values())
    return tuple(
        Cell(
            row=row,
            seed=seed,
            config=row.config(base, seed, patients=patients),
            run_dir=out / f"{row.key}-seed{seed}",
            data=dataset.root,
        )
        for seed in seeds
        for row in once
    )


def look(cell: Cell) -> Status:
    """How far a cell is.

    Raises:
        DaclError: its folder holds a run of other settings or of other data, or no run at all.
    """
    held = checkpoint.held_by(cell.run_dir)
    if not held:
        return Status(state="not run", leftover=_leftover(cell))
    try:
        state = checkpoint.load(held[0], mapped=True)
        with checkpoint.must_fit(held[0]):
            stored = resolve(state["config"]["preset"], state["config"])
            meta, step = checkpoint.read_meta(state), int(state["step"])
    except DaclError as error:
        return Status(state="damaged", why=error.message)
    _check_same(cell, stored)
    checkpoint.open_data(meta, held[0], cell.data)
    if step < cell.config.optim.steps:
        return Status(state="interrupted", step=step)
    try:
        judged = _judges(cell.evaluation / "summary.json", cell.run_dir / "best.pt")
    except DaclError as error:
        return Status(state="damaged", step=step, why=error.message)
    return Status(state="done" if judged else "trained", step=step)


def row_results(
    cells: Sequence[Cell], missing: Mapping[str, str], network: str = "a"
) -> dict[str, RowResult]:
    """What the cells found, by the key of their row.

    Args:
        cells: of one table.
        missing: name of a cell -> why it is not done.
        network: the one judged.
    """
    rows: dict[str, Row] = {}
    runs: dict[str, dict[int, RunResult]] = {}
    absent: dict[str, dict[int, str]] = {}
    for cell in cells:
        key = cell.row.key
        rows[key] = cell.row
        of_row, not_there = runs.setdefault(key, {}), absent.setdefault(key, {})
        if cell.name in missing:
            not_there[cell.seed] = missing[cell.name]
            continue
        try:
            of_row[cell.seed] = read_run(cell.evaluation, network)
        except DaclError as error:  # a method without this network
            not_there[cell.seed] = error.message
    return {
        key: RowResult(row=row, runs=runs[key], missing=absent[key]) for key, row in rows.items()
    }


def _check_same(cell: Cell, stored: Config) -> None:
    wanted, found = _settings(cell.config), _settings(stored)
    other = [
        f"{key} {found[key]}, not {wanted[key]}"
        for key in wanted
        # A key of one side alone belongs to a section that the other method does not read.
        if key in found and found[key] != wanted[key]
    ]
    if other:
        raise DaclError(
            f"{cell.run_dir} is a run of other settings: {'; '.join(other)}",
            "ask for its settings, or choose another folder for these",
        )


def _settings(config: Config) -> dict[str, Any]:
    return {**settings_of(config), "seed": config.seed}


def _leftover(cell: Cell) -> bool:
    """Whether the folder of a cell without a checkpoint holds the beginning of its run."""
    if not cell.run_dir.exists() or not any(cell.run_dir.iterdir()):
        return False
    try:
        text = (cell.run_dir / "run.json").read_text(encoding="utf-8")
        values = json.loads(text)["config"]
        _check_same(cell, resolve(values["preset"], values))
    except (OSError, ValueError, KeyError, TypeError):
        raise DaclError(
            f"{cell.run_dir} is not empty and is not the folder of a run; it is left as it is",
            "move it away, or choose another folder for the runs",
        ) from None
    return True


def _judges(summary: Path, judged: Path) -> bool:
    """Whether a finished evaluation judged the checkpoint that lies there now."""
    if not (summary.is_file() and judged.is_file()):
        return False
    try:
        provenance = json.loads(summary.read_text(encoding="utf-8"))["provenance"]
        then = provenance["checkpoint"], provenance["checkpoint_step"]
    except (ValueError, KeyError, TypeError):
        return False
    return then == (judged.name, checkpoint.load(judged, mapped=True)["step"])
