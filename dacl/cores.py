"""The processor cores that this process may use."""

import os


def usable_cores() -> int:
    """Those of its affinity where the system tells it, as Slurm and containers set it; else the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
