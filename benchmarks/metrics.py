"""Speed of the metrics as a ratio to medpy 0.5.2, both timed in this one process.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py            (needs the extra `oracle`)

Masks: hearts of ACDC's size, 10 x 216 x 256, three classes; a prediction is the reference moved,
grown, shrunk and sprinkled with islands, so that its errors are those of a trained network; then the
worst case for a crop, a prediction scattered over the volume.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from dacl.metrics.conventions import CONVENTIONS, METRICS, score_volume

SHAPE = (10, 216, 256)
SPACING_MM = (10.0, 1.5, 1.5)
CLASSES = ("background", "RV", "Myo", "LV")
N_VOLUMES = 8


def heart(rng: np.random.Generator) -> np.ndarray:
    """Ventricles that taper towards the apex."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    cy, cx = rng.uniform(90, 130, 2)
    radius = rng.uniform(20, 26) * np.sqrt(np.clip(1 - (z - 2) / 9, 0.15, 1))
    r_left = np.hypot(y - cy, x - cx)
    r_right = np.hypot((y - cy) / 1.3, x - cx + 1.5 * radius)
    label = np.zeros(SHAPE, np.uint8)
    label[np.broadcast_to(r_right < 1.1 * radius, SHAPE)] = 1
    label[np.broadcast_to(r_left < 1.35 * radius, SHAPE)] = 2
    label[np.broadcast_to(r_left < radius, SHAPE)] = 3
    return label


def prediction(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The reference a little moved, its slices grown or shrunk at random, with small islands."""
    pred = np.roll(truth, rng.integers(-2, 3, 2), axis=(1, 2))
    for z in range(len(pred)):
        change = rng.integers(3)
        if change:
            pred[z] = (ndimage.grey_dilation, ndimage.grey_erosion)[change - 1](pred[z], 3)
    for _ in range(3):
        z, y, x = (rng.integers(0, n - 8) for n in SHAPE)
        pred[z : z + 1, y : y + 6, x : x + 6] = rng.integers(1, 4)
    return pred


def ours(pred: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """All eight numbers per class."""
    scores = score_volume(
        pred, truth, CLASSES, spacing_mm=SPACING_MM, convention=CONVENTIONS["ssl4mis"]
    )
    return np.array([[getattr(score, metric) for metric in METRICS] for score in scores])


def timed(measure: Callable[..., np.ndarray], pairs: list) -> tuple[float, np.ndarray]:
    """Seconds for all pairs, and the numbers."""
    start = time.perf_counter()
    found = np.stack([measure(*pair) for pair in pairs])
    return time.perf_counter() - start, found


def main() -> int:
    """Print one line per set of masks and reference."""
    try:
        from medpy.metric import binary
    except ImportError:
        print("medpy is not installed: pip install 'dacl[oracle]'", file=sys.stderr)
        return 1

    def medpy_all(pred: np.ndarray, truth: np.ndarray) -> np.ndarray:
        rows = []
        for label in range(1, len(CLASSES)):
            p, t = pred == label, truth == label
            distances = [
                f(p, t, spacing)
                for spacing in (None, SPACING_MM)
                for f in (binary.asd, binary.assd, binary.hd95)
            ]
            rows.append([binary.dc(p, t), binary.jc(p, t), *distances])
        return np.array(rows)

    def medpy_ssl4mis(pred: np.ndarray, truth: np.ndarray) -> np.ndarray:
        functions = (binary.dc, binary.jc, binary.asd, binary.hd95)
        masks = [(pred == label, truth == label) for label in range(1, len(CLASSES))]
        return np.array([[f(p, t) for f in functions] for p, t in masks])

    rng = np.random.default_rng(0)
    truths = [heart(rng) for _ in range(N_VOLUMES)]
    scattered = [
        np.where(rng.random(SHAPE) < 0.01, rng.integers(1, 4, SHAPE), 0).astype(np.uint8)
        for _ in range(2)
    ]
    sets = {
        f"{N_VOLUMES} hearts": [(prediction(truth, rng), truth) for truth in truths],
        "2 scattered": list(zip(scattered, truths, strict=False)),
    }
    ours(*sets["2 scattered"][0])  # loads what is loaded on first use
    for name, pairs in sets.items():
        seconds, found = timed(ours, pairs)
        print(f"{name}: dacl, all 8 numbers per mask: {seconds:.2f} s")
        for what, measure in (
            ("medpy, the same 8 numbers", medpy_all),
            ("medpy, Dice JC ASD HD95 in voxels", medpy_ssl4mis),
        ):
            reference_seconds, reference = timed(measure, pairs)
            line = f"{what}: {reference_seconds:.2f} s, {reference_seconds / seconds:.1f} x dacl"
            if reference.shape == found.shape:
                line += f", largest difference {np.abs(reference - found).max():.1e}"
            print(f"    {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
