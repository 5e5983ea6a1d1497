"""Run parts, each in a fresh process, and write `benchmarks/out/bench.json` and `bench.md`.

python -m benchmarks [PART ...] [--quick] [--allocator default] [--fresh]
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cache import OUT, Cache, cpu_model
from benchmarks.child import ALLOCATORS, ROOT, environment
from benchmarks.table import markdown

RESULTS = Path(__file__).parent / "results"
PARTS = ("preparing", "loading", "step", "compiled", "density", "validation", "metrics", "clusters")


def main(argv: list[str] | None = None) -> int:
    """Run the parts asked for; 1 if one of them failed, never because a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--allocator", choices=ALLOCATORS, default="no-mmap")
    parser.add_argument("--threads", type=int, help="of parts that use every core")
    parser.add_argument("--fresh", action="store_true", help="measure cached references anew")
    parser.add_argument("--save", metavar="NAME", help="keep both files as benchmarks/results/NAME")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--here", metavar="PART", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.here:
        return _part(given.here, given)
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}: {', '.join(PARTS)}")
    given.out.mkdir(parents=True, exist_ok=True)
    if given.fresh:
        (given.out / "cache.json").unlink(missing_ok=True)
    failed, records = [], []
    for part in [part for part in PARTS if part in (given.parts or PARTS)]:
        threads = (
            importlib.import_module(f"benchmarks.{part}").THREADS or given.threads or os.cpu_count()
        )
        command = [sys.executable, "-m", "benchmarks", "--here", part, "--out", str(given.out)]
        command += ["--quick"] * given.quick
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=environment(given.allocator, threads))
        print(f"[{part}] {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        if done.returncode:
            failed.append(part)
            continue
        records += json.loads((given.out / f"{part}.json").read_text())
    where = provenance(quick=given.quick)
    result = {"provenance": where, "records": records}
    targets = [given.out / "bench", *([RESULTS / given.save] if given.save else [])]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    table = markdown(records, where)
    for target in targets:
        target.with_suffix(".md").write_text(table)
    print(table)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _part(name: str, given: argparse.Namespace) -> int:
    import torch

    from benchmarks.harness import Bench, use_threads

    use_threads(int(os.environ["OMP_NUM_THREADS"]))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cache = Cache(None if given.quick else given.out / "cache.json")
    bench = Bench(name, quick=given.quick, device=device, cache=cache)
    importlib.import_module(f"benchmarks.{name}").run(bench)
    records = [asdict(record) for record in bench.records]
    (given.out / f"{name}.json").write_text(json.dumps(records, indent=1) + "\n")
    return 0


def provenance(*, quick: bool) -> dict[str, Any]:
    """Where and with what the figures came about."""
    import torch

    versions = {"python": platform.python_version(), "torch": torch.__version__}
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        **gpu,
        **versions,
        **({"sizes": "quick, of no use as figures"} if quick else {}),
        "cpu_flags": _flags(),
    }


def _commit() -> str:
    try:
        told = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        return subprocess.run(
            told, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _flags() -> list[str]:
    """The processor's vector and matrix instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return [flag for flag in flags if flag.startswith(("avx", "amx", "fma"))]


if __name__ == "__main__":
    sys.exit(main())
