"""Scores that stand on class centres and mean directions: Davies-Bouldin, Calinski-Harabasz, compactness, separation.

The centres, and the distances to them, are those of each resample.

Legend: R resamples, N points, C classes, P patients, D width of the space.
"""

import numpy as np
from jaxtyping import Float

from dacl.analysis.clusters.labelled_points import (
    Labelled,
    Resampled,
    defined_mean,
    folded,
    undefined_is_nan,
    weighted_sums,
)

CHUNK = 4_000_000
"""Distances that a chunk of resamples holds at once: 32 MB."""


@undefined_is_nan
def davies_bouldin(
    of: Labelled, count_CP: Float[np.ndarray, "C P"], weights_RP: Float[np.ndarray, "R P"]
) -> Resampled:
    """Davies and Bouldin's index, with the centres and the distances to them of every resample."""
    points_ND = of.points_ND - of.points_ND.mean(axis=0)
    count_RC = weights_RP @ count_CP.T
    centre_RCD = weighted_sums(weights_RP, of.sums(points_ND)) / count_RC[:, :, None]
    spread_RC = np.full_like(count_RC, np.nan)
    for label in np.unique(of.class_N):
        mine = of.class_N == label
        mine_MD, centre_RD = points_ND[mine], centre_RCD[:, label]
        sums_PR = np.zeros((of.n_patients, len(weights_RP)))
        step = max(1, CHUNK // len(mine_MD))
        for start in range(0, len(weights_RP), step):
            block = slice(start, start + step)
            squared_MR = (mine_MD**2).sum(axis=1)[:, None] - 2 * mine_MD @ centre_RD[block].T
            squared_MR += (centre_RD[block] ** 2).sum(axis=1)
            np.add.at(sums_PR[:, block], of.patient_N[mine], np.sqrt(np.maximum(squared_MR, 0)))
        spread_RC[:, label] = (weights_RP.T * sums_PR).sum(axis=0) / count_RC[:, label]
    apart_RCC = np.stack(
        [np.linalg.norm(centre_RCD - one_R1D, axis=2) for one_R1D in _each_class(centre_RCD)],
        axis=2,
    )
    ratio_RCC = (spread_RC[:, :, None] + spread_RC[:, None]) / apart_RCC
    ratio_RCC[:, np.eye(of.n_classes, dtype=bool)] = np.nan
    worst_RC = folded(np.fmax, ratio_RCC)
    return Resampled(defined_mean(worst_RC), worst_RC)


@undefined_is_nan
def calinski_harabasz(
    of: Labelled, count_CP: Float[np.ndarray, "C P"], weights_RP: Float[np.ndarray, "R P"]
) -> Resampled:
    """Variance between classes over variance within; both from sums, so that no point is looked at twice."""
    points_ND = of.points_ND - of.points_ND.mean(axis=0)
    count_RC, sum_RCD = weights_RP @ count_CP.T, weighted_sums(weights_RP, of.sums(points_ND))
    squares_R = weights_RP @ of.sums((points_ND**2).sum(axis=1)).sum(axis=0)
    count_R, classes_R = count_RC.sum(axis=1), (count_RC > 0).sum(axis=1)
    of_centres_R = np.nansum((sum_RCD**2).sum(axis=2) / count_RC, axis=1)
    of_all_R = (sum_RCD.sum(axis=1) ** 2).sum(axis=1) / count_R
    between_R = (of_centres_R - of_all_R) / (classes_R - 1)
    within_R = (squares_R - of_centres_R) / (count_R - classes_R)
    return Resampled(np.where(classes_R > 1, between_R / within_R, np.nan))


@undefined_is_nan
def directional(
    units: Labelled, count_CP: Float[np.ndarray, "C P"], weights_RP: Float[np.ndarray, "R P"]
) -> dict[str, Resampled]:
    """Compactness as in `dacl.contrast.compactness`, and separation; both from sums of directions.

    Of a class with one point compactness says nothing.
    """
    count_RC = weights_RP @ count_CP.T
    mean_RCD = weighted_sums(weights_RP, units.sums(units.points_ND)) / count_RC[:, :, None]
    length_RC = np.linalg.norm(mean_RCD, axis=2)
    compact_RC = np.where(count_CP.sum(axis=1) > 1, length_RC, np.nan)
    centre_RCD = mean_RCD / np.where(length_RC > 0, length_RC, np.nan)[:, :, None]
    distance_RCC = 1 - np.einsum("rcd,red->rce", centre_RCD, centre_RCD)
    distance_RCC[:, np.eye(units.n_classes, dtype=bool)] = np.nan
    nearest_RC = folded(np.fmin, distance_RCC)
    return {
        "compactness": Resampled(defined_mean(compact_RC), compact_RC),
        "separation": Resampled(defined_mean(nearest_RC), nearest_RC),
    }


def _each_class(values_RCD: Float[np.ndarray, "R C D"]) -> list[Float[np.ndarray, "R 1 D"]]:
    return np.split(values_RCD, values_RCD.shape[1], axis=1)
