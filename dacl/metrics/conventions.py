"""Scores of one volume under a named convention for masks that are empty.

Dice, Jaccard and distances of two masks that both hold voxels are the same everywhere. Published
tables differ in what they write when a class is missing from one mask or from both, and in what
they average. `strict` is ours:

    both empty -> undefined, left out of the averages and counted
    one empty  -> Dice and Jaccard 0, distances the diagonal of the volume (shape times spacing),
                  counted as missed or spurious

The others are what the evaluation scripts behind published tables do. Where such a script stops
with an error, so does the convention. Their constants carry no unit: the same number stands in the
voxel and the mm columns.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Integer
from scipy.ndimage import find_objects

from dacl.errors import DaclError
from dacl.metrics.nearest import Spacing
from dacl.metrics.overlap import confusion, dice_from_confusion, jaccard_from_confusion
from dacl.metrics.surface import surface_distances

Status = Literal["ok", "missed", "spurious", "undefined"]
DISTANCES = ("asd_vox", "assd_vox", "hd95_vox", "asd_mm", "assd_mm", "hd95_mm")
METRICS = ("dice", "jc", *DISTANCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One class of one volume; Dice and Jaccard in [0, 1].

    NaN: undefined under the convention, or millimetres where the spacing is unknown.
    """

    class_name: str
    dice: float
    jc: float
    asd_vox: float
    assd_vox: float
    hd95_vox: float
    asd_mm: float
    assd_mm: float
    hd95_mm: float
    status: Status


@dataclass(frozen=True, slots=True)
class Fill:
    """What is written when a mask is empty; a distance of None is the volume's diagonal."""

    dice: float
    distance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """A rule for empty masks and the unit of averaging; no `Fill` stops the evaluation."""

    name: str
    says: str
    missed: Fill | None
    spurious: Fill | None
    undefined: Fill | None
    averaging: Literal["patients", "volumes"] = "volumes"


_LEFT_OUT = Fill(math.nan, math.nan)

CONVENTIONS: dict[str, Convention] = {
    "strict": Convention(
        name="strict",
        says="both empty: undefined, counted; one empty: Dice 0, distance = the volume's diagonal",
        missed=Fill(0.0, None),
        spurious=Fill(0.0, None),
        undefined=_LEFT_OUT,
        averaging="patients",
    ),
    # HiLab-git/SSL4MIS code/test_2D_fully.py hands every pair to medpy: it raises on empty masks.
    "ssl4mis": Convention(
        name="ssl4mis",
        says="an empty mask: stops",
        missed=None,
        spurious=None,
        undefined=None,
    ),
    # ycwu1997/MC-Net code/test_2d.py (SS-Net and BCP alike): zeros, distances too, when the
    # prediction lacks the class, whether or not the reference has it; else medpy, which raises.
    "mcnet": Convention(
        name="mcnet",
        says="prediction empty: Dice 0, distance 0; only the reference empty: stops",
        missed=Fill(0.0, 0.0),
        spurious=None,
        undefined=Fill(0.0, 0.0),
    ),
    # xmed-lab/DHC code/evaluate_Ntimes.py: both empty earns 1 on a scale of 0 to 100.
    "dhc": Convention(
        name="dhc",
        says="one empty: Dice 0, distance 128; both empty: Dice 0.01, distance 0",
        missed=Fill(0.0, 128.0),
        spurious=Fill(0.0, 128.0),
        undefined=Fill(0.01, 0.0),
    ),
    # Beckschen/TransUNet utils.py: a false positive on an absent organ earns Dice 1.
    "transunet": Convention(
        name="transunet",
        says="only the reference empty: Dice 1, distance 0; prediction empty: Dice 0, distance 0",
        missed=Fill(0.0, 0.0),
        spurious=Fill(1.0, 0.0),
        undefined=Fill(0.0, 0.0),
    ),
}


def convention_named(name: str) -> Convention:
    """The convention of that name.

    Raises:
        DaclError: there is none.
    """
    if name not in CONVENTIONS:
        raise DaclError(f"unknown convention {name!r}", f"conventions: {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def score_volume(
    pred_ZHW: Integer[np.ndarray, "Z H W"],
    truth_ZHW: Integer[np.ndarray, "Z H W"],
    class_names: tuple[str, ...],
    *,
    spacing_mm: Spacing | None,
    convention: Convention,
) -> tuple[Score, ...]:
    """Scores of every foreground class; class_names[0] is the background.

    Raises:
        DaclError: shapes or class values that do not fit, or an empty mask that the convention
            has no value for.
    """
    n_classes = len(class_names)
    counts_CC = confusion(pred_ZHW, truth_ZHW, n_classes)
    dice_C, jc_C = dice_from_confusion(counts_CC), jaccard_from_confusion(counts_CC)
    n_truth_C, n_pred_C = counts_CC.sum(axis=1), counts_CC.sum(axis=0)
    pred_boxes = find_objects(pred_ZHW, n_classes - 1)
    truth_boxes = find_objects(truth_ZHW, n_classes - 1)
    scores = []
    for label in range(1, n_classes):
        status = _status(int(n_pred_C[label]), int(n_truth_C[label]))
        if status == "ok":
            box = _union(pred_boxes[label - 1], truth_boxes[label - 1])
            distances = _distances(pred_ZHW[box] == label, truth_ZHW[box] == label, spacing_mm)
            dice, jc = float(dice_C[label]), float(jc_C[label])
        else:
            fill: Fill | None = getattr(convention, status)
            if fill is None:
                raise DaclError(
                    f"class {class_names[label]!r} is {_WHERE_EMPTY[status]}, and the convention "
                    f"{convention.name!r} has no value for that: its script stops there",
                    "use --convention strict, which defines and counts such cases",
                )
            # Where a script prints no Jaccard for its Dice of empty masks, J = D / (2 - D).
            dice, jc = fill.dice, fill.dice / (2 - fill.dice)
            distances = _filled(fill.distance, pred_ZHW.shape, spacing_mm)
        scores.append(
            Score(class_name=class_names[label], dice=dice, jc=jc, status=status, **distances)
        )
    return tuple(scores)


_WHERE_EMPTY: dict[Status, str] = {
    "missed": "absent from the prediction",
    "spurious": "absent from the reference",
    "undefined": "absent from both masks",
}


def _status(n_pred: int, n_truth: int) -> Status:
    if n_pred and n_truth:
        return "ok"
    if n_truth:
        return "missed"
    return "spurious" if n_pred else "undefined"


def _distances(pred: np.ndarray, truth: np.ndarray, spacing_mm: Spacing | None) -> dict[str, float]:
    spacings = ((1.0, 1.0, 1.0),) if spacing_mm is None else ((1.0, 1.0, 1.0), spacing_mm)
    values = dict.fromkeys(DISTANCES, math.nan)
    for unit, found in zip(("vox", "mm"), surface_distances(pred, truth, spacings), strict=False):
        values |= {
            f"asd_{unit}": found.asd,
            f"assd_{unit}": found.assd,
            f"hd95_{unit}": found.hd95,
        }
    return values


def _filled(
    distance: float | None, shape: tuple[int, ...], spacing_mm: Spacing | None
) -> dict[str, float]:
    vox = math.hypot(*shape) if distance is None else distance
    mm = math.nan
    if spacing_mm is not None:
        extent_mm = (n * step for n, step in zip(shape, spacing_mm, strict=True))
        mm = math.hypot(*extent_mm) if distance is None else distance
    return {name: vox if name.endswith("_vox") else mm for name in DISTANCES}


def _union(first: tuple[slice, ...], second: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )
