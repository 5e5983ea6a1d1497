"""The training loop on a GPU: steps per second with everything in it but validation."""

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import made_data
from benchmarks.harness import AtLeast, AtMost, Bench, quotients
from dacl.config import resolve
from dacl.training.loop import Trainer

WARM_UP, STEPS = 30, 100
MODES: dict[str, tuple[dict[str, Any], AtLeast | None]] = {
    "tf32": ({"precision": "fp32"}, AtLeast(60)),
    "bf16": ({"precision": "bf16"}, None),
    "tf32, compiled": ({"precision": "fp32", "compile": True}, None),
    "bf16, compiled": ({"precision": "bf16", "compile": True}, AtLeast(150)),
}
SIZE = "12+12 x 256x256, 4 classes"


def run(bench: Bench) -> None:
    """CPS and DACL in every mode, data drawn and augmented on the device."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = made_data.write_prepared(
            Path(folder) / "data", 10 if bench.quick else made_data.ACDC_VOLUMES, small=bench.quick
        )
        for mode, (values, target) in MODES.items():
            rates: dict[str, list[float]] = {}
            for method in ("cps", "dacl"):
                config = resolve(
                    "paper", {"method": method, "labeled": 3, "device": "cuda"}, values
                )
                trainer = Trainer(config, dataset, Path(folder) / method)
                torch.cuda.reset_peak_memory_stats()
                rates[method] = _steps_per_second(trainer, bench.rounds(5))
                peak = torch.cuda.max_memory_allocated() / 1e6
                bench.figure(
                    f"{method}, training loop", SIZE, rates[method], unit="steps / s",
                    target=target if method == "dacl" else None, precision=mode,
                    device=torch.cuda.get_device_name(), memory_mb=peak,
                )  # fmt: skip
                bench.figure(
                    f"{method}, peak memory of the loop and its data", SIZE, [peak], unit="MB",
                    target=AtMost(8000), precision=mode, device=torch.cuda.get_device_name(),
                )  # fmt: skip
            cost = quotients(rates["cps"], rates["dacl"])
            bench.figure(
                "time of DACL over CPS", SIZE, [cost.median], unit="", target=AtMost(1.10),
                precision=mode, device=torch.cuda.get_device_name(),
            )  # fmt: skip


def _steps_per_second(trainer: Trainer, rounds: int) -> list[float]:
    trainer.method.train()
    for _ in range(WARM_UP):
        trainer.train_step()
    found = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(STEPS):
            trainer.train_step()
        torch.cuda.synchronize()
        found.append(STEPS / (time.perf_counter() - start))
    return found
