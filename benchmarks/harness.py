"""What every part measures with: interleaved rounds, medians with their spread, ratios, targets, memory, a cache.

A part is a module `benchmarks/<part>.py` with

    THREADS = 1                        # or None: every core
    def run(bench: Bench) -> None: ...

and is run in a process of its own, under the allocator and the number of threads that its records name:

    seconds = bench.interleave({"ours": ours, "medpy": medpy}, rounds=7)
    bench.ratio("all metrics", "8 hearts", seconds["ours"], seconds["medpy"], against="medpy 0.5.2", target=AtLeast(20))

Ours and reference alternate, so that a slow minute of the machine falls on both; the ratio is the median of the
ratios of neighbours. A reference of minutes is measured once and kept: see `Bench.cached`.
"""

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from benchmarks.cache import Cache
from benchmarks.child import ALLOCATORS, Memory, allocator_here, in_child

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6}
SETTLE = 0.1
"""Seconds before a job in which the threads of the job before, of another pool, stop waiting actively."""


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A target that a larger number meets: how many times as fast as the reference."""

    value: float

    def met(self, found: float) -> bool:
        """Whether `found` reaches it."""
        return found >= self.value

    def __str__(self) -> str:
        return f">= {self.value:g}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """A target that a smaller number meets: seconds, megabytes, or how many times the reference's time."""

    value: float

    def met(self, found: float) -> bool:
        """Whether `found` stays below it."""
        return found <= self.value

    def __str__(self) -> str:
        return f"<= {self.value:g}"


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the quartiles about it: half of the rounds lie between `low` and `high`."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The median and quartiles of one or more numbers."""
    if len(values) < 2:
        return Spread(*[float(values[0])] * 3)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def quotients(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The median of above / below, round by round; against the median where the one was not measured as often."""
    if len(above) != len(below):
        if len(above) < len(below):
            above = [statistics.median(above)] * len(below)
        else:
            below = [statistics.median(below)] * len(above)
    return spread([a / b for a, b in zip(above, below, strict=True)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One figure. `median`, `low` and `high` are in `unit`, memory in MB above what the set-up held."""

    part: str
    name: str
    size: str
    unit: str
    median: float
    low: float
    high: float
    rounds: int
    reference: str | None = None
    reference_median: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    ratio_of: str | None = None
    """`reference / ours`, how many times as fast; or `ours / reference`, how many times the cost."""
    target: str | None = None
    """What the ratio is held against; the median where there is no ratio."""
    met: bool | None = None
    memory_mb: float | None = None
    reference_memory_mb: float | None = None
    threads: int
    allocator: str
    device: str
    precision: str = ""
    cached_on: str | None = None
    """The day on which a reference of minutes was measured, where that was not today's run."""
    note: str = ""


@dataclass(slots=True)
class Bench:
    """The records of one part; `quick` asks for sizes that end in a second."""

    part: str
    quick: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    cache: Cache = field(default_factory=Cache)
    records: list[Record] = field(default_factory=list)

    def rounds(self, wanted: int) -> int:
        """As many rounds as wanted, or the two that a quick run makes."""
        return 2 if self.quick else wanted

    def say(self, text: str) -> None:
        """A line on stderr: what is being measured now."""
        print(f"[{self.part}] {text}", file=sys.stderr, flush=True)

    def interleave(
        self, jobs: Mapping[str, Callable[[], Any]], rounds: int, warmup: int = 1
    ) -> dict[str, list[float]]:
        """Seconds of every job in every round: a, b, a, b, ... after `warmup` rounds that do not count.

        On a GPU the clock stops when the device has finished.
        """
        seconds: dict[str, list[float]] = {name: [] for name in jobs}
        gc.collect()
        gc.disable()  # what one job left is not collected at the other's cost
        try:
            for turn in range(warmup + self.rounds(rounds)):
                for name, job in jobs.items():
                    if not self.quick:
                        time.sleep(SETTLE)
                    self._synchronize()
                    start = time.perf_counter()
                    job()
                    self._synchronize()
                    if turn >= warmup:
                        seconds[name].append(time.perf_counter() - start)
        finally:
            gc.enable()
        return seconds

    def ratio(
        self,
        name: str,
        size: str,
        ours: Sequence[float],
        reference: Sequence[float],
        *,
        against: str,
        unit: str = "s",
        per: float = 1,
        target: AtLeast | AtMost | None = None,
        cost: bool = False,
        **more: Any,
    ) -> Record:
        """Record seconds of ours beside seconds of a reference.

        Args:
            name: what was measured.
            size: on what.
            ours: seconds by round.
            reference: seconds by round.
            against: the reference's name.
            unit: s, ms or us, alone or per something: `ms / slice`.
            per: the number of those in one round.
            target: of the ratio; `AtMost` turns it from reference / ours into ours / reference.
            cost: turn it also without a target.
            more: further fields of the record.
        """
        costs = cost or isinstance(target, AtMost)
        found = quotients(ours, reference) if costs else quotients(reference, ours)
        return self._add(
            name,
            size,
            [s * _factor(unit) / per for s in ours],
            unit,
            reference=against,
            reference_median=statistics.median(reference) * _factor(unit) / per,
            ratio=found.median,
            ratio_low=found.low,
            ratio_high=found.high,
            ratio_of="ours / reference" if costs else "reference / ours",
            target=None if target is None else str(target),
            met=None if target is None else target.met(found.median),
            **more,
        )

    def figure(
        self,
        name: str,
        size: str,
        values: Sequence[float],
        *,
        unit: str,
        target: AtLeast | AtMost | None = None,
        **more: Any,
    ) -> Record:
        """Record a number without a reference, already in its unit; a target is of its median."""
        return self._add(
            name,
            size,
            values,
            unit,
            target=None if target is None else str(target),
            met=None if target is None else target.met(spread(values).median),
            **more,
        )

    def memory(self, job: str, *args: Any) -> Memory:
        """Peak memory of `job`, as `benchmarks.metrics:abdomen_job`, in a process of its own.

        The function named makes everything ready and returns the callable that is measured; its arguments must be JSON.
        Always under the default allocator: the other keeps what was freed, and memory would not be seen to be taken.
        """
        return in_child(job, *args, allocator="default").memory

    def under_both_allocators(
        self, name: str, size: str, job: str, *args: Any, rounds: int = 3, **more: Any
    ) -> Record:
        """Record what the allocator alone gives: one job, processes with and without mmap in turn.

        The function named makes everything ready and returns the callable, whose median of three calls counts.
        """
        seconds: dict[str, list[float]] = {name: [] for name in ALLOCATORS}
        for _ in range(self.rounds(rounds)):
            for allocator, found in seconds.items():
                found.append(in_child(job, *args, allocator=allocator, calls=4).seconds)
        return self.ratio(
            name,
            size,
            seconds["no-mmap"],
            seconds["default"],
            against="the same under glibc's default allocator",
            **more,
        )

    def cached(
        self, name: str, versions: str, size: str, measure: Callable[[], Any]
    ) -> tuple[Any, str | None]:
        """What `measure` returned, now or in an earlier run on such a machine; and then the day of it.

        Kept by name, versions of what is measured, size, CPU model, threads and allocator. The result must be JSON.
        """
        key = (name, versions, size, f"{torch.get_num_threads()} threads", allocator_here())
        return self.cache.get(key, measure)

    def _add(self, name: str, size: str, values: Sequence[float], unit: str, **more: Any) -> Record:
        found = spread(values)
        more.setdefault("device", self.device.type)
        record = Record(
            part=self.part,
            name=name,
            size=size,
            unit=unit,
            **asdict(found),
            rounds=len(values),
            threads=torch.get_num_threads(),
            allocator=allocator_here(),
            **more,
        )
        self.records.append(record)
        ratio = "" if record.ratio is None else f", {record.ratio:.3g} x ({record.ratio_of})"
        met = (
            ""
            if record.met is None
            else f", target {record.target}: {'met' if record.met else 'MISSED'}"
        )
        self.say(f"{name}, {size}: {found.median:.4g} {unit}{ratio}{met}")
        return record

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _factor(unit: str) -> float:
    return UNITS[unit.partition(" ")[0]]


def use_threads(count: int | None) -> None:
    """Let torch use that many threads, all cores where None; other libraries read the environment."""
    torch.set_num_threads(count or os.cpu_count() or 1)
