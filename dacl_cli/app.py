"""The `dacl` command itself: subcommands, exit codes, and exceptions turned into messages."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dacl import __version__
from dacl.errors import DaclError, out_of_memory
from dacl_cli import (
    ablate,
    analyze,
    compare,
    console,
    doctor,
    evaluate,
    export,
    predict,
    preprocess,
    report,
    train,
)


class ExitCode(IntEnum):
    """What the shell is told."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    INTERRUPTED = 130


EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.REFUSED: "the data or the request is wrong, or dacl failed",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}
_EPILOG = "Exit codes: " + "; ".join(f"{code.value} {text}" for code, text in EXIT_CODES.items())


class _InOrder(TyperGroup):
    """Lists the commands in the order of the work, not groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_ORDER.index)


_ORDER = (
    "preprocess",
    "train",
    "evaluate",
    "predict",
    "compare",
    "analyze",
    "report",
    "export",
    "ablate",
    "doctor",
)

app = typer.Typer(
    name="dacl",
    cls=_InOrder,
    help="Train segmentation networks from a few annotated scans and many unannotated ones.",
    epilog=_EPILOG + ".",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Markdown leaves square brackets alone and shows `code` as code.
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(asked: bool) -> None:
    if asked:
        console.say(f"dacl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="On an error, show the traceback too (anywhere on the line)."),
    ] = False,
) -> None:
    """Train segmentation networks from a few annotated scans and many unannotated ones."""


app.add_typer(preprocess.app, name="preprocess")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("compare")(compare.compare)
app.add_typer(analyze.app, name="analyze")
app.command("report")(report.report)
app.command("export")(export.export)
app.command("ablate")(ablate.ablate)
app.command("doctor")(doctor.doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dacl` and return its exit code; the one place where an exception becomes a message.

    Args:
        argv: the arguments after the program's name; those of the process by default.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in args
    try:
        app([arg for arg in args if arg != "--debug"], prog_name="dacl")
    except SystemExit as stop:
        if _was_interrupted(stop):
            console.note("Interrupted.")
        return _flushed(_exit_code(stop))
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        console.fail(*_explain(error))
        return _flushed(ExitCode.REFUSED)
    return _flushed(ExitCode.DONE)


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return ExitCode.DONE
    return stop.code if isinstance(stop.code, int) else ExitCode.REFUSED


def _was_interrupted(stop: SystemExit) -> bool:
    """Tell Ctrl-C from a command that ended with 130 after a message of its own."""
    return isinstance(getattr(stop.__context__, "__cause__", None), KeyboardInterrupt)


def _flushed(code: int) -> int:
    """Flush stdout here, where a closed pipe (`dacl ... | head`) can still be met in silence."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.REFUSED
    return int(code)


def _explain(error: Exception) -> tuple[str, str]:
    """Say in one line what was found and in one what to do."""
    if isinstance(error, DaclError):
        return error.message, error.hint
    if _is_disk_full(error):
        return (
            f"The disk is full: {_one_line(error)}",
            "Free some space (`df -h .`) and run the command again; finished files are intact.",
        )
    if out_of_memory(error):
        return (
            f"Out of memory: {_one_line(error)}",
            "Close other programs, or choose smaller batches or `--preset small`.",
        )
    if isinstance(error, OSError) and error.filename is not None:
        return (
            f"{error.strerror}: {error.filename}",
            "Check the path and its permissions; `dacl --debug ...` shows where it happened.",
        )
    return (
        f"{type(error).__name__}: {_one_line(error)} (this is a bug in dacl)",
        "Run the same command as `dacl --debug ...` and report the traceback.",
    )


def _is_disk_full(error: BaseException | None) -> bool:
    """Look through the chain: HDF5 and torch wrap the system's own error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"
