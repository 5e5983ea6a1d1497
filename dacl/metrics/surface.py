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
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

Spacing = tuple[float, float, float]

# A distance transform pays for every voxel of the box, a tree for every voxel it looks up, and
# about this many times more (measured on cardiac and abdominal masks).
BOX_VOXELS_PER_LOOKUP = 8


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
    pred_surface, truth_surface = surface(pred_ZHW[box]), surface(truth_ZHW[box])
    return tuple(
        _summarize(
            _directed(pred_surface, truth_surface, spacing),
            _directed(truth_surface, pred_surface, spacing),
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


def _directed(
    source_ZHW: Bool[np.ndarray, "Z H W"], target_ZHW: Bool[np.ndarray, "Z H W"], spacing: Spacing
) -> Float[np.ndarray, " N"]:
    """Distance of every voxel of `source` to the nearest voxel of `target`."""
    # Voxels that the two surfaces share are at distance 0 and need no look-up.
    apart_N = ~target_ZHW[source_ZHW]
    distances_N = np.zeros(apart_N.size)
    n_lookups = int(apart_N.sum())
    if n_lookups * BOX_VOXELS_PER_LOOKUP > source_ZHW.size:
        distances_N[:] = distance_transform_edt(~target_ZHW, sampling=spacing)[source_ZHW]
    elif n_lookups:
        tree = cKDTree(np.argwhere(target_ZHW) * np.asarray(spacing))
        distances_N[apart_N] = tree.query(np.argwhere(source_ZHW)[apart_N] * np.asarray(spacing))[0]
    return distances_N


def _bounding_box(mask_ZHW: np.ndarray) -> tuple[slice, ...]:
    box = []
    for axis in range(3):
        used = np.flatnonzero(mask_ZHW.any(axis=tuple({0, 1, 2} - {axis})))
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)
