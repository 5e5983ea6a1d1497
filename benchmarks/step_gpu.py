"""The training step on a GPU with the batch it draws and augments; logging, checkpoints and validation come on top."""

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks import made_data
from benchmarks.field_step import REFERENCE, FieldStep
from benchmarks.harness import AtLeast, AtMost, Bench, quotients
from benchmarks.made_steps import Size, batch_of, method_of
from dacl.config import resolve
from dacl.data.prepared import PreparedDataset
from dacl.methods import Batch
from dacl.training.loop import Trainer

STEPS = 50
"""Of a round, and before the first: a step is captured once a logged one has been."""


class Mode(NamedTuple):
    """Settings of a run, and the steps per second that DACL is to reach with them."""

    settings: dict[str, Any]
    target: AtLeast | None = None


MODES = {
    "tf32": Mode({"precision": "fp32"}, AtLeast(60)),
    "bf16, kernel by kernel": Mode({"precision": "bf16", "cuda_graph": False}),
    "bf16": Mode({"precision": "bf16"}),
}
SIZE = Size(24, 256)
PAPER = "12+12 x 256x256, 4 classes"


def run(bench: Bench, modes: dict[str, Mode] = MODES) -> None:
    """The field's step on a batch that lies there; CPS and DACL in every mode, drawing and augmenting included."""
    device = {"device": torch.cuda.get_device_name()}
    with tempfile.TemporaryDirectory() as folder:
        dataset = made_data.write_prepared(
            Path(folder) / "data", 10 if bench.quick else made_data.ACDC_VOLUMES, small=bench.quick
        )
        field, field_mb = _field(bench.rounds(5))
        bench.figure(
            f"cps, {REFERENCE}; no data", PAPER, field, unit="steps / s", precision="tf32",
            memory_mb=field_mb, **device,
        )  # fmt: skip
        for mode, (settings, target) in modes.items():
            rates: dict[str, list[float]] = {}
            for method in ("cps", "dacl"):
                bench.say(f"{method}, {mode}")
                rates[method], first, peak = _ours(
                    method, settings, dataset, Path(folder), bench.rounds(5)
                )
                bench.figure(
                    f"{method}, step with its batch", PAPER, rates[method], unit="steps / s",
                    target=target if method == "dacl" else None, precision=mode,
                    memory_mb=peak, **device,
                    note=f"the first step after {first:.0f} s; memory: all that PyTorch holds",
                )  # fmt: skip
                bench.figure(
                    f"{method}, peak memory, data included", PAPER, [peak], unit="MB",
                    target=AtMost(8000), precision=mode, **device,
                )  # fmt: skip
            bench.figure(
                "cps, times the field's steps", PAPER,
                [quotients(rates["cps"], field).median], unit="", precision=mode, **device,
            )  # fmt: skip
            bench.figure(
                "time of DACL over CPS", PAPER, [quotients(rates["cps"], rates["dacl"]).median],
                unit="", target=AtMost(1.10), precision=mode, **device,
            )  # fmt: skip


def _field(rounds: int) -> tuple[list[float], float]:
    """Steps per second, and the peak memory, MB."""
    _forget()
    step, batch = FieldStep(method_of("cps", SIZE).cuda()), batch_of(SIZE)
    batch = Batch(batch.images.cuda(), batch.labels.cuda())
    rates = _rates(lambda: step(batch), rounds, STEPS // 5)
    return rates, torch.cuda.max_memory_reserved() / 1e6


def _ours(
    method: str, settings: dict[str, Any], dataset: PreparedDataset, folder: Path, rounds: int
) -> tuple[list[float], float, float]:
    """Steps per second, seconds until the first step is done, and the peak memory, MB."""
    _forget()
    config = resolve(
        "paper",
        {
            "method": method,
            "labeled": 3,
            "device": "cuda",
            "contrast": {"warmup_fraction": 0.0},
        },
        settings,
    )
    trainer = Trainer(config, dataset, folder / method)
    trainer.method.train()
    start = time.perf_counter()
    trainer.train_step()
    torch.cuda.synchronize()
    first = time.perf_counter() - start
    rates = _rates(trainer.train_step, rounds, STEPS)
    return rates, first, torch.cuda.max_memory_reserved() / 1e6


def _forget() -> None:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def _rates(step: Callable[[], Any], rounds: int, steps: int) -> list[float]:
    """Steps per second in every round."""
    for _ in range(steps + 2):
        step()
    found = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
        found.append(steps / (time.perf_counter() - start))
    return found
