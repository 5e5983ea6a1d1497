"""What Slurm says of jobs, asked from `squeue`: unlike `sacct` it is there on every cluster."""

import os
import subprocess
from collections.abc import Collection

from dacl.errors import DaclError

ENDED = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
})  # fmt: skip
"""States after which a job does not come back by itself; one that is requeued is PENDING."""
TAKEN_AWAY = frozenset({"BOOT_FAIL", "CANCELLED", "NODE_FAIL", "PREEMPTED", "REVOKED", "TIMEOUT"})
"""Ends that say nothing against the cell: the same job would go on."""
RUNNING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"})
PATIENCE_S = 60


class Unreachable(DaclError):
    """Slurm does not answer; it may later."""


def parent(job: str) -> str:
    """`123_4` -> `123`: the array of a task."""
    return job.partition("_")[0]


def squeue(jobs: Collection[str]) -> dict[str, str]:
    """State of each job that Slurm still knows; ended jobs are forgotten after some minutes.

    Args:
        jobs: `123_4` for a task of an array, `123` for a job alone.

    Raises:
        Unreachable: no `squeue` here, or no answer.
    """
    if not jobs:
        return {}
    parents = sorted({parent(job) for job in jobs}, key=int)
    words = [
        "squeue", "--noheader", "--array", "--states=all", "--format=%i|%T",
        f"--jobs={','.join(parents)}",
    ]  # fmt: skip
    try:
        # The user's own formats and filters are no business of ours.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SQUEUE_")}
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=environment
        )
    except FileNotFoundError:
        raise Unreachable(
            f"jobs {', '.join(parents)} of Slurm may hold these cells, and there is no squeue here to ask",
            "type the command on a machine of the cluster",
        ) from None
    except subprocess.TimeoutExpired:
        raise Unreachable(f"squeue does not answer within {PATIENCE_S} s", "try again") from None
    if done.returncode and "Invalid job id" in done.stderr:  # all of them forgotten
        return {}
    if done.returncode:
        raise Unreachable(f"squeue: {done.stderr.strip()}", "try again")
    lines = (line.partition("|") for line in done.stdout.split())
    states = {job: state for job, _, state in lines}
    return {job: states[job] for job in jobs if job in states}
