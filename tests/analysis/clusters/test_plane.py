"""The plane: PCA as it is defined, t-SNE that keeps neighbours together, pictures turned alike."""

import numpy as np
import pytest

from dacl.analysis.clusters.plane import to_plane, turned_to


def clouds(n=60):
    rng = np.random.default_rng(0)
    label = np.arange(n) % 3
    return (10 * np.eye(8)[label] + rng.normal(size=(n, 8))).astype(np.float32), label


def test_pca_keeps_the_two_widest_directions():
    points = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]]) + 5
    plane = to_plane(points, "pca", 0)
    np.testing.assert_allclose(
        np.abs(plane.xy_P2), [[3, 0], [3, 0], [0, 2], [0, 2], [0, 0], [0, 0]], atol=1e-12
    )
    assert plane.says == "PCA, 93 % of variance"  # 26 of 28


def test_tsne_keeps_clouds_apart_and_repeats_itself():
    points, label = clouds()
    plane, again = (to_plane(points, "tsne", 0) for _ in range(2))
    assert plane.says == "t-SNE, perplexity 19"  # of 30, a third of the others at most
    np.testing.assert_array_equal(plane.xy_P2, again.xy_P2)
    distance = np.linalg.norm(plane.xy_P2[:, None] - plane.xy_P2, axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (label[distance.argmin(axis=1)] == label).all()


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.ones((40, 3)), np.ones((40, 1))])
def test_what_has_no_extent_is_one_place(points):
    plane = to_plane(points, "tsne", 0)
    np.testing.assert_array_equal(plane.xy_P2, np.zeros((len(points), 2)))
    assert plane.says == "PCA, all points are alike"


def test_too_few_points_for_tsne_are_shown_by_pca():
    assert to_plane(clouds(9)[0], "tsne", 0).says.startswith("PCA")


def test_a_picture_is_turned_and_mirrored_onto_another():
    xy = np.random.default_rng(0).normal(size=(20, 2))
    angle = 1.2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirrored = (xy * [1, -1]) @ turn + 4
    np.testing.assert_allclose(turned_to(mirrored, xy), xy - xy.mean(axis=0), atol=1e-12)
