"""Schedules of loss weights; `step` counts from 0, T is the number of steps of the run."""

import math
from typing import Literal


def gaussian_ramp(step: int, total: int) -> float:
    """exp(-5 (1 - t/T)^2): from e^-5 at step 0 to 1 at step T, flat after (text under Eq. 1)."""
    progress = min(max(step / total, 0.0), 1.0)
    return math.exp(-5.0 * (1.0 - progress) ** 2)


def scheduled(
    schedule: Literal["constant", "ramp"], ceiling: float, step: int, total: int
) -> float:
    """The weight of a term at `step`: `ceiling`, or `ceiling` times the Gaussian ramp."""
    return ceiling * gaussian_ramp(step, total) if schedule == "ramp" else ceiling


def contrast_weight(
    step: int,
    total: int,
    *,
    ceiling: float,
    warmup_fraction: float,
    schedule: Literal["constant", "ramp"] = "ramp",
) -> float:
    """lambda_CL(t): 0 during the warm-up, as scheduled after it (paper: 0.1, T/30, `ramp`)."""
    if step < round(warmup_fraction * total):
        return 0.0
    return scheduled(schedule, ceiling, step, total)
