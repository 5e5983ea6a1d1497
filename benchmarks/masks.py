"""Masks to judge: hearts of ACDC's size, abdomens of 13 organs, and predictions that err as trained networks do."""

import numpy as np
from scipy import ndimage

HEART = (10, 216, 256)
HEART_MM = (10.0, 1.5, 1.5)
HEART_CLASSES = ("background", "RV", "Myo", "LV")
ABDOMEN = (150, 512, 512)
ABDOMEN_MM = (3.0, 0.8, 0.8)
SMALLEST_ORGAN, LARGEST_ORGAN = 1_800, 1_200_000
"""Voxels at (150, 512, 512): an adrenal gland and a liver."""


def heart(rng: np.random.Generator, shape: tuple[int, int, int] = HEART) -> np.ndarray:
    """Ventricles that taper towards the apex: 1 right ventricle, 2 myocardium, 3 left ventricle."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    scale = shape[1] / HEART[1]
    cy, cx = rng.uniform(90 * scale, 130 * scale, 2)
    radius = rng.uniform(20, 26) * scale * np.sqrt(np.clip(1 - (z - 2) / (shape[0] - 1), 0.15, 1))
    r_left = np.hypot(y - cy, x - cx)
    r_right = np.hypot((y - cy) / 1.3, x - cx + 1.5 * radius)
    label = np.zeros(shape, np.uint8)
    label[np.broadcast_to(r_right < 1.1 * radius, shape)] = 1
    label[np.broadcast_to(r_left < 1.35 * radius, shape)] = 2
    label[np.broadcast_to(r_left < radius, shape)] = 3
    return label


def abdomen(rng: np.random.Generator, n_organs: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Ellipsoids that do not touch, their volumes from the largest to the smallest organ in equal steps of ratio."""
    share = np.prod(shape) / np.prod(ABDOMEN)
    volumes = np.maximum(30, np.geomspace(LARGEST_ORGAN, SMALLEST_ORGAN, n_organs) * share)
    label = np.zeros(shape, np.uint8)
    zyx = np.ogrid[: shape[0], : shape[1], : shape[2]]
    stretch = np.array([0.3, 1.0, 1.0]) if shape[0] < shape[1] else np.ones(3)
    for organ, volume in enumerate(volumes, start=1):
        axes = stretch * rng.uniform(0.8, 1.2, 3)
        radii = axes * (volume / (4 / 3 * np.pi * axes.prod())) ** (1 / 3)
        for _ in range(1000):
            centre = np.array(
                [rng.uniform(r + 3, n - r - 4) for r, n in zip(radii, shape, strict=True)]
            )
            inside = (
                sum(((a - c) / r) ** 2 for a, c, r in zip(zyx, centre, radii, strict=True)) <= 1
            )
            if not label[inside].any():
                label[inside] = organ
                break
        else:
            raise ValueError(f"no room for organ {organ} in {shape}")
    return label


def prediction(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The reference a little moved, its slices grown or shrunk at random, with small islands; no class is lost."""
    moved = np.roll(truth, rng.integers(-2, 3, 2), axis=(1, 2))
    pred = moved.copy()
    for z in range(len(pred)):
        change = rng.integers(3)
        if change:
            pred[z] = (ndimage.grey_dilation, ndimage.grey_erosion)[change - 1](pred[z], (3, 3))
    for _ in range(3):
        z, y, x = (rng.integers(0, max(1, n - 8)) for n in truth.shape)
        pred[z, y : y + 6, x : x + 6] = rng.integers(1, truth.max() + 1)
    for label in set(np.unique(truth)) - set(np.unique(pred)):
        pred[moved == label] = label
    return pred


def scattered(rng: np.random.Generator, n_classes: int, shape: tuple[int, int, int]) -> np.ndarray:
    """One voxel in a hundred, of any class, as a network predicts in its first steps: the worst case for a crop."""
    return np.where(rng.random(shape) < 0.01, rng.integers(1, n_classes, shape), 0).astype(np.uint8)
