"""What the contrast costs: time of a DACL step as a ratio to a CPS step, interleaved in one process.

    OMP_NUM_THREADS=2 python benchmarks/step.py

Random images; the labels are a disc in a ring, so that every class has about as many reliable pixels as a heart.
"""

import argparse
import statistics
import time

import torch

from dacl.config import resolve
from dacl.methods import METHODS, Batch
from dacl.presets import PRESETS
from dacl.training.device import has_fast_bf16, peak_memory_mb, pick_device


def labels(count: int, side: int) -> torch.Tensor:
    """int64 (count, side, side): a disc, a ring around it and a smaller disc beside them."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    radius = ((y - side / 2) ** 2 + (x - side / 2) ** 2).sqrt() / side
    beside = ((y - side / 2) ** 2 + (x - side / 5) ** 2).sqrt() / side
    classes = torch.zeros(side, side, dtype=torch.long)
    classes[beside < 0.1] = 1
    classes[radius < 0.15] = 2
    classes[radius < 0.1] = 3
    return classes.repeat(count, 1, 1)


def main() -> None:
    """Print the median of each and the median of the pairwise ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    device = pick_device(given.device)
    methods, optimizers = {}, {}
    for name in ("cps", "dacl"):
        config = resolve(given.preset, {"method": name})
        methods[name] = METHODS[name](config, 1, 4).to(device)
        methods[name].bf16 = has_fast_bf16(device)
        optimizers[name] = torch.optim.SGD(methods[name].parameters(), lr=0.01, momentum=0.9)
    optim, side = config.optim, config.image.patch_size
    truth = labels(optim.batch_labeled, side).to(device)
    images = torch.randn(optim.batch_labeled + optim.batch_unlabeled, 1, side, side, device=device)
    images[: len(truth), 0] += truth

    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(3 + given.rounds):
        for name, method in methods.items():
            start = time.perf_counter()
            terms = method.losses(Batch(images, truth), optim.steps // 2 + turn)
            optimizers[name].zero_grad()
            terms.total.backward()
            optimizers[name].step()
            method.after_step(turn)
            terms.total.item()
            if turn >= 3:  # the first rounds fill the banks and warm up
                seconds[name].append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(seconds["cps"], seconds["dacl"], strict=True)]
    for name, times in seconds.items():
        print(f"{name}: median {1000 * statistics.median(times):.0f} ms")
    print(
        f"dacl / cps: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f} "
        f"({given.preset}, {device}, {torch.get_num_threads()} threads, "
        f"peak memory of both {peak_memory_mb(device):.0f} MB)"
    )


if __name__ == "__main__":
    main()
