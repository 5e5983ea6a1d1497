"""Real `dacl` processes that start at once: a server that has imported torch forks one for each command.

Run as a program this is the server. It never runs a network itself: torch does not survive a fork after that.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 120


class Forks:
    """A server; use it as a context."""

    def __enter__(self) -> "Forks":
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stdin.close()
        self._server.wait(PATIENCE_S)
        self._server.stdout.close()

    def start(self, log: Path, *args: object) -> "Process":
        """Start `dacl ARGS`, with both outputs in `log`."""
        self._server.stdin.write(json.dumps([str(log), *map(str, args)]) + "\n")
        self._server.stdin.flush()
        return Process(int(self._server.stdout.readline()), log, self._server.stdout)


class Process:
    """One running command."""

    def __init__(self, pid: int, log: Path, answers) -> None:
        self.pid, self._log, self._answers = pid, log, answers

    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def until(self, condition) -> None:
        """Wait for a condition or for the process to end."""
        deadline = time.monotonic() + PATIENCE_S
        while self.alive() and not condition():
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.002)

    def signal(self, number: int) -> None:
        if self.alive():
            os.kill(self.pid, number)

    def end(self) -> int:
        """Wait for the end; the exit code, negative for a signal."""
        return int(self._answers.readline())

    def text(self) -> str:
        return self._log.read_text()


def _serve() -> None:
    import runpy

    import dacl.training.loop  # noqa: F401
    import dacl_cli.app  # noqa: F401
    from dacl.training.journal import Journal

    # Drawing takes longer than a training as small as those of the tests.
    Journal.draw = lambda self: self.run_dir / "progress.png"

    for line in sys.stdin:
        log, *args = json.loads(line)
        pid = os.fork()
        if pid == 0:
            with Path(log).open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.argv = ["dacl", *args]
            code = 1
            try:
                runpy.run_module("dacl_cli", run_name="__main__", alter_sys=True)
            except SystemExit as stop:
                code = int(stop.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
