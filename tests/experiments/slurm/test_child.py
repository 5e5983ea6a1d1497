"""Processes below a task hear what they should, and end with it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dacl.experiments.slurm.child import end_with_parent, unheard

ANNOUNCEMENT = signal.SIGUSR2


def test_a_command_does_not_hear_what_would_kill_it():
    """Slurm sends the announcement to every process of a job."""
    with unheard(ANNOUNCEMENT):
        deaf = subprocess.Popen(["sleep", "60"])
    hears = subprocess.Popen(["sleep", "60"])
    try:
        for process in (deaf, hears):
            process.send_signal(ANNOUNCEMENT)
        assert hears.wait(60) == -ANNOUNCEMENT
        assert deaf.poll() is None
        deaf.terminate()
        assert deaf.wait(60) == -signal.SIGTERM
    finally:
        deaf.kill()
        hears.kill()
    assert ANNOUNCEMENT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.skipif(
    end_with_parent is None, reason="Linux alone tells a process of its parent's death"
)
def test_a_command_ends_with_a_task_that_is_killed():
    script = (
        "import os, subprocess; from dacl.experiments.slurm.child import end_with_parent as end;"
        "print(subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL, preexec_fn=end).pid, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    deadline = time.monotonic() + 30
    while _alive(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    """Not gone, and not only waiting for somebody to ask after it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
