"""Scores of what is found without the classes: a k-means clustering, and every point's nearest others.

Both are found once, on all points, and held fixed in the resamples.

Legend: R resamples, N points, C classes, P patients, K clusters or neighbours.
"""

import numpy as np
from jaxtyping import Float, Integer

from dacl.analysis.clusters.labelled_points import (
    Labelled,
    Resampled,
    undefined_is_nan,
    weighted_sums,
)

KMEANS_STARTS = 10


def kmeans(of: Labelled, seed: int) -> Integer[np.ndarray, "N"]:
    """Cluster of every point, as many clusters as classes present; the best of 10 starts."""
    from sklearn.cluster import KMeans

    k = min(len(np.unique(of.class_N)), len(np.unique(of.points_ND, axis=0)))
    fitted = KMeans(k, n_init=KMEANS_STARTS, random_state=seed).fit(of.points_ND)
    return fitted.labels_.astype(np.int64)


@undefined_is_nan
def v_measure(
    of: Labelled, cluster_N: Integer[np.ndarray, "N"], weights_RP: Float[np.ndarray, "R P"]
) -> dict[str, Resampled]:
    """V-measure, homogeneity and completeness of a clustering, from its contingency tables by patient."""
    table_CPK = of.sums(np.eye(int(cluster_N.max()) + 1)[cluster_N])
    table_RCK = weighted_sums(weights_RP, table_CPK)
    total_R = table_RCK.sum(axis=(1, 2))

    def entropy(counts_RX: np.ndarray) -> np.ndarray:
        share_RX = counts_RX / total_R[:, None]
        return -np.where(share_RX > 0, share_RX * np.log(share_RX), 0).sum(axis=1)

    of_class_R, of_cluster_R = entropy(table_RCK.sum(axis=2)), entropy(table_RCK.sum(axis=1))
    shared_R = of_class_R + of_cluster_R - entropy(table_RCK.reshape(len(table_RCK), -1))
    # Of one class alone nothing can be said; of one cluster alone, that it is complete.
    homogeneity_R = shared_R / np.where(of_class_R > 0, of_class_R, np.nan)
    completeness_R = np.where(of_cluster_R > 0, shared_R / of_cluster_R, 1.0)
    completeness_R = np.where(of_class_R > 0, completeness_R, np.nan)
    both_R = homogeneity_R + completeness_R
    v_R = np.where(both_R == 0, 0.0, 2 * homogeneity_R * completeness_R / both_R)
    return {
        "v_measure": Resampled(v_R),
        "homogeneity": Resampled(homogeneity_R),
        "completeness": Resampled(completeness_R),
    }


@undefined_is_nan
def purity(
    nearest_NK: Integer[np.ndarray, "N K"],
    of: Labelled,
    count_CP: Float[np.ndarray, "C P"],
    weights_RP: Float[np.ndarray, "R P"],
) -> Resampled:
    """Share of a point's nearest others that are of its class."""
    lone = len(np.unique(of.class_N)) < 2 or nearest_NK.shape[1] == 0
    share_N = (of.class_N[nearest_NK] == of.class_N[:, None]).sum(axis=1) / nearest_NK.shape[1]
    total_RC = weights_RP @ of.sums(share_N).T
    count_RC = weights_RP @ count_CP.T
    total_RC[:] = np.nan if lone else total_RC
    return Resampled(total_RC.sum(axis=1) / count_RC.sum(axis=1), total_RC / count_RC)
