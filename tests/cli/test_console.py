"""Streams that cannot take what is printed; in processes of their own, whose streams they are."""

import os
import subprocess
import sys

import pytest

HELP = [sys.executable, "-m", "dacl_cli", "train", "--help"]


def test_a_character_that_the_terminal_lacks_ends_nothing():
    done = subprocess.run(
        HELP, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"--labeled" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_ends_nothing(closed):
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *HELP], check=False)
    assert done.returncode == 0
