"""Imports in a process of their own, for `dacl doctor`: a broken package may raise, end the process or never answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

OK, BROKEN = "ok", "broken"
TIME_LIMIT_S = 60.0
"""Of one process; from a slow disk torch alone takes tens of seconds."""
# A package may print while it is imported: what is said on purpose has a stream of its own.
_PREAMBLE = """
import importlib, json, os, sys
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
"""
_IMPORT_EACH = """
for module in sys.argv[1:]:
    problem = ""
    try:
        importlib.import_module(module)
    except BaseException as error:
        problem = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
    print(json.dumps(problem), file=answers)
"""


def import_problems(modules: Sequence[str]) -> list[str]:
    """What goes wrong where each module is imported, after those before it; empty where nothing does."""
    problems: list[str] = []
    while len(problems) < len(modules):
        answers, ended = ask(_IMPORT_EACH, *modules[len(problems) :])
        problems += map(json.loads, answers)
        if len(problems) < len(modules):
            problems.append(ended)
    return problems


def inspect_torch() -> dict[str, Any]:
    """`torch_facts` from a process of its own, which a torch that crashes or hangs takes with it."""
    answers, ended = ask(
        "from dacl_cli.doctor_imports import torch_facts\nprint(json.dumps(torch_facts()), file=answers)"
    )
    return json.loads(answers[0]) if answers else {"status": BROKEN, "problem": ended}


def torch_facts() -> dict[str, Any]:
    """The version and build of torch, the devices it sees, and what `dacl train` would take."""
    try:
        import torch

        from dacl.training.device import default_preset, has_fast_bf16, pick_device
    except Exception as error:
        # A mismatched build fails with whatever its libraries raise, and doctor is there to say so.
        problem = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
        return {"status": BROKEN, "problem": problem}
    cuda = [
        {"name": p.name, "memory_gib": round(p.total_memory / 2**30, 1)}
        for p in map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    ]
    chosen = pick_device("auto")
    return {
        "status": OK,
        "version": torch.__version__,
        "build": f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU",
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_fast_bf16": has_fast_bf16(torch.device("cpu")),
        "cuda": cuda,
        "mps": torch.backends.mps.is_available(),
        "device": chosen.type,
        "preset": default_preset(chosen),
    }


def ask(code: str, *arguments: str) -> tuple[list[str], str]:
    """The lines that Python code printed to `answers`, in a process of its own, and how that ended.

    Modules come from where they come from in this process.
    """
    places = os.pathsep.join(place or "." for place in sys.path)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PREAMBLE + code, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=TIME_LIMIT_S,
            env={**os.environ, "PYTHONPATH": places},
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode().splitlines(), f"no answer within {TIME_LIMIT_S:g} s"
    if done.returncode < 0:
        ended = f"ended by {signal.Signals(-done.returncode).name}"
    else:
        ended = f"ended with exit code {done.returncode}"
    return done.stdout.decode().splitlines(), ended
