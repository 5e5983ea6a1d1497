"""Distances between all pairs of points, as sums: what silhouettes of any resample of patients are made of.

Legend: N points, D width of the space, G groups of points, K neighbours.
"""

import itertools

import numpy as np
import torch
from jaxtyping import Float, Integer

ROWS = 256
"""Rows of the distance matrix at once: of 20,000 points 41 MB."""
GROUP = 16
"""Columns that are compared by their smallest first."""


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
        neighbours: K, or N - 1 where there are fewer; 0 saves a quarter of the time.

    Returns:
        The sums, float64, a point's distance to itself being 0; and indices of the K nearest other points.
    """
    # Groups stand together: their sums are then those of runs of columns, seven times cheaper than a product with
    # their one-hot matrix.
    order_N = np.argsort(group_N, kind="stable")
    present, starts = np.unique(group_N[order_N], return_index=True)
    points = torch.from_numpy(points_ND[order_N].astype(np.float64))
    points -= points.mean(dim=0)  # |a|^2 + |b|^2 - 2ab loses digits far from the origin
    squares_N1 = points.square().sum(dim=1, keepdim=True)
    ones_N1 = torch.ones_like(squares_N1)
    # one product is |a|^2 + |b|^2 - 2ab
    left_NE = torch.cat([-2 * points, squares_N1, ones_N1], dim=1)
    right_EN = torch.cat([points, ones_N1, squares_N1], dim=1).T.contiguous()
    runs = [slice(*ends) for ends in itertools.pairwise([*starts.tolist(), len(points)])]
    whole_RN = points.new_empty(ROWS, len(points))
    count = min(neighbours, len(points) - 1)
    sums_NG = np.zeros((len(points), n_groups))
    nearest_NK = np.zeros((len(points), count), np.int64)
    for start in range(0, len(points), ROWS):
        rows_RE = left_NE[start : start + ROWS]
        squared_RN = torch.mm(rows_RE, right_EN, out=whole_RN[: len(rows_RE)])
        # roots to 2 units in the last place, in two thirds of the time of `sqrt_`; 0 stays 0
        distance_RN = squared_RN.clamp_(min=0).rsqrt_().reciprocal_()
        row = torch.arange(len(rows_RE))
        distance_RN[row, start + row] = 0
        back = order_N[start : start + ROWS]
        sums_RG = torch.stack([distance_RN[:, run].sum(dim=1) for run in runs], dim=1)
        sums_NG[back[:, None], present] = sums_RG.numpy()
        if not count:
            continue
        distance_RN[row, start + row] = torch.inf
        nearest_NK[back] = order_N[_nearest(distance_RN, count).numpy()]
    return sums_NG, nearest_NK


def _nearest(distance_RN: torch.Tensor, count: int) -> torch.Tensor:
    """Columns of the `count` smallest of every row, smallest first.

    They lie in the groups with the smallest minima, so most of a row is looked at once.
    """
    groups = distance_RN.shape[1] // GROUP
    if groups <= count:
        return distance_RN.topk(count, largest=False).indices
    grouped_RgG = distance_RN[:, : GROUP * groups].unflatten(1, (GROUP, groups))
    best_RK = grouped_RgG.amin(dim=1).topk(count, largest=False).indices
    column_RX = (best_RK.unsqueeze(1) + groups * torch.arange(GROUP)[:, None]).flatten(1)
    rest_X = torch.arange(GROUP * groups, distance_RN.shape[1])
    column_RX = torch.cat([column_RX, rest_X.expand(len(column_RX), -1)], dim=1)
    place_RK = distance_RN.gather(1, column_RX).topk(count, largest=False).indices
    return column_RX.gather(1, place_RK)


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
