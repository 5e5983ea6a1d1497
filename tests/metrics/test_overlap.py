"""Overlap against counting voxel by voxel."""

import numpy as np
import pytest

from dacl.errors import DaclError
from dacl.metrics import overlap


def count_by_hand(pred: np.ndarray, truth: np.ndarray, label: int) -> tuple[float, float]:
    both = either = total = 0
    for p, t in zip(pred.flat, truth.flat, strict=True):
        both += int(p == label and t == label)
        either += int(p == label or t == label)
        total += int(p == label) + int(t == label)
    return (2 * both / total, both / either) if total else (np.nan, np.nan)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_equals_counting_voxel_by_voxel(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    pred = rng.integers(0, 4, (3, 6, 5)).astype(dtype)
    truth = rng.integers(0, 4, (3, 6, 5)).astype(dtype)
    counts = overlap.confusion(pred, truth, 5)
    dice, jaccard = overlap.dice_from_confusion(counts), overlap.jaccard_from_confusion(counts)
    for label in range(5):
        want = count_by_hand(pred, truth, label)
        np.testing.assert_allclose([dice[label], jaccard[label]], want, rtol=0, atol=1e-15)


def test_matrix_is_indexed_truth_then_prediction() -> None:
    truth = np.array([[[0, 1, 1, 2]]], dtype=np.uint8)
    pred = np.array([[[0, 1, 2, 2]]], dtype=np.uint8)
    assert overlap.confusion(pred, truth, 3).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]


def test_class_absent_from_both_is_nan_and_from_one_is_zero() -> None:
    truth = np.array([[[0, 1, 1]]], dtype=np.uint8)
    pred = np.array([[[0, 0, 2]]], dtype=np.uint8)
    dice = overlap.dice_per_class(pred, truth, 4)
    assert dice[1] == 0.0
    assert dice[2] == 0.0
    assert np.isnan(dice[3])


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(DaclError, match="differ in shape"):
        overlap.confusion(np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 3), np.uint8), 2)


@pytest.mark.parametrize("value", [-1, 4])
def test_values_outside_the_classes_are_refused(value: int) -> None:
    bad = np.full((1, 2, 2), value, dtype=np.int16)
    with pytest.raises(DaclError, match=f"holds class {value}"):
        overlap.confusion(bad, np.zeros((1, 2, 2), np.uint8), 4)
