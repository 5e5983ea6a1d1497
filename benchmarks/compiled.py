"""What a compiled step adds on a GPU; on a CPU there is nothing to measure, since it does not pay there."""

from benchmarks import step_gpu
from benchmarks.harness import AtLeast, Bench

THREADS = None
MODES: dict[str, step_gpu.Mode] = {
    "tf32, compiled": step_gpu.Mode({"precision": "fp32", "compile": True}, AtLeast(60)),
    "bf16, compiled": step_gpu.Mode({"precision": "bf16", "compile": True}, AtLeast(150)),
}


def run(bench: Bench) -> None:
    """The loop of `step_gpu` with `--compile`, whose first step takes about a minute."""
    if bench.device.type == "cuda":
        step_gpu.run(bench, MODES)
    else:
        bench.say("nothing to measure without a GPU")
