"""Surface distances of two masks, as medpy 0.5.2 defines them.

The surface of a mask is its voxels with at least one of the six face neighbours outside it; what
lies beyond the volume counts as outside. With A the distances from every surface voxel of the
prediction to the nearest surface voxel of the reference, and B the reverse:

    ASD  = mean(A)                 one-directional: ASD(p, t) != ASD(t, p)
    ASSD = mean(A and B pooled)    medpy 0.4.0 averaged the two means instead
    HD95 = 95th percentile of A and B pooled
                                   MONAI and surface-distance take the larger of two percentiles

Both units come from one extraction of the surfaces.
Shape legend: Z slices, H rows, W columns, N surface voxels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from dacl.metrics.nearest import REACH, Spacing, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """ASD, ASSD and HD95 of one pair of masks, all >= 0, in the unit of the spacing given."""

    asd: float
    assd: float
    hd95: float


def surface(mask_ZHW: Bool[np.ndarray, "Z H W"]) -> Bool[np.ndarray, "Z H W"]:
    """Voxels of the mask with a face neighbour outside it; the volume's edge is surface too."""
    padded = np.pad(mask_ZHW, 1)
    inside = mask_ZHW.copy()
    for axis in range(3):
        for start in (0, 2):
            window = [slice(1, -1)] * 3
            window[axis] = slice(start, start + mask_ZHW.shape[axis])
            inside &= padded[tuple(window)]
    return mask_ZHW & ~inside


def surface_distances(
    pred_ZHW: Bool[np.ndarray, "Z H W"],
    truth_ZHW: Bool[np.ndarray, "Z H W"],
    spacings: tuple[Spacing, ...] = ((1.0, 1.0, 1.0),),
) -> tuple[Distances, ...]:
    """One `Distances` per spacing (z, y, x); spacing 1 gives voxels.

    Raises:
        ValueError: a mask is empty. Distances to nothing are a matter of `conventions`.
    """
    if not (pred_ZHW.any() and truth_ZHW.any()):
        raise ValueError("surface distances need two masks that are not empty")
    # Nothing outside the union's box is foreground, so cropping to it changes neither surface nor
    # distance: `surface` takes what lies beyond the crop as outside the mask, which it is.
    box = _bounding_box(pred_ZHW | truth_ZHW)
    pred_surface, truth_surface = (
        np.pad(surface(mask_ZHW[box]), REACH) for mask_ZHW in (pred_ZHW, truth_ZHW)
    )
    return tuple(
        _summarize(
            nearest(pred_surface, truth_surface, spacing),
            nearest(truth_surface, pred_surface, spacing),
        )
        for spacing in spacings
    )


def _summarize(there_N: np.ndarray, back_N: np.ndarray) -> Distances:
    pooled = np.concatenate((there_N, back_N))
    return Distances(
        asd=float(there_N.mean()),
        assd=float(pooled.mean()),
        hd95=float(np.percentile(pooled, 95)),
    )


def _bounding_box(mask_ZHW: np.ndarray) -> tuple[slice, ...]:
    used_ZH, used_HW = np.any(mask_ZHW, axis=2), np.any(mask_ZHW, axis=0)
    box = []
    for used in (used_ZH.any(axis=1), used_HW.any(axis=1), used_HW.any(axis=0)):
        at = np.flatnonzero(used)
        box.append(slice(int(at[0]), int(at[-1]) + 1))
    return tuple(box)
