"""The programs under examples/ run, each at a size that takes seconds."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest

from dacl_cli.app import main

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def demo():
    spec = importlib.util.spec_from_file_location("examples_demo", EXAMPLES / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"demo.py"}


def test_demo_ends_with_a_table_of_both_and_pictures_that_exist(
    demo, tmp_path, monkeypatch, capsys
):
    def run_here(*arguments: object) -> None:
        # In this process: five times torch's own start-up is most of what a demo this small costs.
        words = [str(argument) for argument in arguments]
        sys.stdout.write(f"$ dacl {shlex.join(words)}\n")
        assert main(words) == 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "run", run_here)
    monkeypatch.setitem(demo.TRAINING, "set", "network.width=4")
    command_line = "demo.py --out demo --patients 4 1 1 --steps 2"
    monkeypatch.setattr(sys, "argv", command_line.split())
    demo.main()

    text = capsys.readouterr().out
    commands = re.findall(r"^\$ dacl (\w+)", text, flags=re.MULTILINE)
    assert commands == ["preprocess", "preprocess", "train", "evaluate", "train", "evaluate"]
    rows = re.findall(r"^\| (supervised|dacl) \|", text, flags=re.MULTILINE)
    assert rows == ["supervised", "dacl"]
    pictures = re.findall(r"^  (\S+\.png)$", text, flags=re.MULTILINE)
    assert len(pictures) >= 4
    assert all(Path(picture).stat().st_size > 0 for picture in pictures)
    assert "synthetic data, not scans" in text


def test_demo_prints_and_runs_real_commands(demo, capfd):
    demo.run("--version")
    assert re.search(r"^\$ dacl --version\ndacl \d", capfd.readouterr().out, flags=re.MULTILINE)


def test_demo_stops_at_the_first_failure(demo, tmp_path, capfd):
    with pytest.raises(SystemExit) as stop:
        demo.run("preprocess", "acdc", tmp_path / "nowhere", tmp_path / "out")
    assert stop.value.code == 1
    assert "nowhere" in capfd.readouterr().err
