"""From every voxel of one set to the nearest voxel of another, exactly.

The borders of a mask and of a good prediction lie a voxel or two apart: most nearest voxels are found by looking at the
neighbours in the order of their distance. What is farther away is left to a tree, or, where that is much, to a
distance transform.

Shape legend: Z slices, H rows, W columns, N voxels of the source, K neighbours of a shell.
"""

from functools import cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

Spacing = tuple[float, float, float]

REACH = 2
"""Voxels that the neighbours looked at lie away along an axis."""

# A distance transform pays for every voxel of the box, a tree for every voxel it looks up, and
# about this many times more (measured on cardiac and abdominal masks).
BOX_VOXELS_PER_LOOKUP = 8


def nearest(
    source_ZHW: Bool[np.ndarray, "Z H W"], target_ZHW: Bool[np.ndarray, "Z H W"], spacing: Spacing
) -> Float[np.ndarray, " N"]:
    """Distance of every voxel of `source`, in C order, to the nearest voxel of `target`.

    Args:
        source_ZHW: empty in its outermost `REACH` voxels on every side.
        target_ZHW: likewise; it holds a voxel.
        spacing: (z, y, x); 1 gives voxels.
    """
    at_N = np.flatnonzero(source_ZHW)
    target = target_ZHW.ravel()
    distance_N = np.zeros(at_N.size)
    left = np.flatnonzero(~target[at_N])
    for distance, offsets_K3 in _shells(spacing):
        if not left.size:
            return distance_N
        steps_K = offsets_K3 @ (np.array(source_ZHW.strides) // source_ZHW.itemsize)
        there = target[at_N[left] + steps_K[:, None]].any(axis=0)
        distance_N[left[there]] = distance
        left = left[~there]
    if left.size * BOX_VOXELS_PER_LOOKUP > source_ZHW.size:
        inner = (slice(REACH, -REACH),) * 3
        transform_ZHW = distance_transform_edt(~target_ZHW[inner], sampling=spacing)
        distance_N[left] = transform_ZHW[source_ZHW[inner]][left]
    elif left.size:
        # A tree that is not balanced is built in half the time, and few are looked up.
        points = _points(np.flatnonzero(target), source_ZHW.shape, spacing)
        tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        distance_N[left] = tree.query(_points(at_N[left], source_ZHW.shape, spacing))[0]
    return distance_N


@cache
def _shells(spacing: Spacing) -> tuple[tuple[float, np.ndarray], ...]:
    """Neighbours by distance, the nearest first, as far as there is none nearer beyond `REACH`: (distance, (K, 3))."""
    side = np.arange(-REACH, REACH + 1)
    offsets = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    distances = np.sqrt(((offsets * np.asarray(spacing)) ** 2).sum(axis=1))
    complete = (distances > 0) & (distances < (REACH + 1) * min(spacing))
    return tuple(
        (float(distance), offsets[complete & (distances == distance)])
        for distance in np.unique(distances[complete])
    )


def _points(at_N: np.ndarray, shape: tuple[int, ...], spacing: Spacing) -> np.ndarray:
    return np.stack(np.unravel_index(at_N, shape), axis=1) * np.asarray(spacing)
