"""How long a run will take, from a few steps of a copy."""

import copy
import time
from collections.abc import Sequence
from statistics import median

import torch

from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.methods.base import Method
from dacl.training.feed import Feed
from dacl.training.validation import validate


def estimated_seconds(
    method: Method,
    feed: Feed,
    dataset: PreparedDataset,
    val_cases: Sequence[CaseInfo],
    device: torch.device,
    step: int,
) -> float:
    """Median time of three steps on a copy and the time of one validation volume, scaled to what is left.

    Nothing of the run changes. A compiled or replayed step is timed as it is without: on a GPU a run takes less than
    this. All ranks of a run ask together, since their losses need each other.
    """
    config = method.config
    method = copy.deepcopy(method)
    cuda = [device] if device.type == "cuda" else []
    total = config.optim.steps
    seconds = []
    with torch.random.fork_rng(devices=cuda):
        for _ in range(4):
            start = time.perf_counter()
            # late, so with all terms; not the last step, which is logged whatever log_every is
            loss = method.losses(feed.batch(step), max(total - 2, 0)).total
            loss.backward()
            loss.item()
            seconds.append(time.perf_counter() - start)
    step_seconds = median(seconds[1:])  # the first one allocates
    val_seconds = 0.0
    if val_cases:
        case = val_cases[0]
        start = time.perf_counter()
        validate(method, dataset, [case], device)
        slices = sum(case.shape_ZHW[0] for case in val_cases)
        val_seconds = (time.perf_counter() - start) * slices / case.shape_ZHW[0]
        val_seconds /= method.ranks.world  # who share the volumes out
    if device.type == "cuda":
        del method, loss  # the copy is not the run
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    left = total - step
    return left * step_seconds + left / config.validate_every * val_seconds
