"""Clusters for tests: one whose jobs a test moves by hand, and submitit's own, which runs them as processes here."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from tiny_ablation import Heard

from dacl.experiments.cell_progress import Outcome
from dacl.experiments.slurm.launch import launch
from dacl.experiments.slurm.watch import Pace

AT_ONCE = Pace(files_s=0.0, queue_s=0.0, settle_s=0.0)


class Cluster:
    """Jobs are pending until `run` runs them in this process, or a test says what became of them."""

    def __init__(self) -> None:
        self.tasks: dict[str, Callable[[], None]] = {}
        self.jobs: dict[str, str] = {}

    def submit(self, tasks: Sequence[Callable[[], None]]) -> list[str]:
        number = 1 + len({job.partition("_")[0] for job in self.tasks})
        names = [f"{number}_{index}" for index in range(len(tasks))]
        self.tasks |= dict(zip(names, tasks, strict=True))
        self.jobs |= dict.fromkeys(names, "PENDING")
        return names

    def states(self, jobs) -> dict[str, str]:
        return {job: self.jobs[job] for job in jobs if job in self.jobs}

    def run(self, *jobs: str) -> None:
        """Run these, or all that are pending."""
        for job in jobs or [job for job, state in self.jobs.items() if state == "PENDING"]:
            try:
                self.tasks[job]()
                self.jobs[job] = "COMPLETED"
            except Exception:
                self.jobs[job] = "FAILED"


class Script:
    """`should_leave` that does a step of a story at every look, and leaves after the last."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    def __call__(self) -> bool:
        if not self._steps:
            return True
        self._steps.pop(0)()
        return False


def run_all(cells, out: Path, cluster, *story, **how) -> tuple[Outcome, Heard]:
    """Launch; a step of the story before every look."""
    heard = Heard()
    how = {"pace": AT_ONCE, "threads": 1, **how}
    leave = Script(*story)
    return launch(cells, out, queue=cluster, listener=heard, should_leave=leave, **how), heard


def program(folder: Path, name: str, script: str) -> Path:
    """An executable shell script, as `sbatch` or `squeue`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def first_on_path(monkeypatch, folder: Path) -> None:
    """Programs of this folder come before those of the machine."""
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def descendants(pid: int) -> list[int]:
    """Processes below one."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found
