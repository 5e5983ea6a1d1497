"""Nearest voxels against all pairs, and where neighbours, tree and transform hand over to each other."""

import numpy as np
import pytest

from dacl.metrics import nearest as module
from dacl.metrics.nearest import REACH, nearest


def voxels(*at, shape=(9, 30, 30)):
    """A padded mask that is true at these (z, y, x)."""
    mask = np.zeros(shape, bool)
    for z, y, x in at:
        mask[z, y, x] = True
    return np.pad(mask, REACH)


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [((1.0, 1.0, 1.0), 1.0), ((10.0, 1.5, 1.5), 6.0), ((5.0, 1.5, 1.5), 5.0)],
)
def test_the_nearest_in_millimetres_need_not_be_the_nearest_in_voxels(spacing, expected):
    # One slice up, or four columns along, beyond the reach of the neighbours.
    source, target = voxels((4, 10, 10)), voxels((5, 10, 10), (4, 10, 14))
    assert nearest(source, target, spacing).tolist() == [expected]


def test_distances_come_in_the_order_of_the_source_whoever_finds_them():
    shared, beside, diagonal, far = (0, 0, 0), (0, 9, 0), (4, 9, 9), (8, 29, 29)
    target = voxels(shared, (0, 9, 1), (5, 10, 10), (8, 29, 20))
    found = nearest(voxels(far, diagonal, beside, shared), target, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(found, [0.0, 1.0, np.sqrt(3.0), 9.0])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (10.0, 1.5, 1.5), (0.7, 3.0, 0.8)])
@pytest.mark.parametrize("density", [0.001, 0.02, 0.3])
@pytest.mark.parametrize("lookup_price", [0, 10**9], ids=["tree", "transform"])
def test_equals_all_pairs(spacing, density, lookup_price, monkeypatch):
    monkeypatch.setattr(module, "BOX_VOXELS_PER_LOOKUP", lookup_price)
    random = np.random.default_rng(1)
    source, target = (np.pad(random.random((6, 12, 13)) < d, REACH) for d in (0.1, density))
    target[REACH, REACH, REACH] = True
    a, b = (np.argwhere(mask) * np.array(spacing) for mask in (source, target))
    expected = np.sqrt(((a[:, None] - b) ** 2).sum(axis=2)).min(axis=1)
    np.testing.assert_allclose(nearest(source, target, spacing), expected, rtol=0, atol=1e-12)


def test_neighbours_are_complete_up_to_the_reach():
    """No shell is left out, and none is offered beyond which a nearer voxel could lie out of reach."""
    for spacing in ((1.0, 1.0, 1.0), (10.0, 1.5, 1.5)):
        distances = [distance for distance, _ in module._shells(spacing)]
        assert distances == sorted(distances)
        assert distances[0] == min(spacing)
        assert distances[-1] < (REACH + 1) * min(spacing)
    assert sum(len(offsets) for _, offsets in module._shells((1.0, 1.0, 1.0))) == 92
    assert sum(len(offsets) for _, offsets in module._shells((10.0, 1.5, 1.5))) == 24
