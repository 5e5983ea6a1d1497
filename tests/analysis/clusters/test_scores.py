"""Cluster scores: equal to scikit-learn's on the points as they are, and to slow references on resamples."""

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.metrics import pairwise_distances

from dacl.analysis.clusters.agreement import kmeans, purity, v_measure
from dacl.analysis.clusters.distance_sums import cosine_sums, euclidean_sums
from dacl.analysis.clusters.labelled_points import Labelled, all_alike, directions
from dacl.analysis.clusters.scores import SCORES, class_scores
from dacl.contrast.compactness import compactness

CLASSES, PATIENTS = 3, 4


def made(n=90, dim=5, seed=0):
    """Overlapping clouds, far from the origin, of uneven classes and patients."""
    rng = np.random.default_rng(seed)
    class_N = rng.choice(CLASSES, n, p=[0.6, 0.3, 0.1])
    patient_N = rng.choice(PATIENTS, n, p=[0.4, 0.3, 0.2, 0.1])
    points_ND = rng.normal(size=(n, dim)) + 1.5 * rng.normal(size=(CLASSES, dim))[class_N] + 20
    return points_ND, class_N, patient_N


def scored(points_ND, class_N, patient_N, weights_RP=None, n_classes=CLASSES, **options):
    if weights_RP is None:
        weights_RP = np.ones((1, patient_N.max() + 1))
    return class_scores(
        points_ND, class_N, patient_N, np.asarray(weights_RP, float), n_classes=n_classes, seed=0,
        **options,
    )  # fmt: skip


def plain(scores):
    return {key: float(found.overall_R[0]) for key, found in scores.items()}


def slow_silhouettes(distance_NN, class_N, weight_N):
    """Rousseeuw's definition, point by point; a point drawn twice counts twice and is not its own neighbour."""
    widths = []
    for i, own in enumerate(class_N):
        means = {}
        for c in np.unique(class_N[weight_N > 0]):
            others = [j for j in range(len(class_N)) if class_N[j] == c and j != i]
            weight = sum(weight_N[j] for j in others)
            if weight:
                means[c] = sum(weight_N[j] * distance_NN[i, j] for j in others) / weight
        a, b = means.pop(own, None), min(means.values(), default=None)
        widths.append(0.0 if a is None or b is None or max(a, b) == 0 else (b - a) / max(a, b))
    return np.array(widths)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_silhouettes_are_scikit_learns(metric):
    points, classes, patients = made(n=700)  # more than two chunks of rows
    samples = metrics.silhouette_samples(points, classes, metric=metric)
    key = "silhouette" if metric == "euclidean" else "silhouette_cosine"
    found = scored(points, classes, patients)[key]
    assert found.overall_R[0] == pytest.approx(samples.mean(), abs=1e-9)
    by_class = [samples[classes == c].mean() for c in range(CLASSES)]
    np.testing.assert_allclose(found.by_class_RC[0], by_class, atol=1e-9)


def test_the_slow_reference_is_scikit_learns_without_weights():
    points, classes, _ = made(n=60)
    distance = pairwise_distances(points)
    np.testing.assert_allclose(
        slow_silhouettes(distance, classes, np.ones(60)),
        metrics.silhouette_samples(points, classes), atol=1e-9,
    )  # fmt: skip


def test_sums_of_distances_are_those_of_all_pairs():
    points, classes, patients = made(n=600)
    group = classes * PATIENTS + patients
    group[group == 3] = 2  # an empty one
    member = np.eye(CLASSES * PATIENTS)[group]
    sums, nearest = euclidean_sums(points, group, CLASSES * PATIENTS, 7)
    distance = pairwise_distances(points)
    np.testing.assert_allclose(sums, distance @ member, rtol=1e-12, atol=1e-9)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_array_equal(np.sort(nearest), np.sort(np.argsort(distance)[:, :7]))
    by_cosine = cosine_sums(directions(points), group, CLASSES * PATIENTS)
    np.testing.assert_allclose(
        by_cosine, pairwise_distances(points, metric="cosine") @ member, atol=1e-9
    )


def test_equal_points_at_the_origin_are_at_distance_0():
    points = np.zeros((40, 3))
    sums, _ = euclidean_sums(points, np.arange(40) % 2, 2, 3)
    assert (sums == 0).all()


def test_other_scores_are_scikit_learns():
    points, classes, patients = made()
    found = plain(scored(points, classes, patients))
    assert found["davies_bouldin"] == pytest.approx(metrics.davies_bouldin_score(points, classes))
    assert found["calinski_harabasz"] == pytest.approx(
        metrics.calinski_harabasz_score(points, classes)
    )
    clusters = kmeans(Labelled(points, classes, patients, CLASSES, PATIENTS), 0)
    assert len(np.unique(clusters)) == CLASSES
    assert found["homogeneity"] == pytest.approx(metrics.homogeneity_score(classes, clusters))
    assert found["completeness"] == pytest.approx(metrics.completeness_score(classes, clusters))
    assert found["v_measure"] == pytest.approx(metrics.v_measure_score(classes, clusters))


WEIGHTS = [[1, 1, 1, 1], [0, 3, 1, 0], [2, 0, 0, 2], [4, 0, 0, 0]]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_resample_is_scored_as_its_points_written_out(weights):
    points, classes, patients = made()
    found = scored(points, classes, patients, [[1, 1, 1, 1], weights])
    weight = np.array(weights)[patients]
    drawn = np.repeat(np.arange(len(points)), weight)
    out_points, out_classes = points[drawn], classes[drawn]
    overall = {key: each.overall_R[1] for key, each in found.items()}
    for key, metric in (("silhouette", "euclidean"), ("silhouette_cosine", "cosine")):
        widths = slow_silhouettes(pairwise_distances(points, metric=metric), classes, weight)
        assert overall[key] == pytest.approx(np.average(widths, weights=weight))
        for c in np.unique(out_classes):
            mine = classes == c
            expected = np.average(widths[mine], weights=weight[mine])
            assert found[key].by_class_RC[1, c] == pytest.approx(expected)
    assert overall["davies_bouldin"] == pytest.approx(
        metrics.davies_bouldin_score(out_points, out_classes)
    )
    assert overall["calinski_harabasz"] == pytest.approx(
        metrics.calinski_harabasz_score(out_points, out_classes)
    )
    clusters = kmeans(Labelled(points, classes, patients, CLASSES, PATIENTS), 0)  # held fixed
    assert overall["v_measure"] == pytest.approx(
        metrics.v_measure_score(out_classes, clusters[drawn])
    )
    units = directions(out_points)
    for c in np.unique(out_classes):
        centre = units[out_classes == c].mean(axis=0)
        cosines = units[out_classes == c] @ centre / np.linalg.norm(centre)
        assert found["compactness"].by_class_RC[1, c] == pytest.approx(cosines.mean())


def test_compactness_is_that_of_the_journal():
    points, classes, patients = made()
    units = torch.from_numpy(directions(points)).expand(CLASSES, -1, -1)
    valid = torch.from_numpy(classes == np.arange(CLASSES)[:, None])
    found = scored(points, classes, patients)["compactness"]
    np.testing.assert_allclose(found.by_class_RC[0], compactness(units, valid).numpy())
    assert found.overall_R[0] == pytest.approx(float(compactness(units, valid).mean()))


def test_a_worked_example():
    """Class 0 at angles 0 and 90 degrees, class 1 at 135 and 225, class 2 at 180 twice; unit circle."""
    s = 2**-0.5
    points = np.array([[1, 0], [0, 1], [-s, s], [-s, -s], [-1.0, 0], [-1, 0]])
    classes, patients = np.array([0, 0, 1, 1, 2, 2]), np.zeros(6, int)
    found = scored(points, classes, patients, neighbours=1)
    # Mean directions at 45, 180 and 180 degrees; half the angle within a class is 45, 45 and 0.
    np.testing.assert_allclose(found["compactness"].by_class_RC[0], [s, s, 1])
    np.testing.assert_allclose(found["separation"].by_class_RC[0], [1 + s, 0, 0], atol=1e-12)
    assert found["separation"].overall_R[0] == pytest.approx((1 + s) / 3)
    # Centres (1/2, 1/2), (-s, 0), (-1, 0); mean distances to them s, s and 0.
    worst_0 = 2 * s / np.hypot(0.5 + s, 0.5)
    worst_1 = max(worst_0, s / (1 - s))
    worst = [worst_0, worst_1, s / (1 - s)]
    np.testing.assert_allclose(found["davies_bouldin"].by_class_RC[0], worst)
    # Nearest others: (1,0)-(0,1), (0,1)-class 1, class 1-class 2, class 2-class 2.
    np.testing.assert_allclose(found["knn_purity"].by_class_RC[0], [0.5, 0, 1])
    assert found["knn_purity"].overall_R[0] == 0.5


def test_purity_is_reweighted_with_the_neighbours_held():
    nearest = np.array([[1], [0], [1]])
    of = Labelled(np.zeros((3, 1)), np.array([0, 0, 1]), np.array([0, 1, 1]), 2, 2)
    count = of.sums(np.ones(3))
    found = purity(nearest, of, count, np.array([[1.0, 1], [3, 1]]))
    np.testing.assert_allclose(found.overall_R, [2 / 3, 4 / 5])


def test_far_clusters_score_as_far_as_they_can():
    rng = np.random.default_rng(0)
    classes = np.arange(60) % 3
    points = 100 * np.eye(3)[classes] + 1e-3 * rng.normal(size=(60, 3))
    found = plain(scored(points, classes, np.arange(60) % 4))
    for key in ("silhouette", "silhouette_cosine", "v_measure", "compactness", "separation"):
        assert found[key] == pytest.approx(1, abs=1e-3), key
    assert found["knn_purity"] == 1
    assert found["davies_bouldin"] < 1e-3
    assert found["calinski_harabasz"] > 1e6
    assert [key for key, what in SCORES.items() if not what.higher_is_better] == ["davies_bouldin"]


def test_scores_do_not_know_where_the_origin_lies_or_which_way_axes_point():
    points, classes, patients = made()
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))
    first, moved = (plain(scored(x, classes, patients)) for x in (points, (points - 7) @ turn * 3))
    for key in ("silhouette", "davies_bouldin", "calinski_harabasz", "v_measure", "knn_purity"):
        assert moved[key] == pytest.approx(first[key]), key


def test_order_of_the_points_changes_nothing_but_kmeans():
    points, classes, patients = made()
    order = np.random.default_rng(1).permutation(len(points))
    first, second = (
        plain(scored(points, classes, patients)),
        plain(scored(points[order], classes[order], patients[order])),
    )
    for key in SCORES.keys() - {"v_measure", "homogeneity", "completeness"}:
        assert second[key] == pytest.approx(first[key]), key


def test_a_class_of_one_pixel():
    points, classes, patients = made()
    classes = np.where(classes == 2, 1, classes)
    classes[5] = 2
    found = scored(points, classes, patients)
    assert found["silhouette"].overall_R[0] == pytest.approx(
        metrics.silhouette_score(points, classes)
    )
    for key in ("silhouette", "silhouette_cosine", "compactness"):
        assert np.isnan(found[key].by_class_RC[0]).tolist() == [False, False, True], key
    assert np.isfinite(list(plain(found).values())).all()


def test_a_class_without_pixels_is_left_out():
    points, classes, patients = made()
    there = classes != 1
    points, classes, patients = points[there], classes[there], patients[there]
    found = scored(points, classes, patients)
    assert np.isnan(found["silhouette"].by_class_RC[0]).tolist() == [False, True, False]
    assert plain(found)["davies_bouldin"] == pytest.approx(
        metrics.davies_bouldin_score(points, classes)
    )
    assert np.isfinite(list(plain(found).values())).all()


@pytest.mark.parametrize("count", [1, 2, 30])
def test_one_class_alone_has_its_compactness_and_nothing_else(count):
    points = made()[0][:count]
    found = plain(scored(points, np.full(count, 1), np.zeros(count, int)))
    defined = [key for key, value in found.items() if np.isfinite(value)]
    assert defined == (["compactness"] if count > 1 else [])


def test_a_class_can_be_missing_from_a_resample():
    points, classes, patients = made()
    patients = np.where(classes == 2, 3, patients % 3)
    found = scored(points, classes, patients, [[1, 1, 1, 1], [2, 1, 1, 0], [0, 0, 0, 4]])
    without = classes != 2
    drawn = np.repeat(np.flatnonzero(without), np.array([2, 1, 1, 0])[patients[without]])
    assert found["davies_bouldin"].overall_R[1] == pytest.approx(
        metrics.davies_bouldin_score(points[drawn], classes[drawn])
    )
    assert np.isnan(found["silhouette"].by_class_RC[1, 2])
    assert np.isnan(found["silhouette"].overall_R[2])  # one class alone


def test_points_on_one_ray_have_no_cosine_silhouette():
    _, classes, patients = made()
    found = plain(scored(np.linspace(1, 2, 90)[:, None] * [[3.0, 1, 2]], classes, patients))
    assert np.isnan(found["silhouette_cosine"])
    assert np.isnan(found["separation"])
    assert np.isfinite(found["silhouette"])


def test_points_without_direction_are_far_from_all_by_cosine():
    points, classes, patients = made()
    points -= 20
    points[:4] = 0
    found = scored(points, classes, patients)["silhouette_cosine"]
    expected = metrics.silhouette_score(points, classes, metric="cosine")
    assert found.overall_R[0] == pytest.approx(expected)


def test_alike_is_up_to_the_rounding_of_float32():
    point = np.random.default_rng(0).normal(size=(1, 8)).astype(np.float32)
    assert all_alike(np.repeat(point, 5, axis=0))
    assert all_alike(np.zeros((5, 8)))
    assert all_alike(np.concatenate([point, np.nextafter(point, 9)]))
    assert not all_alike(np.concatenate([point, point * 1.001]))


def test_one_cluster_is_complete_and_not_homogeneous():
    of = Labelled(np.zeros((4, 1)), np.array([0, 0, 1, 1]), np.zeros(4, int), 2, 1)
    found = plain(v_measure(of, np.zeros(4, int), np.ones((1, 1))))
    assert found == {"v_measure": 0, "homogeneity": 0, "completeness": 1}
