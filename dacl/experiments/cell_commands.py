"""What a cell still needs: `dacl train` and `dacl evaluate` in processes of their own, what they say in the cell's log.

Processes, because a cell that fails, or takes all memory, must not take the others with it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dacl.config_text import to_toml
from dacl.errors import DaclError
from dacl.experiments.cell_progress import Doing
from dacl.experiments.cells import Cell, Status, look

PROMPT, ERROR = "$ ", "Error: "


def log_path(out: Path, cell: Cell) -> Path:
    """Where everything that the processes of a cell say is kept."""
    return out / "logs" / f"{cell.run_dir.name}.log"


def start(
    words: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    lock: int,
    prepare: Callable[[], None] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start `dacl WORDS`, everything it says added to `log`; `prepare` is called in the new process.

    The lock is handed down: while a process lives on after its parent was killed, nobody else runs the cells.
    """
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "dacl_cli", *words],
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            env={**os.environ, **environment}, pass_fds=(lock,), preexec_fn=prepare,
        )  # fmt: skip


def commands(cell: Cell, status: Status, config_file: Path, threads: int) -> list[list[str]]:
    """Arguments of the `dacl` commands that a cell still needs."""
    run, data = str(cell.run_dir), ["--data", str(cell.data)]
    fresh = ["--config", str(config_file), "--out", run]
    fresh += ["--overwrite"] if status.leftover else []
    going_on = status.state == "interrupted"
    train = ["train", *(["--resume", run] if going_on else fresh), *data, "--threads", str(threads)]
    # A table needs numbers. `dacl evaluate RUN` draws and writes the volumes of the cells that deserve a look.
    evaluate = ["evaluate", run, *data, "--device", cell.config.device]
    evaluate += ["--no-predictions", "--no-pictures"]
    return {"done": [], "trained": [evaluate]}.get(status.state, [train, evaluate])


class CellLog:
    """Where everything that the processes of a cell say is kept; made with its folder."""

    def __init__(self, out: Path, cell: Cell) -> None:
        self.path = log_path(out, cell)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def prompt(self, line: str) -> int:
        """Write `$ LINE`; where that begins, in bytes."""
        with self.path.open("a", encoding="utf-8") as file:
            begin = file.tell()
            file.write(f"{PROMPT}{line}\n")
        return begin

    def error(self, why: str) -> None:
        """Write a line of error, unless the last command wrote one."""
        if not first_error(last_start(self.since(0))):
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{ERROR}{why}\n")

    def since(self, begin: int) -> str:
        """What was written from there on."""
        try:
            with self.path.open("rb") as file:
                file.seek(begin)
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size if self.path.exists() else 0


def last_start(text: str) -> str:
    """A log from its last prompt on."""
    lines = text.splitlines(keepends=True)
    prompts = [n for n, line in enumerate(lines) if line.startswith(PROMPT)]
    return "".join(lines[prompts[-1] if prompts else 0 :])


def first_error(text: str) -> str:
    """The first line of error that a command wrote, or nothing."""
    errors = (line for line in text.splitlines() if line.startswith(ERROR))
    return next(errors, "").removeprefix(ERROR)


class CellCommands:
    """The commands of one cell, one after the other.

    Args:
        cell: the cell.
        out: the folder of the table; `configs/` and `logs/` are written there.
        threads: CPU threads of each command.

    Raises:
        DaclError: its folder holds something else, or a checkpoint that cannot be read.
    """

    doing: Doing = "training"
    process: "subprocess.Popen[bytes]"

    def __init__(self, cell: Cell, out: Path, threads: int) -> None:
        status = look(cell)
        if status.state == "damaged":
            raise DaclError(status.why)
        config = out / "configs" / f"{cell.run_dir.name}.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(to_toml(cell.config), encoding="utf-8")
        self.cell, self.log = cell, CellLog(out, cell)
        self.left = commands(cell, status, config, threads)
        self._threads = threads
        self._log_begin = 0

    def next(
        self,
        environment: Mapping[str, str],
        lock: int,
        prepare: Callable[[], None] | None = None,
    ) -> bool:
        """Start the next command, if there is one.

        Args:
            environment: of the process, over that of this one.
            lock: handed down to it.
            prepare: called in it before the command is loaded.
        """
        if not self.left:
            return False
        words = self.left.pop(0)
        self._log_begin = self.log.prompt(f"dacl {' '.join(words)}")
        # `dacl evaluate` has no --threads.
        environment = {"OMP_NUM_THREADS": str(self._threads), **environment}
        self.doing = "training" if words[0] == "train" else "evaluating"
        self.process = start(words, self.log.path, environment, lock, prepare)
        return True

    def reason(self, code: int) -> str:
        """Why the command failed: its first line of error, or how the process ended."""
        return first_error(self.log.since(self._log_begin)) or how_it_ended(code)


def how_it_ended(code: int) -> str:
    """A process that failed without a word."""
    if code == -signal.SIGKILL:
        return "killed (SIGKILL), perhaps for want of memory"
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
