"""What a running ablation shows: a live table on a terminal, lines elsewhere, and a table that fits."""

import io

import pytest
import tiny
from rich.console import Console

from dacl.experiments.ablation import Row
from dacl.experiments.cell_progress import Progress
from dacl.experiments.cells import Cell, Status
from dacl.table import Table
from dacl_cli import ablate_view, console
from dacl_cli.ablate_view import LiveCells, PlainCells, compact


def cell(key: str) -> Cell:
    return Cell(
        row=Row(key=key, title="", settings={}), seed=0, config=tiny.config(),
        run_dir=tiny.Path("out") / f"{key}-seed0", data=tiny.Path("data"),
    )  # fmt: skip


CELLS = [cell(key) for key in ("I", "II", "III", "IV", "V")]
FOUND = [
    (CELLS[0], Status(state="done", step=12)),
    *((each, Status(state="not run")) for each in CELLS[1:4]),
    (CELLS[4], Status(state="interrupted", step=6)),
]


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when told to."""
    now = [100.0]
    monkeypatch.setattr(ablate_view.time, "monotonic", lambda: now[0])
    return now


def shown(view: LiveCells, monkeypatch, height: int = 40) -> list[list[str]]:
    screen = Console(
        file=io.StringIO(), width=120, height=height, force_terminal=True, color_system=None
    )
    monkeypatch.setattr(console, "err", screen)
    screen.print(view)
    return [" ".join(line.split()) for line in screen.file.getvalue().splitlines()]


def test_the_live_table_knows_every_cell(clock, monkeypatch):
    view = LiveCells(FOUND)
    view.changed(CELLS[1], "training")
    view.progressed(CELLS[1], Progress(100, 1000, None))
    clock[0] += 60
    view.progressed(CELLS[1], Progress(400, 1000, 0.5512))
    view.changed(CELLS[2], "training")
    clock[0] += 3
    view.changed(CELLS[2], "failed", "the loss is not finite")
    clock[0] += 300
    assert shown(view, monkeypatch) == [
        "cell state step val Dice elapsed left",
        "I seed 0 done",
        "II seed 0 training 400/1000 55.1 6 min 12 min",  # 300 steps in 363 s, 600 to go
        "III seed 0 failed: the loss is not finite 3 s",
        "IV seed 0 not run",
        "V seed 0 interrupted at step 6",
        "1 of 5 cells done",
    ]
    view.changed(CELLS[1], "done")
    assert shown(view, monkeypatch)[-1] == "2 of 5 cells done"


def test_a_low_terminal_shows_what_happens(clock, monkeypatch):
    view = LiveCells(FOUND)
    view.changed(CELLS[1], "training")
    assert shown(view, monkeypatch, height=8) == [
        "cell state step val Dice elapsed left",
        "II seed 0 training 0 s",
        "V seed 0 interrupted at step 6",
        "1 of 5 cells done",
    ]


def test_a_line_for_every_tenth(capsys):
    view = PlainCells()
    view.changed(CELLS[0], "training")
    for step in (10, 110, 150, 250, 1000):
        view.progressed(CELLS[0], Progress(step, 1000, step / 1000 if step > 200 else None))
    view.changed(CELLS[0], "failed", "no memory")
    assert capsys.readouterr().err.splitlines() == [
        "I seed 0: training",
        "I seed 0: step 110/1000",
        "I seed 0: step 250/1000, val Dice 25.0",
        "I seed 0: step 1000/1000, val Dice 100.0",
        "I seed 0: failed: no memory",
    ]


def test_the_compact_table_keeps_both_spreads():
    table = Table(
        title="", columns=("row", "Dice %", "sd over seeds", "sd over patients", "to I", "JC %"),
        rows=(("I", "50.00", "1.00", "9.00", None, "40.00"), ("II", None, None, None, None, None)),
    )  # fmt: skip
    assert compact(table) == (
        ("row", "Dice % ± sd over seeds", "sd over patients", "to I"),
        [("I", "50.00 ± 1.00", "9.00", "-"), ("II", "-", "-", "-")],
    )
    one_seed = Table(title="", columns=("row", "Dice %", "to I"), rows=(("I", "50.00", None),))
    assert compact(one_seed) == (("row", "Dice %", "to I"), [("I", "50.00", "-")])
