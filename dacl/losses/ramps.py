"""Schedules of loss weights; `step` counts from 0, T is the number of steps of the run."""

import math


def gaussian_ramp(step: int, total: int) -> float:
    """exp(-5 (1 - t/T)^2): from e^-5 at step 0 to 1 at step T, flat after (text under Eq. 1)."""
    progress = min(max(step / total, 0.0), 1.0)
    return math.exp(-5.0 * (1.0 - progress) ** 2)


def contrast_weight(step: int, total: int, *, ceiling: float, warmup_fraction: float) -> float:
    """lambda_CL(t): 0 during the warm-up, ceiling * gaussian_ramp(t, T) after it (paper: 0.1, T/30)."""
    return 0.0 if step < round(warmup_fraction * total) else ceiling * gaussian_ramp(step, total)
