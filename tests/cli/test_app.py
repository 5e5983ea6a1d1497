"""The command's outermost layer: exit codes, and messages instead of tracebacks."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from dacl import __version__
from dacl.errors import DaclError
from dacl_cli import app as app_module
from dacl_cli.app import EXIT_CODES, ExitCode, main


@pytest.fixture
def raising(monkeypatch):
    """Put a command `broken` into the app that raises what the test chooses."""
    chosen = {}

    def broken() -> None:
        raise chosen["error"]

    before = list(app_module.app.registered_commands)
    app_module.app.command("broken")(broken)
    yield lambda error: chosen.update(error=error)
    app_module.app.registered_commands[:] = before


def test_version(run_dacl):
    outcome = run_dacl("--version")
    assert (outcome.code, outcome.out) == (0, f"dacl {__version__}\n")


def test_no_arguments_prints_the_help(run_dacl):
    outcome = run_dacl()
    assert outcome.code == ExitCode.USAGE
    assert "doctor" in outcome.out + outcome.err


def test_the_help_documents_every_exit_code(run_dacl):
    outcome = run_dacl("--help")
    assert outcome.code == 0
    text = " ".join(outcome.out.split())
    for code, meaning in EXIT_CODES.items():
        assert f"{code.value} {meaning}" in text
    assert set(EXIT_CODES) == set(ExitCode)


@pytest.mark.parametrize("arguments", [["doctr"], ["doctor", "--jso"]])
def test_a_typing_error_is_a_usage_error_with_a_suggestion(run_dacl, arguments):
    outcome = run_dacl(*arguments)
    assert outcome.code == ExitCode.USAGE
    assert outcome.out == ""
    assert "doctor" in outcome.err or "--json" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_dacl_error_is_two_lines(run_dacl, raising):
    raising(DaclError("no folder [raw]", "give an existing one"))
    outcome = run_dacl("broken")
    assert outcome.code == ExitCode.REFUSED
    assert outcome.err == "Error: no folder [raw]\nHint: give an existing one\n"
    assert outcome.out == ""


def test_a_long_message_stays_one_line(run_dacl, raising):
    raising(DaclError("x" * 500))
    assert run_dacl("broken").err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--debug", "broken"], ["broken", "--debug"]])
def test_debug_shows_the_traceback_as_well(run_dacl, raising, arguments):
    raising(DaclError("no folder", "give one"))
    outcome = run_dacl(*arguments)
    assert outcome.code == ExitCode.REFUSED
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("Error: no folder\nHint: give one\n")


def test_an_unexpected_exception_is_called_a_bug(run_dacl, raising):
    raising(ValueError("first line\nsecond line"))
    outcome = run_dacl("broken")
    assert outcome.code == ExitCode.REFUSED
    assert outcome.err.splitlines()[0] == "Error: ValueError: first line (this is a bug in dacl)"
    assert "--debug" in outcome.err
    assert "Traceback" not in outcome.err


def _wrapped_disk_full() -> Exception:
    error = RuntimeError("writer failed")
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "latest.pt"),
        OSError("file write failed: errno = 28, error message = 'No space left on device'"),
        _wrapped_disk_full(),
    ],
)
def test_a_full_disk_has_its_own_message(run_dacl, raising, error):
    raising(error)
    outcome = run_dacl("broken")
    assert outcome.code == ExitCode.REFUSED
    assert outcome.err.startswith("Error: The disk is full: ")
    assert "Free some space" in outcome.err


def test_a_system_error_names_its_file(run_dacl, raising):
    raising(PermissionError(errno.EACCES, "Permission denied", "runs/a/run.json"))
    outcome = run_dacl("broken")
    assert outcome.code == ExitCode.REFUSED
    assert outcome.err.startswith("Error: Permission denied: runs/a/run.json\nHint: ")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("4 GiB"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_out_of_memory(run_dacl, raising, error):
    raising(error)
    assert run_dacl("broken").err.startswith("Error: Out of memory: ")


def test_an_interrupt_is_130_and_says_so(run_dacl, raising):
    raising(KeyboardInterrupt())
    outcome = run_dacl("broken")
    assert (outcome.code, outcome.err) == (ExitCode.INTERRUPTED, "Interrupted.\n")


def test_a_command_that_reported_its_interruption_is_not_spoken_over(run_dacl, raising):
    raising(typer.Exit(130))
    outcome = run_dacl("broken")
    assert (outcome.code, outcome.err) == (ExitCode.INTERRUPTED, "")


def test_main_reads_the_process_arguments_by_default(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dacl", "--version"])
    assert main() == 0
    assert __version__ in capsys.readouterr().out


def test_ctrl_c_on_the_real_process(tmp_path):
    program = (
        "import time, typer\n"
        "from dacl_cli.app import app, main\n"
        "@app.command('wait')\n"
        "def wait() -> None:\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "raise SystemExit(main(['wait']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        # a shell starts background jobs with Ctrl-C ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, "Interrupted.\n")


def test_a_closed_pipe_is_met_in_silence(tmp_path):
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "dacl_cli", "--version"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    os.close(write)
    assert process.stderr == ""


def test_a_table_in_a_pipe_is_not_cut(tmp_path):
    program = "from dacl_cli import console\nconsole.table(('file',), [('x' * 150,)])"
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=True,
    )
    assert "x" * 150 in done.stdout


def test_json_of_what_results_hold(capsys):
    from dataclasses import dataclass

    import numpy as np

    from dacl_cli import console

    @dataclass
    class Row:
        path: Path
        dice: float

    value = {"rows": [Row(Path("a/b"), float("nan"))], "n": np.int64(3), "x": np.array([0.5])}
    console.emit_json({**value, "set": {2, 1}, 1: None})
    parsed = json.loads(capsys.readouterr().out)
    assert parsed == {
        "rows": [{"path": "a/b", "dice": None}],
        "n": 3,
        "x": [0.5],
        "set": [1, 2],
        "1": None,
    }
    with pytest.raises(TypeError, match="object has no JSON form"):
        console.emit_json(object())


def test_plain_progress_writes_about_ten_lines(capsys):
    from dacl_cli import console

    with console.progress("Preparing") as report:
        for done in range(1, 101):
            report(done, 100, "patient001")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "Preparing: 100/100 patient001"
    assert len(lines) <= 11
