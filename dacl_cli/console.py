"""The one place that writes to the terminal: results on stdout, everything else on stderr."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PLAIN_WIDTH = 200


def _mend_streams() -> None:
    """Let nothing that is printed end a command: a stream may be closed, or lack a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # as some service managers start jobs
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


_mend_streams()


def _console(*, stderr: bool) -> Console:
    """A console that never cuts a table when its output goes to a file or a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    fixed = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(
        stderr=stderr,
        width=_PLAIN_WIDTH if fixed else None,
        highlight=False,
        emoji=False,
        # Paths and messages may hold square brackets; style by `style=` instead.
        markup=False,
    )


out = _console(stderr=False)
err = _console(stderr=True)


def say(message: str, style: str = "") -> None:
    """Print one line of a result to stdout, unwrapped."""
    out.print(Text(message, style=style), soft_wrap=True)


def note(message: str, style: str = "dim") -> None:
    """Print one line about the work itself (not its result) to stderr, unwrapped."""
    err.print(Text(message, style=style), soft_wrap=True)


def fail(message: str, hint: str = "") -> None:
    """Print what was found and what to do next to stderr, a line each."""
    err.print(Text.assemble(("Error: ", "bold red"), message), soft_wrap=True)
    if hint:
        err.print(Text.assemble(("Hint: ", "bold"), hint), soft_wrap=True)


def jsonable(value: Any) -> Any:
    """Turn dataclasses, paths, NumPy scalars and arrays into what JSON has; NaN becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(jsonable(item) for item in value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        return jsonable(value.model_dump())
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def emit_json(value: Any) -> None:
    """Write one JSON document, and nothing else, to stdout."""
    sys.stdout.write(json.dumps(jsonable(value), indent=2, ensure_ascii=False) + "\n")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    right: Sequence[str] = (),
    header: bool = True,
    to: Console | None = None,
) -> None:
    """Print a table.

    Args:
        columns: the headings.
        rows: one sequence of cells per row; `None` prints as a dash.
        title: a line above the table.
        right: headings of the columns to align right (numbers).
        header: whether to show the headings.
        to: the console, stdout by default.
    """
    console = to or out
    if title:  # a title of the table itself would be broken to the table's width
        console.print(Text(title, style="italic"), soft_wrap=True)
    grid = Table(box=None, pad_edge=False, show_header=header)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*("-" if cell is None else str(cell) for cell in row))
    console.print(grid)


class FindingLike(Protocol):
    """What a row of the findings table needs: the case, its file, the problem and the fix."""

    @property
    def case(self) -> str: ...  # noqa: D102
    @property
    def file(self) -> str | Path: ...  # noqa: D102
    @property
    def problem(self) -> str: ...  # noqa: D102
    @property
    def fix(self) -> str: ...  # noqa: D102


def findings(rows: Iterable[FindingLike], *, title: str = "Findings") -> None:
    """Print everything that is wrong with the data as one table on stderr, fix included."""
    cells = [(row.case, row.file, row.problem, row.fix) for row in rows]
    table(("case", "file", "problem", "fix"), cells, title=title, to=err)


Report = Callable[..., None]
"""`report(done, total, detail="")`: how far the work is."""


@contextmanager
def progress(label: str) -> Iterator[Report]:
    """Show progress on stderr: a bar on a terminal, about ten plain lines elsewhere."""
    if not err.is_terminal:
        yield _plain_progress(label)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    shown = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*shown, console=err) as bar:
        task = bar.add_task(label, total=None, detail="")

        def report(done: int, total: int, detail: str = "") -> None:
            bar.update(task, completed=done, total=total, detail=detail)

        yield report


def _plain_progress(label: str) -> Report:
    last_tenth = -1

    def report(done: int, total: int, detail: str = "") -> None:
        nonlocal last_tenth
        tenth = 10 * done // total if total else 10
        if tenth > last_tenth:
            last_tenth = tenth
            note(f"{label}: {done}/{total} {detail}".rstrip(), style="")

    return report
