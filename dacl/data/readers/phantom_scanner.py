"""The phantom's scanner: coil, contrast, noise and quantisation between tissue and stored integers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dacl.data.readers.phantom_anatomy import Floats, Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """How the signal becomes numbers."""

    bias: tuple[float, ...]
    coil_gain: float
    coil_depth_mm: float
    gamma: float
    noise: float
    blur_px: float
    slice_gain: float
    peak: int


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Draw one patient's scan."""
    return Scanner(
        bias=tuple(rng.normal(0, [0.25, 0.25, 0.1, 0.15, 0.15]).tolist()),
        coil_gain=rng.uniform(0, 1.8),
        coil_depth_mm=rng.uniform(15, 45),
        gamma=rng.uniform(0.75, 1.35),
        noise=float(np.exp(rng.uniform(np.log(0.01), np.log(0.06)))),
        blur_px=rng.uniform(0.35, 0.75),
        slice_gain=rng.uniform(0, 0.1),
        peak=255 if rng.random() < 0.8 else int(rng.integers(300, 900)),
    )


def scan(
    rng: np.random.Generator, image: Floats, skin_mm: Floats, scanner: Scanner, grid: Grid
) -> NDArray[np.int16]:
    """Return the picture as the scanner stores it: integers from 0 to `scanner.peak`."""
    _, y, x = grid.axes()
    ny, nx = y / np.abs(y).max(), x / np.abs(x).max()
    terms = zip(scanner.bias, (ny, nx, ny * nx, ny**2, nx**2), strict=True)
    gain = np.exp(sum(weight * term for weight, term in terms))
    gain = gain * (1 + scanner.coil_gain * np.exp(-np.maximum(skin_mm, 0) / scanner.coil_depth_mm))
    gain = gain * np.exp(scanner.slice_gain * rng.standard_normal((len(image), 1, 1)))
    seen = gaussian_filter(image * gain.astype(np.float32), (0, scanner.blur_px, scanner.blur_px))
    real, imaginary = rng.standard_normal((2, *grid.shape_ZHW), np.float32) * scanner.noise
    seen = np.hypot(seen + real, imaginary)
    top = np.quantile(seen, 0.999)
    stored = scanner.peak * np.clip(seen / top, 0, 1) ** scanner.gamma
    return np.rint(stored).astype(np.int16)
