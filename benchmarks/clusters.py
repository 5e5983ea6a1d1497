"""Scores of 20,000 embeddings: the silhouette as a ratio to scikit-learn's, all scores with intervals, and memory.

    OMP_NUM_THREADS=2 python benchmarks/clusters.py

Points: four overlapping Gaussian classes in 32 dimensions, spread over 20 patients. scikit-learn's silhouette is one
number; ours keeps the sums of distances by class and patient, from which 1,000 resamples are taken.
"""

import resource
import sys
import time

import numpy as np

from dacl.analysis.clusters.bootstrap import patient_weights
from dacl.analysis.clusters.distance_sums import euclidean_sums
from dacl.analysis.clusters.labelled_points import Labelled
from dacl.analysis.clusters.scores import NEIGHBOURS, class_scores
from dacl.analysis.clusters.silhouettes import silhouette

POINTS, WIDTH, CLASSES, PATIENTS = 20_000, 32, 4, 20


def main() -> int:
    """Print a line each for the silhouette and for everything."""
    from sklearn.metrics import silhouette_score

    rng = np.random.default_rng(0)
    class_N = rng.integers(CLASSES, size=POINTS)
    patient_N = rng.integers(PATIENTS, size=POINTS)
    centre_CD = rng.normal(size=(CLASSES, WIDTH))
    points_ND = (centre_CD[class_N] + rng.normal(size=(POINTS, WIDTH))).astype(np.float32)

    start = time.perf_counter()
    theirs = silhouette_score(points_ND.astype(np.float64), class_N)
    reference_s = time.perf_counter() - start

    of = Labelled(points_ND.astype(np.float64), class_N, patient_N, CLASSES, PATIENTS)
    count_CP = of.sums(np.ones(POINTS))
    start = time.perf_counter()
    sums_NG, _ = euclidean_sums(of.points_ND, of.group_N, count_CP.size, NEIGHBOURS)
    ours = silhouette(sums_NG, of, count_CP, np.ones((1, PATIENTS))).overall_R[0]
    seconds = time.perf_counter() - start
    print(
        f"silhouette, and {NEIGHBOURS} nearest neighbours of every point: {seconds:.2f} s; scikit-learn's silhouette "
        f"alone: {reference_s:.2f} s ({reference_s / seconds:.1f} x), difference {abs(ours - theirs):.1e}"
    )

    start = time.perf_counter()
    weights_RP = patient_weights(PATIENTS, 0)
    class_scores(points_ND, class_N, patient_N, weights_RP, n_classes=CLASSES, seed=0)
    seconds = time.perf_counter() - start
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"all scores under {len(weights_RP) - 1} resamples: {seconds:.1f} s, "
        f"peak {peak_gb:.2f} GB of the process (target: 2 GB)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
