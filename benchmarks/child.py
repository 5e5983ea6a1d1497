"""A job in a process of its own: its peak memory, and its time under a named allocator.

glibc gives every large array back to the system when it is freed and asks anew for the next one, page by page; a loop
that allocates the same arrays each round pays for that each round. `no-mmap` keeps them. Both are settings of the
environment that glibc reads when a process starts.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent

NO_MMAP = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
ALLOCATORS: dict[str, dict[str, str]] = {"default": {}, "no-mmap": NO_MMAP}


class Memory(NamedTuple):
    """Megabytes of a process: before the job, at its highest during it, and what is left between the two."""

    before_mb: float
    peak_mb: float
    device_mb: float = 0.0
    """Highest that torch allocated on a GPU during the job."""

    @property
    def job_mb(self) -> float:
        """What the job took at its highest."""
        return self.peak_mb - self.before_mb


class Outcome(NamedTuple):
    """Of one child."""

    seconds: float
    """Median of its calls after the first, or of the one."""
    memory: Memory


def environment(allocator: str, threads: int | None = None) -> dict[str, str]:
    """The environment of a process under that allocator, its libraries on that many threads."""
    variables = {name: value for name, value in os.environ.items() if name not in NO_MMAP}
    variables |= ALLOCATORS[allocator]
    if threads is not None:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        variables |= dict.fromkeys(names, str(threads))
    return variables


def allocator_here() -> str:
    """Name of the allocator that this process was started under."""
    return "no-mmap" if os.environ.get("MALLOC_MMAP_MAX_") == "0" else "default"


def in_child(job: str, *args: Any, allocator: str | None = None, calls: int = 1) -> Outcome:
    """Run `job`, `package.module:function`, in a fresh process: it makes ready and returns the callable measured.

    Args:
        job: where the function is.
        args: its arguments, JSON.
        allocator: this process's where None.
        calls: how often the callable is called.
    """
    told = json.dumps({"job": job, "args": args, "calls": calls})
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", told],
        cwd=ROOT,
        env=environment(allocator or allocator_here()),
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return Outcome(found["seconds"], Memory(*found["memory"]))


def measure(job: str, args: list[Any], calls: int) -> Outcome:
    """Do in this process what `in_child` asks for."""
    module, _, function = job.partition(":")
    work = getattr(importlib.import_module(module), function)(*args)
    gc.collect()
    _give_back()
    before_mb = _now_mb()
    _forget_peak()
    device_mb = 0.0
    torch: Any = sys.modules.get("torch")
    on_gpu = torch is not None and torch.cuda.is_initialized()
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    if on_gpu:
        device_mb = torch.cuda.max_memory_allocated() / 1e6
    return Outcome(
        statistics.median(seconds[1:] or seconds), Memory(before_mb, _peak_mb(), device_mb)
    )


def _give_back() -> None:
    """Return what making ready has freed, or the job would take it up unseen."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _forget_peak() -> None:
    try:  # Linux lets a process begin its high-water mark anew
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _now_mb() -> float:
    return _status_mb("VmRSS") or _peak_mb()


def _peak_mb() -> float:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _status_mb("VmHWM") or kilobytes * (1e-6 if sys.platform == "darwin" else 1e-3)


def _status_mb(field: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(at.split()[1]) * 1.024e-3 for at in lines if at.startswith(field)), None)


if __name__ == "__main__":
    outcome = measure(**json.loads(sys.argv[1]))
    print(json.dumps({"seconds": outcome.seconds, "memory": outcome.memory}))
