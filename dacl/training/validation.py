"""Validation during training: Dice on whole volumes at native resolution, the cheap part of an evaluation."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.inference.slices import predict_volume
from dacl.methods.base import Method
from dacl.metrics.overlap import dice_per_class


def validation_dice(
    method: Method, dataset: PreparedDataset, cases: Sequence[CaseInfo], device: torch.device
) -> dict[str, Float[np.ndarray, "C"]]:
    """Mean Dice over volumes of each foreground class, in [0, 1], for each judged network."""
    dice: dict[str, list[np.ndarray]] = {name: [] for name in method.judged}
    for case in cases:
        predicted = predict_volume(
            method, dataset.read_image(case.id), case.spacing_mm, method.config.image, device
        )
        truth_ZHW = dataset.read_label(case.id)
        for name, mask_ZHW in predicted.items():
            dice[name].append(dice_per_class(mask_ZHW, truth_ZHW, len(dataset.class_names))[1:])
    return {name: _mean_defined(np.stack(rows)) for name, rows in dice.items()}


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over volumes of what is defined, NaN where nothing is: an absent class found nowhere says nothing."""
    defined = ~np.isnan(values)
    total, count = np.where(defined, values, 0).sum(axis=0), defined.sum(axis=0)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
