"""Intensity rules: how stored intensities become what a network sees, applied on reading, channel by channel."""

import re
from collections.abc import Callable

import numpy as np

from dacl.errors import DaclError

_HU = re.compile(r"hu:(-?\d+(?:\.\d+)?):(-?\d+(?:\.\d+)?)")


def _window(low: float, high: float) -> Callable[[np.ndarray], np.ndarray]:
    # A constant image has no contrast to keep: it becomes 0, not NaN.
    return lambda values: (np.clip(values, low, high) - low) / ((high - low) or 1.0)


def minmax(image: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Map the volume's minimum to 0 and its maximum to 1: the published ACDC protocol (SSL4MIS)."""
    return _window(float(image.min()), float(image.max()))


def percentile(image: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Clip at the volume's 0.5th and 99.5th percentile, then map to [0, 1]; as minmax where the two are one value."""
    low, high = np.percentile(image, (0.5, 99.5))
    if low == high:  # nearly all background: clipped there, nothing would be left
        return minmax(image)
    return _window(float(low), float(high))


def zscore(image: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Shift and scale the volume to mean 0 and standard deviation 1."""
    mean, deviation = image.mean(), float(image.std()) or 1.0
    return lambda values: (values - mean) / deviation


RULES: dict[str, Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "minmax": minmax,
    "percentile": percentile,
    "zscore": zscore,
}
"""A rule looks at a volume and answers with what it does to each slice of it. `hu:LOW:HIGH` needs no look."""


def check_rule(rule: str) -> str:
    """Return the rule's name, or raise DaclError that lists the rules."""
    window = _HU.fullmatch(rule)
    if window and float(window[1]) >= float(window[2]):
        raise DaclError(f"intensity rule {rule!r}: the window is empty", "write hu:LOW:HIGH")
    if rule not in RULES and not window:
        known = ", ".join((*RULES, "hu:LOW:HIGH (a window of CT, such as hu:-75:275)"))
        raise DaclError(f"unknown intensity rule {rule!r}", f"choose one of: {known}")
    return rule


def apply(
    rule: str, image_CZHW: np.ndarray, *, slope: float = 1.0, inter: float = 0.0
) -> np.ndarray:
    """Apply a rule to ``image_CZHW * slope + inter``, of any numeric type; float32 of the same shape.

    `hu:LOW:HIGH` clips to [LOW, HIGH] and maps that range to [0, 1], the same for every volume.
    """
    check_rule(rule)
    out_CZHW = np.empty(image_CZHW.shape, np.float32)
    window = _HU.fullmatch(rule)
    for image_ZHW, out_ZHW in zip(image_CZHW, out_CZHW, strict=True):
        if window:
            change = _window(float(window[1]), float(window[2]))
        else:
            change = RULES[rule](_scaled(image_ZHW, slope, inter))
        # Slice by slice: a CT volume in double precision would be several times the volume.
        for z, slice_HW in enumerate(image_ZHW):
            out_ZHW[z] = change(_scaled(slice_HW, slope, inter))
    return out_CZHW


def _scaled(image: np.ndarray, slope: float, inter: float) -> np.ndarray:
    values = image.astype(np.float64)
    return values if (slope, inter) == (1.0, 0.0) else values * slope + inter
