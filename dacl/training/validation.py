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
from dacl.metrics.means import defined_mean
from dacl.metrics.overlap import confusion, dice_from_confusion, dice_per_class
from dacl.ranks import ALONE, Ranks


class Validation(NamedTuple):
    """Vectors with one number in [0, 1] per foreground class; NaN where it is undefined."""

    dice: dict[str, Float[np.ndarray, "C"]]
    """Mean over the volumes where it is defined (a class absent from both masks says nothing), by judged network."""
    precision: dict[str, Float[np.ndarray, "C"]]
    """Of a network's confident pseudo-labels over all volumes; empty where no network teaches another."""
    recall: dict[str, Float[np.ndarray, "C"]]
    """Share of a class's voxels that they cover rightly."""
    agreement: Float[np.ndarray, "C"] | None = None
    """Dice between the masks of two networks over all voxels; None for a method of one."""


class _Counted(NamedTuple):
    """What one volume adds."""

    dice: dict[str, Float[np.ndarray, "C"]]
    right_said_true: dict[str, Int[np.ndarray, "3 C"]]
    together_NN: Int[np.ndarray, "N N"]
    """Confusion of the two networks' masks; zeros for a method of one."""


def validate(
    method: Method,
    dataset: PreparedDataset,
    cases: Sequence[CaseInfo],
    device: torch.device,
    ranks: Ranks = ALONE,
) -> Validation:
    """Judge every network on `cases`, and the pseudo-labels of networks that teach each other.

    Several ranks share the cases out among them, and all learn the outcome.
    """
    own = [_count(method, dataset, case, device) for case in cases[ranks.rank :: ranks.world]]
    by_rank = ranks.gather_objects(own)
    counted = [by_rank[n % ranks.world][n // ranks.world] for n in range(len(cases))]
    shares = {
        name: np.sum([one.right_said_true[name] for one in counted], axis=0)
        for name in _teachers(method)
    }
    together_NN = np.sum([one.together_NN for one in counted], axis=0)
    return Validation(
        {
            name: defined_mean(np.stack([one.dice[name] for one in counted]))
            for name in method.judged
        },
        {name: _share(right, said) for name, (right, said, _) in shares.items()},
        {name: _share(right, true) for name, (right, _, true) in shares.items()},
        dice_from_confusion(together_NN)[1:] if len(shares) == 2 else None,
    )


def _teachers(method: Method) -> tuple[str, ...]:
    return method.network_names if len(method.network_names) > 1 else ()


def _count(
    method: Method, dataset: PreparedDataset, case: CaseInfo, device: torch.device
) -> _Counted:
    n_classes, teachers = len(dataset.class_names), _teachers(method)
    image = method.config.image
    volume = (method, dataset.read_image(case.id), case.spacing_mm, image, device)
    if teachers:
        said = predict_pseudo_labels(*volume, method.config.contrast.phi)
        masks = {name: label.mask_ZHW for name, label in said.items()}
    else:
        said, masks = {}, predict_volume(*volume)
    truth_ZHW = dataset.read_label(case.id)
    together_NN = np.zeros((n_classes, n_classes), np.int64)
    if len(teachers) == 2:
        first_ZHW, second_ZHW = (masks[name] for name in teachers)
        together_NN = confusion(first_ZHW, second_ZHW, n_classes)
    return _Counted(
        {name: dice_per_class(mask, truth_ZHW, n_classes)[1:] for name, mask in masks.items()},
        {name: right_said_true(said[name], truth_ZHW, n_classes) for name in teachers},
        together_NN,
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
