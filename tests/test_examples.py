"""The programs under examples/ run, each at a size that takes seconds."""

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"

# What each example needs to be quick; an example without an entry here fails the test below.
QUICK = {"demo.py": ["--out", "demo", "--patients", "4", "1", "1", "--steps", "2"]}


def _run(name: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *QUICK[name]],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(QUICK)


def test_demo_ends_with_a_table_of_both_and_pictures_that_exist(tmp_path):
    text = _run("demo.py", tmp_path)
    commands = re.findall(r"^\$ dacl (\w+)", text, flags=re.MULTILINE)
    assert commands == ["preprocess", "preprocess", "train", "evaluate", "train", "evaluate"]
    rows = re.findall(r"^\| (supervised|dacl) \|", text, flags=re.MULTILINE)
    assert rows == ["supervised", "dacl"]
    pictures = re.findall(r"^  (\S+\.png)$", text, flags=re.MULTILINE)
    assert len(pictures) >= 4
    assert all((tmp_path / picture).stat().st_size > 0 for picture in pictures)
    assert "synthetic data, not scans" in text
