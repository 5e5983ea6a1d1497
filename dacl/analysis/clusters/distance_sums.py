"""Distances between all pairs of points, as sums: what silhouettes of any resample of patients are made of.

Legend: N points, D width of the space, G groups of points, K neighbours.
"""

import numpy as np
import torch
from jaxtyping import Float, Integer

ROWS = 256
"""Rows of the distance matrix at once: of 20,000 points 41 MB."""


def euclidean_sums(
    points_ND: Float[np.ndarray, "N D"],
    group_N: Integer[np.ndarray, "N"],
    n_groups: int,
    neighbours: int,
) -> tuple[Float[np.ndarray, "N G"], Integer[np.ndarray, "N K"]]:
    """Sums of Euclidean distances from every point to the points of every group, and every point's nearest others.

    Args:
        points_ND: any scale.
        group_N: group of every point.
        n_groups: G; a group may be empty.
        neighbours: K, or N - 1 where there are fewer.

    Returns:
        The sums, float64, a point's distance to itself being 0; and indices of the K nearest other points.
    """
    # Groups stand together: their sums are then those of runs of columns, seven times cheaper than a product with
    # their one-hot matrix.
    order_N = np.argsort(group_N, kind="stable")
    present, starts = np.unique(group_N[order_N], return_index=True)
    points = torch.from_numpy(points_ND[order_N].astype(np.float64))
    points -= points.mean(dim=0)  # |a|^2 + |b|^2 - 2ab loses digits far from the origin
    squares_N = points.square().sum(dim=1)
    count = min(neighbours, len(points) - 1)
    sums_NG = np.zeros((len(points), n_groups))
    nearest_NK = np.zeros((len(points), count), np.int64)
    for start in range(0, len(points), ROWS):
        rows = points[start : start + ROWS]
        squared = torch.addmm(squares_N, rows, points.T, alpha=-2)
        distance_RN = squared.add_(rows.square().sum(dim=1, keepdim=True)).clamp_(min=0).sqrt_()
        row = torch.arange(len(rows))
        distance_RN[row, start + row] = 0
        back = order_N[start : start + ROWS]
        sums_NG[back[:, None], present] = np.add.reduceat(distance_RN.numpy(), starts, axis=1)
        distance_RN[row, start + row] = torch.inf
        nearest = distance_RN.topk(count, largest=False).indices
        nearest_NK[back] = order_N[nearest.numpy()]
    return sums_NG, nearest_NK


def cosine_sums(
    units_ND: Float[np.ndarray, "N D"], group_N: Integer[np.ndarray, "N"], n_groups: int
) -> Float[np.ndarray, "N G"]:
    """Sums of cosine distances 1 - u.v from every point to the points of every group, with no pair ever looked at.

    The distance is linear in v, so that the sum over a group is its size minus u times the sum of its vectors.

    Args:
        units_ND: vectors of length 1; one of length 0 is at distance 1 from all others.
        group_N: group of every point.
        n_groups: G.
    """
    member_NG = np.eye(n_groups)[group_N]
    sums_NG = member_NG.sum(axis=0) - units_ND @ (units_ND.T @ member_NG)
    own_N = 1 - (units_ND**2).sum(axis=1)  # of a point to itself: 0 unless it has no direction
    sums_NG[np.arange(len(units_ND)), group_N] -= own_N
    return np.maximum(sums_NG, 0)
