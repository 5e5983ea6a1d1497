"""What a result says of how it was made."""

import subprocess
import sys

import pytest

from dacl import protocol


@pytest.mark.parametrize(
    "error",
    [subprocess.TimeoutExpired("git", 20), OSError("no permission")],
    ids=["slow", "denied"],
)
def test_a_git_that_does_not_answer_costs_nothing_but_the_commit(error, monkeypatch):
    def run(*_arguments, **_options):
        raise error

    monkeypatch.setattr(protocol.shutil, "which", lambda _name: "git")
    monkeypatch.setattr(protocol.subprocess, "run", run)
    assert protocol.git_state() is None


def test_the_command_can_be_typed_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["dacl", "train", "--data", "my data", "--set", "a.b=1"])
    assert protocol._command() == "dacl train --data 'my data' --set a.b=1"
