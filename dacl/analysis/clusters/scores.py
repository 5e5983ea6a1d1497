"""How far the classes of embedded pixels are apart and how tight they are: what is measured, and all of it in one call.

Legend: R resamples, N points, C classes, P patients, D width of the space.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from dacl.analysis.clusters.agreement import kmeans, purity, v_measure
from dacl.analysis.clusters.centres import calinski_harabasz, davies_bouldin, directional
from dacl.analysis.clusters.distance_sums import cosine_sums, euclidean_sums
from dacl.analysis.clusters.labelled_points import Labelled, Resampled, all_alike, directions
from dacl.analysis.clusters.silhouettes import silhouette

NEIGHBOURS = 10


class Direction(NamedTuple):
    """What a score is called, which way is better, and what it is."""

    heading: str
    higher_is_better: bool
    says: str

    @property
    def arrow(self) -> str:
        """Towards the better."""
        return "↑" if self.higher_is_better else "↓"


SCORES: dict[str, Direction] = {
    "silhouette": Direction(
        "Silhouette", True,
        "Euclidean; (b - a) / max(a, b) with a the mean distance to one's own class and b to the nearest other "
        "(Rousseeuw 1987), mean over points; from -1 to 1",
    ),
    "silhouette_cosine": Direction(
        "Silhouette, cosine", True, "the same of the cosine distance 1 - cos; from -1 to 1"
    ),
    "davies_bouldin": Direction(
        "Davies-Bouldin", False,
        "mean over classes of the worst (s_i + s_j) / d_ij, s the mean distance to the class's centre, d between "
        "centres, Euclidean (Davies and Bouldin 1979); from 0. Of a class: its worst ratio",
    ),
    "calinski_harabasz": Direction(
        "Calinski-Harabasz", True,
        "variance between classes over variance within, each by its degrees of freedom; from 0; grows with the "
        "number of points",
    ),
    "v_measure": Direction(
        "V-measure", True,
        "harmonic mean of homogeneity and completeness of k-means, k the classes present (Rosenberg and Hirschberg "
        "2007); from 0 to 1",
    ),
    "homogeneity": Direction("Homogeneity", True, "whether a cluster holds one class; 0 to 1"),
    "completeness": Direction("Completeness", True, "whether a class lies in one cluster; 0 to 1"),
    "compactness": Direction(
        "Compactness", True,
        "mean cosine of a class's points to their mean direction, mean over classes; from 0 to 1",
    ),
    "separation": Direction(
        "Separation", True,
        "1 - cos between the mean directions of a class and of the other class nearest to it, mean over classes; "
        "from 0 to 2",
    ),
    "knn_purity": Direction(
        "k-NN purity", True,
        f"share of a point's {NEIGHBOURS} nearest other points, Euclidean, that are of its class, mean over points; "
        "from 0 to 1",
    ),
}  # fmt: skip


def class_scores(
    points_ND: Float[np.ndarray, "N D"],
    class_N: Integer[np.ndarray, "N"],
    patient_N: Integer[np.ndarray, "N"],
    weights_RP: Float[np.ndarray, "R P"],
    *,
    n_classes: int,
    seed: int,
    neighbours: int = NEIGHBOURS,
) -> dict[str, Resampled]:
    """All of `SCORES` under every row of weights.

    Distances, class centres and mean directions are those of the resample; the k-means clustering and the list of
    every point's nearest neighbours are found once, on all points, and held fixed.

    Args:
        points_ND: finite embeddings, not all the same.
        class_N: true classes, from 0.
        patient_N: whose point it is, from 0.
        weights_RP: times that each patient counts.
        n_classes: C, of which some may have no point.
        seed: of k-means.
        neighbours: for the purity.
    """
    of = Labelled(points_ND.astype(np.float64), class_N, patient_N, n_classes, weights_RP.shape[1])
    count_CP = of.sums(np.ones(len(points_ND)))
    units = of._replace(points_ND=directions(of.points_ND))
    n_groups = count_CP.size
    sums_NG, nearest_NK = euclidean_sums(of.points_ND, of.group_N, n_groups, neighbours)
    by_cosine_NG = cosine_sums(units.points_ND, of.group_N, n_groups)
    scores = {
        "silhouette": silhouette(sums_NG, of, count_CP, weights_RP),
        "silhouette_cosine": silhouette(by_cosine_NG, of, count_CP, weights_RP),
        "davies_bouldin": davies_bouldin(of, count_CP, weights_RP),
        "calinski_harabasz": calinski_harabasz(of, count_CP, weights_RP),
        **v_measure(of, kmeans(of, seed), weights_RP),
        **directional(units, count_CP, weights_RP),
        "knn_purity": purity(nearest_NK, of, count_CP, weights_RP),
    }
    if all_alike(units.points_ND):
        for key in ("silhouette_cosine", "separation"):
            # What is left of the cosines is rounding.
            scores[key] = Resampled(np.full(len(weights_RP), np.nan))
    return {key: scores[key] for key in SCORES}
