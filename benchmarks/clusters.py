"""Silhouette of embeddings beside scikit-learn's; all cluster scores with intervals; growth with the points.

Points: four overlapping Gaussian classes in 64 dimensions, as `dacl analyze clusters` sees, of 20 patients.
scikit-learn answers with one number; ours keeps the sums of distances by class and patient, of which 1,000 resamples
are made, and the nearest neighbours of every point.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.harness import AtLeast, AtMost, Bench
from dacl.analysis.clusters.bootstrap import patient_weights
from dacl.analysis.clusters.distance_sums import euclidean_sums
from dacl.analysis.clusters.labelled_points import Labelled
from dacl.analysis.clusters.scores import NEIGHBOURS, class_scores
from dacl.analysis.clusters.silhouettes import silhouette

THREADS = None
POINTS, WIDTH, CLASSES, PATIENTS = 20_000, 64, 4, 20


def run(bench: Bench) -> None:
    """The silhouette, beside scikit-learn's; everything; how it grows."""
    from sklearn.metrics import silhouette_score

    count = 200 if bench.quick else POINTS
    points = made_points(count)
    points_ND = points.points_ND

    def theirs() -> float:
        return float(silhouette_score(points_ND, points.class_N))

    difference = abs(ours(points) - theirs())
    seconds = bench.interleave(
        {"ours": lambda: ours(points, 0), "more": lambda: ours(points), "sklearn": theirs}, rounds=3
    )
    memory, reference_memory = (
        bench.memory(f"benchmarks.clusters:{job}", count) for job in ("ours_job", "sklearn_job")
    )
    bench.ratio(
        f"exact Silhouette, and {NEIGHBOURS} neighbours of every point",
        _size(count),
        seconds["more"],
        seconds["sklearn"],
        against="scikit-learn's silhouette_score, without neighbours",
        device="cpu",
    )
    bench.ratio(
        "exact Silhouette",
        _size(count),
        seconds["ours"],
        seconds["sklearn"],
        against="scikit-learn's silhouette_score",
        target=AtLeast(2),
        memory_mb=memory.job_mb,
        reference_memory_mb=reference_memory.job_mb,
        device="cpu",
        note=f"difference {difference:.1e}",
    )
    memory = bench.memory("benchmarks.clusters:all_job", count)
    seconds = bench.interleave({"all": all_job(count)}, rounds=1, warmup=0)
    bench.figure(
        "all scores under 1,000 resamples",
        _size(count),
        seconds["all"],
        unit="s",
        memory_mb=memory.job_mb,
        device="cpu",
    )
    bench.figure(
        "memory of the process",
        _size(count),
        [memory.peak_mb],
        unit="MB",
        target=AtMost(2000),
        device="cpu",
    )
    for some in (count // 4, count // 2):
        fewer = made_points(some)
        seconds = bench.interleave({"ours": partial(ours, fewer)}, rounds=3, warmup=0)
        bench.figure("growth with the points", _size(some), seconds["ours"], unit="s", device="cpu")


def made_points(count: int) -> Labelled:
    """The same points for the same count."""
    rng = np.random.default_rng(0)
    class_N, patient_N = rng.integers(CLASSES, size=count), rng.integers(PATIENTS, size=count)
    centre_CD = rng.normal(size=(CLASSES, WIDTH)) * 0.7
    points_ND = centre_CD[class_N] + rng.normal(size=(count, WIDTH))
    return Labelled(points_ND, class_N, patient_N, CLASSES, PATIENTS)


def ours(of: Labelled, neighbours: int = NEIGHBOURS) -> float:
    """The silhouette of all points, from sums that also serve every resample."""
    count_CP = of.sums(np.ones(len(of.points_ND)))
    sums_NG, _ = euclidean_sums(of.points_ND, of.group_N, count_CP.size, neighbours)
    return float(silhouette(sums_NG, of, count_CP, np.ones((1, PATIENTS))).overall_R[0])


def ours_job(count: int) -> Callable[[], object]:
    """What a child process measures the memory of, as the two below."""
    points = made_points(count)
    return lambda: ours(points)


def sklearn_job(count: int) -> Callable[[], object]:
    """The reference."""
    from sklearn.metrics import silhouette_score

    points = made_points(count)
    return lambda: silhouette_score(points.points_ND, points.class_N)


def all_job(count: int) -> Callable[[], object]:
    """Every score under every resample."""
    points = made_points(count)
    weights_RP = patient_weights(PATIENTS, 0)
    return lambda: class_scores(
        points.points_ND.astype(np.float32),
        points.class_N,
        points.patient_N,
        weights_RP,
        n_classes=CLASSES,
        seed=0,
    )


def _size(count: int) -> str:
    return f"{count:,} points, {WIDTH} dimensions, {CLASSES} classes"
