"""Validation during training on whole volumes at native resolution: Dice, and how right the pseudo-labels are.

Where two networks teach each other, also how far they agree: the Dice between their masks, all voxels together.
With n_right, n_said, n_true voxels of a class, where a network's probability is above phi for the first two:
    precision = n_right / n_said        recall = n_right / n_true
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.inference.slices import PseudoLabel
from dacl.inference.volumes import predict_pseudo_labels, predict_volume
from dacl.methods.base import Method
from dacl.metrics.overlap import confusion, dice_from_confusion, dice_per_class


class Validation(NamedTuple):
    """Vectors with one number in [0, 1] per foreground class; NaN where it is undefined."""

    dice: dict[str, Float[np.ndarray, "C"]]
    """Mean over volumes, for each judged network."""
    precision: dict[str, Float[np.ndarray, "C"]]
    """Of a network's confident pseudo-labels over all volumes; empty where no network teaches another."""
    recall: dict[str, Float[np.ndarray, "C"]]
    """Share of a class's voxels that they cover rightly."""
    agreement: Float[np.ndarray, "C"] | None = None
    """Dice between the masks of two networks over all voxels; None for a method of one."""


def validate(
    method: Method, dataset: PreparedDataset, cases: Sequence[CaseInfo], device: torch.device
) -> Validation:
    """Judge every network on `cases`, and the pseudo-labels of networks that teach each other."""
    image, phi = method.config.image, method.config.contrast.phi
    n_classes = len(dataset.class_names)
    teachers = method.network_names if len(method.network_names) > 1 else ()
    dice: dict[str, list[np.ndarray]] = {name: [] for name in method.judged}
    counts = {name: np.zeros((3, n_classes - 1), np.int64) for name in teachers}
    together_CC = np.zeros((n_classes, n_classes), np.int64)
    for case in cases:
        volume = (method, dataset.read_image(case.id), case.spacing_mm, image, device)
        if teachers:
            said = predict_pseudo_labels(*volume, phi)
            masks = {name: label.mask_ZHW for name, label in said.items()}
        else:
            said, masks = {}, predict_volume(*volume)
        truth_ZHW = dataset.read_label(case.id)
        for name, mask_ZHW in masks.items():
            dice[name].append(dice_per_class(mask_ZHW, truth_ZHW, n_classes)[1:])
        for name in teachers:
            counts[name] += right_said_true(said[name], truth_ZHW, n_classes)
        if len(teachers) == 2:
            first_ZHW, second_ZHW = (masks[name] for name in teachers)
            together_CC += confusion(first_ZHW, second_ZHW, n_classes)
    return Validation(
        {name: _mean_defined(np.stack(rows)) for name, rows in dice.items()},
        {name: _share(right, said) for name, (right, said, _) in counts.items()},
        {name: _share(right, true) for name, (right, _, true) in counts.items()},
        dice_from_confusion(together_CC)[1:] if len(teachers) == 2 else None,
    )


def right_said_true(
    label: PseudoLabel, truth_ZHW: np.ndarray, n_classes: int
) -> Int[np.ndarray, "3 C"]:
    """Voxels of each foreground class that the network is confidently right about, confident about, and all."""
    unsure = n_classes  # one more class, so that the unsure voxels are counted apart
    sure_ZHW = np.where(label.confident_ZHW, label.mask_ZHW, np.uint8(unsure))
    confusion_CC = confusion(sure_ZHW, truth_ZHW, n_classes + 1)
    table = np.stack([np.diag(confusion_CC), confusion_CC.sum(axis=0), confusion_CC.sum(axis=1)])
    return table[:, 1:unsure]


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over volumes of what is defined, NaN where nothing is: an absent class found nowhere says nothing."""
    defined = ~np.isnan(values)
    return _share(np.where(defined, values, 0).sum(axis=0), defined.sum(axis=0))
