"""Intensity rules: how stored intensities become what a network sees, applied on reading."""

from collections.abc import Callable

import numpy as np

from dacl.errors import DaclError


def _to_unit_range(image: np.ndarray, low: float, high: float) -> np.ndarray:
    # A constant image has no contrast to keep: it becomes 0, not NaN.
    return (np.clip(image, low, high) - low) / ((high - low) or 1.0)


def minmax(image: np.ndarray) -> np.ndarray:
    """Map the volume's minimum to 0 and its maximum to 1: the published ACDC protocol (SSL4MIS)."""
    return _to_unit_range(image, float(image.min()), float(image.max()))


def percentile(image: np.ndarray) -> np.ndarray:
    """Clip at the volume's 0.5th and 99.5th percentile, then map to [0, 1]."""
    low, high = np.percentile(image, (0.5, 99.5))
    return _to_unit_range(image, float(low), float(high))


def zscore(image: np.ndarray) -> np.ndarray:
    """Shift and scale the volume to mean 0 and standard deviation 1."""
    return (image - image.mean()) / (float(image.std()) or 1.0)


RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "minmax": minmax,
    "percentile": percentile,
    "zscore": zscore,
}


def check_rule(rule: str) -> str:
    """Return the rule's name, or raise DaclError that lists the rules."""
    if rule not in RULES:
        raise DaclError(f"unknown intensity rule {rule!r}", f"choose one of: {', '.join(RULES)}")
    return rule


def apply(rule: str, image_ZHW: np.ndarray) -> np.ndarray:
    """Apply a rule to one volume of any numeric type; returns float32 of the same shape."""
    return RULES[check_rule(rule)](image_ZHW.astype(np.float64)).astype(np.float32)
