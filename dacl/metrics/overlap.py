"""Dice and Jaccard from one confusion matrix.

Shape legend: Z slices, H rows, W columns, C classes with background 0.
With n_tp, n_pred, n_truth voxels of a class:
    D = 2 n_tp / (n_pred + n_truth)        J = n_tp / (n_pred + n_truth - n_tp)
A class absent from both masks has neither: NaN, never 0 or 1.
"""

import numpy as np
from jaxtyping import Float, Integer

from dacl.errors import DaclError


def confusion(
    pred_ZHW: Integer[np.ndarray, "Z H W"], truth_ZHW: Integer[np.ndarray, "_ _ _"], n_classes: int
) -> Integer[np.ndarray, "C C"]:
    """Voxel counts, int64, indexed [truth, prediction].

    Raises DaclError where the shapes differ or a value lies outside 0 .. n_classes - 1.
    """
    if pred_ZHW.shape != truth_ZHW.shape:
        raise DaclError(
            f"prediction {pred_ZHW.shape} and reference {truth_ZHW.shape} differ in shape",
            "evaluate on the grid the reference was drawn on",
        )
    for name, mask in (("prediction", pred_ZHW), ("reference", truth_ZHW)):
        low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
        if low < 0 or high >= n_classes:
            raise DaclError(
                f"{name} holds class {low if low < 0 else high}, outside 0..{n_classes - 1}",
                "check the class names of the dataset against those of the model",
            )
    pair = truth_ZHW.ravel().astype(np.intp)
    pair *= n_classes
    pair += pred_ZHW.ravel()
    counts = np.bincount(pair, minlength=n_classes * n_classes).reshape(n_classes, n_classes)
    return counts.astype(np.int64, copy=False)


def dice_from_confusion(confusion_CC: Integer[np.ndarray, "C C"]) -> Float[np.ndarray, " C"]:
    """Dice of every class in [0, 1], NaN where neither mask holds it."""
    n_tp, n_sum = _counts(confusion_CC)
    return np.divide(2.0 * n_tp, n_sum, out=np.full(n_tp.shape, np.nan), where=n_sum > 0)


def jaccard_from_confusion(confusion_CC: Integer[np.ndarray, "C C"]) -> Float[np.ndarray, " C"]:
    """Jaccard of every class in [0, 1], NaN where neither mask holds it."""
    n_tp, n_sum = _counts(confusion_CC)
    return np.divide(n_tp, n_sum - n_tp, out=np.full(n_tp.shape, np.nan), where=n_sum > 0)


def dice_per_class(
    pred_ZHW: Integer[np.ndarray, "Z H W"], truth_ZHW: Integer[np.ndarray, "Z H W"], n_classes: int
) -> Float[np.ndarray, " C"]:
    """Dice of every class of one volume, background first; NaN where both masks lack it."""
    return dice_from_confusion(confusion(pred_ZHW, truth_ZHW, n_classes))


def _counts(confusion_CC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n_tp = np.diag(confusion_CC).astype(np.float64)
    n_sum = (confusion_CC.sum(axis=0) + confusion_CC.sum(axis=1)).astype(np.float64)
    return n_tp, n_sum
