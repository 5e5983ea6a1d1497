"""The training step: beside the field's, in its parts, and what the contrast adds to it."""

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from benchmarks import step_gpu
from benchmarks.field_step import REFERENCE, FieldStep
from benchmarks.harness import AtLeast, AtMost, Bench
from benchmarks.made_steps import Size, batch_of, method_of
from dacl.training.device import has_fast_bf16

THREADS = None
CPU = torch.device("cpu")
PHASES = ("networks and losses", "backward", "update of weights and banks")


class Goal(NamedTuple):
    """How many times as fast as the field CPS must be, and how many times CPS's time DACL may take."""

    fp32: float | None = None
    bf16: float | None = None
    contrast: float | None = None


SMALL, PAPER, ORGANS = Size(8, 128), Size(24, 256), Size(8, 256, 14)
VOLUMES = Size(2, 96, 2, dims=3)
GOALS = {
    SMALL: Goal(1.2, 1.8, 1.15),
    PAPER: Goal(1.5, 3.0, 1.10),
    ORGANS: Goal(contrast=1.25),
    VOLUMES: Goal(bf16=2.3),
}
ROUNDS = {SMALL: 15, PAPER: 4, ORGANS: 5, VOLUMES: 4}
QUICK = {Size(2, 32): Goal(1.2, 1.8, 1.15), Size(2, 32, 2, dims=3): Goal(bf16=2.3)}


def run(bench: Bench) -> None:
    """The CPU's step; on a GPU the whole loop's."""
    if bench.device.type == "cuda":
        step_gpu.run(bench)
        return
    goals = QUICK if bench.quick else GOALS
    if not bench.quick:
        # Processes of their own come first: what this one frees later it keeps.
        _memory(bench, SMALL)
        _memory(bench, PAPER)
        for size, rounds in ((SMALL, 3), (PAPER, 1)):
            bench.under_both_allocators(
                "the field's step: what the allocator alone gives", str(size),
                "benchmarks.step:field_job", *size, unit="ms", rounds=rounds, precision="fp32",
            )  # fmt: skip
    for size, goal in goals.items():
        _beside_the_field(bench, size, goal)
    for size in list(goals)[:2]:
        _parts(bench, size)
    if not bench.quick:
        _kept_for_backward(bench, PAPER)
        _growth(bench)


def _beside_the_field(bench: Bench, size: Size, goal: Goal) -> None:
    jobs: dict[str, Callable[[], Any]] = {
        "field": field_job(*size),
        "fp32": job("cps", "fp32", *size),
    }
    if has_fast_bf16(CPU):
        jobs["bf16"] = job("cps", "bf16", *size)
    if goal.contrast:
        jobs["dacl"] = job("dacl", list(jobs)[-1], *size)
    seconds = bench.interleave(jobs, ROUNDS.get(size, 2), warmup=1)
    targets = {"fp32": goal.fp32, "bf16": goal.bf16}
    for precision in [name for name in targets if name in jobs]:
        least = targets[precision]
        bench.ratio(
            "a step of CPS", str(size), seconds[precision], seconds["field"], against=REFERENCE,
            unit="ms", target=None if least is None else AtLeast(least), precision=precision,
        )  # fmt: skip
    if goal.contrast:
        precision = "bf16" if "bf16" in jobs else "fp32"
        bench.ratio(
            "a step of DACL", str(size), seconds["dacl"], seconds[precision],
            against=f"our own step of CPS, {precision}",
            unit="ms", target=AtMost(goal.contrast), precision=precision,
        )  # fmt: skip


def _parts(bench: Bench, size: Size) -> None:
    """Each method's step, phase by phase."""
    precision = "bf16" if has_fast_bf16(CPU) else "fp32"
    for method in ("supervised", "cps", "dacl"):
        one = Step(method, precision, size)
        rounds = [one.timed() for _ in range(1 + bench.rounds(ROUNDS.get(size, 2)))][1:]
        for phase, name in enumerate(PHASES):
            bench.figure(
                f"a step of {method}: {name}", str(size), [1e3 * found[phase] for found in rounds],
                unit="ms", precision=precision,
            )  # fmt: skip


def _memory(bench: Bench, size: Size) -> None:
    reference = bench.memory("benchmarks.step:field_job", *size).job_mb
    precision = "bf16" if has_fast_bf16(CPU) else "fp32"
    for method in ("cps", "dacl"):
        ours = bench.memory("benchmarks.step:job", method, precision, *size).job_mb
        bench.figure(
            f"peak memory of a step of {method}, as a share of the field's step of CPS", str(size),
            [ours / reference], unit="", target=AtMost(0.5) if method == "cps" else None,
            memory_mb=ours, reference_memory_mb=reference, reference=REFERENCE, precision=precision,
        )  # fmt: skip


def _kept_for_backward(bench: Bench, size: Size) -> None:
    """Counted, not measured: what a step holds between forward and backward, on any device."""
    for method in ("cps", "dacl"):
        for precision in ("fp32", "bf16"):
            kept = kept_mb(Step(method, precision, size))
            bench.figure(
                f"a step of {method}: kept for the backward pass (counted)", str(size), [kept],
                unit="MB", precision=precision,
            )  # fmt: skip


def kept_mb(step: "Step") -> float:
    """Megabytes of the tensors that the losses' graph holds, each storage once, without the weights and the batch."""
    ours = [*step.method.parameters(), *step.method.buffers(), step.batch.images, step.batch.labels]
    known = {tensor.untyped_storage().data_ptr() for tensor in ours}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        terms = step.method.losses(step.batch, 1000)
    del terms
    return sum(kept.values()) / 1e6


def _growth(bench: Bench) -> None:
    """With the classes and with the batch: DACL beside CPS."""
    precision = "bf16" if has_fast_bf16(CPU) else "fp32"
    sizes = [Size(8, 128, classes) for classes in (9, 14)] + [Size(n, 128) for n in (4, 16)]
    for size in sizes:
        seconds = bench.interleave(
            {name: job(name, precision, *size) for name in ("cps", "dacl")}, rounds=5, warmup=2
        )
        bench.ratio(
            "growth: a step of DACL", str(size), seconds["dacl"], seconds["cps"],
            against="our own step of CPS", unit="ms", cost=True, precision=precision,
        )  # fmt: skip


def field_job(images: int, side: int, classes: int, dims: int) -> Callable[[], float]:
    """The field's step on one batch."""
    size = Size(images, side, classes, dims)
    step, batch = FieldStep(method_of("cps", size)), batch_of(size)
    return lambda: step(batch)


def job(
    method: str, precision: str, images: int, side: int, classes: int, dims: int
) -> Callable[[], list[float]]:
    """A step of ours on one batch."""
    return Step(method, precision, Size(images, side, classes, dims)).timed


class Step:
    """A step of ours on one batch, past the warm-up of the contrast, with full banks."""

    def __init__(self, method: str, precision: str, size: Size) -> None:
        self.method, self.batch = method_of(method, size), batch_of(size)
        self.method.bf16 = precision == "bf16"
        self.optimizer = torch.optim.SGD(
            self.method.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4
        )

    def timed(self) -> list[float]:
        """Take the step; seconds of each of PHASES."""
        method, step = self.method, self.method.config.optim.steps // 2 + 1  # no logged step
        clock = [time.perf_counter()]
        terms = method.losses(self.batch, step)
        clock.append(time.perf_counter())
        self.optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        clock.append(time.perf_counter())
        self.optimizer.step()
        method.after_step(step)
        clock.append(time.perf_counter())
        return [after - before for before, after in itertools.pairwise(clock)]
