"""Settings and fixtures that every test shares."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports torch or matplotlib: one thread per test process, no window, plain text.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["NO_COLOR"] = "1"
os.environ["TERM"] = "dumb"
os.environ["COLUMNS"] = "200"
os.environ.pop("FORCE_COLOR", None)

# The same examples on every machine, and no time limit that a busy one would miss.
settings.register_profile("dacl", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("dacl")


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def one_thread():
    """A test that left PyTorch on several threads would change the bits of whatever runs after it."""
    yield
    torch = sys.modules.get("torch")  # most tests of the command line get by without it
    if torch is not None and (left := torch.get_num_threads()) != 1:
        torch.set_num_threads(1)  # the next test is not to blame
        pytest.fail(f"this test left PyTorch on {left} threads")


@pytest.fixture
def run_dacl(capsys):
    """Run `dacl ARGS` in this process through its real entry point."""
    from dacl_cli.app import main

    def run(*args: object) -> Outcome:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def unchecked(monkeypatch) -> None:
    """Annotations go unchecked, as they do outside the tests: a wrong value arrives where a caller's would."""
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def saved_figures(monkeypatch) -> list:
    """Every matplotlib figure that is saved from here on, in order; saving goes on as ever."""
    from matplotlib.figure import Figure

    kept, save = [], Figure.savefig

    def keep(figure, *args, **options):
        kept.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


@pytest.fixture(scope="session")
def real_acdc() -> Path:
    """The folder of real ACDC volumes named by DACL_REAL_DATA; skips without it."""
    root = os.environ.get("DACL_REAL_DATA", "")
    folder = Path(root) / "acdc"
    if not root or not (folder / "training").is_dir():
        pytest.skip("DACL_REAL_DATA names no folder with acdc/training")
    return folder
