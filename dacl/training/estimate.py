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


def seconds_left(
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
    copied = copy.deepcopy(method)
    step_seconds = _seconds_of_step(copied, feed, device, step)
    validation_seconds = _seconds_of_validation(copied, dataset, val_cases, device)
    if device.type == "cuda":
        del copied  # else its memory would be counted as the run's
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    left = config.optim.steps - step
    return left * step_seconds + left / config.validate_every * validation_seconds


def _seconds_of_step(method: Method, feed: Feed, device: torch.device, step: int) -> float:
    """Median of three steps without the optimizer's part; torch's random numbers stay where they were."""
    # late, so with all terms; not the last step, which is logged whatever log_every is
    late = max(method.config.optim.steps - 2, 0)
    seconds = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for _ in range(4):
            start = time.perf_counter()
            loss = method.losses(feed.batch(step), late).total
            loss.backward()
            loss.item()
            seconds.append(time.perf_counter() - start)
    return median(seconds[1:])  # the first one allocates


def _seconds_of_validation(
    method: Method, dataset: PreparedDataset, cases: Sequence[CaseInfo], device: torch.device
) -> float:
    """Of all cases, by the first of them and its share of the slices; several ranks share the cases out."""
    if not cases:
        return 0.0
    start = time.perf_counter()
    validate(method, dataset, cases[:1], device)
    slices = sum(case.shape_ZHW[0] for case in cases)
    seconds = (time.perf_counter() - start) * slices / cases[0].shape_ZHW[0]
    return seconds / method.ranks.world
