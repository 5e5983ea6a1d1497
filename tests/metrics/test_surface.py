"""Surface distances against a loop over all voxel pairs, and against numbers medpy 0.5.2 gave."""

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from dacl.metrics import nearest, surface
from dacl.metrics.surface import Distances, surface_distances

ISOTROPIC = (1.0, 1.0, 1.0)
ANISOTROPIC = (10.0, 1.5, 0.7)


def surface_by_hand(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Foreground voxels with a face neighbour that is background or lies beyond the volume."""
    found = []
    for voxel in itertools.product(*map(range, mask.shape)):
        if not mask[voxel]:
            continue
        for axis, step in itertools.product(range(3), (-1, 1)):
            near = list(voxel)
            near[axis] += step
            beyond = not 0 <= near[axis] < mask.shape[axis]
            if beyond or not mask[tuple(near)]:
                found.append(voxel)
                break
    return found


@functools.cache
def distances_by_hand(name: str, spacing: tuple) -> list[float]:
    pred, truth = PAIRS[name]

    def directed(source: list, target: list) -> list[float]:
        return [
            min(math.dist(np.multiply(a, spacing), np.multiply(b, spacing)) for b in target)
            for a in source
        ]

    p, t = surface_by_hand(pred), surface_by_hand(truth)
    there, back = directed(p, t), directed(t, p)
    pooled = sorted(there + back)
    rank = 0.95 * (len(pooled) - 1)
    low, high = math.floor(rank), math.ceil(rank)
    hd95 = pooled[low] + (rank - low) * (pooled[high] - pooled[low])
    return [sum(there) / len(there), sum(pooled) / len(pooled), hd95]


def box(shape: tuple, *edges: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*edge) for edge in edges)] = True
    return mask


def blob(seed: int) -> np.ndarray:
    """A fixed irregular mask built from integers only, the same on every machine and NumPy."""
    z, y, x = np.ogrid[:5, :14, :13]
    r = (3 * z - 6 - seed) ** 2 + (y - 7 - seed) ** 2 + (x - 6 + 2 * seed) ** 2
    return (r < 26) ^ ((z + 2 * y + 3 * x + seed) % 7 == 0) & (r < 34)


PAIRS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "shifted boxes": (
        box((5, 12, 12), (1, 4), (3, 8), (3, 9)),
        box((5, 12, 12), (1, 3), (4, 9), (2, 8)),
    ),
    "touching every border": (
        box((4, 9, 8), (0, 4), (0, 9), (0, 8)),
        box((4, 9, 8), (0, 3), (2, 9), (0, 5)),
    ),
    "one slice": (box((1, 9, 9), (0, 1), (2, 7), (0, 5)), box((1, 9, 9), (0, 1), (3, 9), (1, 6))),
    "one voxel each, far apart": (
        box((6, 7, 8), (0, 1), (0, 1), (0, 1)),
        box((6, 7, 8), (5, 6), (6, 7), (7, 8)),
    ),
    "identical": (blob(0), blob(0)),
    "irregular": (blob(0), blob(1)),
    "irregular, apart": (blob(0), np.roll(blob(1), (2, 7, 0), (0, 1, 2))),
}

# asd, assd, hd95 of medpy.metric.binary 0.5.2, voxelspacing ISOTROPIC and then ANISOTROPIC.
MEDPY: dict[str, tuple[float, ...]] = {
    "shifted boxes": (
        0.708825641,
        0.638527733,
        1.414213562,
        4.162870699,
        2.617496403,
        10.024470061,
    ),
    "touching every border": (
        1.391058276,
        1.077469008,
        3.056797181,
        4.35082991,
        3.19853504,
        10.218121158,
    ),
    "one slice": (0.376568542, 0.528445365, 2.0, 0.418211781, 0.654384971, 3.0),
    "one voxel each, far apart": (
        10.488088482,
        10.488088482,
        10.488088482,
        51.039298585,
        51.039298585,
        51.039298585,
    ),
    "identical": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "irregular": (0.486832622, 0.499139899, 1.732050808, 0.517415315, 0.641739591, 2.051828453),
    "irregular, apart": (
        1.979241807,
        1.997535926,
        3.464101615,
        7.144303024,
        7.959604429,
        11.165124272,
    ),
}


def as_list(found: Distances) -> list[float]:
    return [found.asd, found.assd, found.hd95]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("spacing", [ISOTROPIC, ANISOTROPIC])
@pytest.mark.parametrize("lookup_price", [0, 8, 10**9], ids=["tree", "chosen", "edt"])
def test_equals_a_loop_over_all_pairs(
    name: str, spacing: tuple, lookup_price: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "BOX_VOXELS_PER_LOOKUP", lookup_price)
    (found,) = surface_distances(*PAIRS[name], (spacing,))
    want = distances_by_hand(name, spacing)
    np.testing.assert_allclose(as_list(found), want, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", PAIRS)
def test_equals_the_numbers_medpy_gave(name: str) -> None:
    in_voxels, in_mm = surface_distances(*PAIRS[name], (ISOTROPIC, ANISOTROPIC))
    np.testing.assert_allclose(
        [*as_list(in_voxels), *as_list(in_mm)], MEDPY[name], rtol=0, atol=1e-6
    )


@pytest.fixture
def medpy() -> Callable[..., list[float]]:
    binary = pytest.importorskip("medpy.metric.binary", reason="needs the extra `oracle`")

    def measure(pred: np.ndarray, truth: np.ndarray, spacing: tuple) -> list[float]:
        return [f(pred, truth, spacing) for f in (binary.asd, binary.assd, binary.hd95)]

    return measure


@pytest.mark.parametrize("spacing", [ISOTROPIC, ANISOTROPIC])
def test_equals_medpy(medpy: Callable[..., list[float]], spacing: tuple) -> None:
    rng = np.random.default_rng(0)
    noise = [
        (rng.random((6, 20, 22)) < p, rng.random((6, 20, 22)) < q)
        for p, q in [(0.4, 0.5), (0.02, 0.9)]
    ]
    for pred, truth in [*PAIRS.values(), *noise]:
        (found,) = surface_distances(pred, truth, (spacing,))
        np.testing.assert_allclose(as_list(found), medpy(pred, truth, spacing), rtol=0, atol=1e-6)


def test_surface_of_a_mask_that_fills_the_volume_is_its_shell() -> None:
    shell = surface.surface(np.ones((4, 5, 6), bool))
    assert int((~shell).sum()) == 2 * 3 * 4


def test_asd_has_a_direction_and_assd_has_none() -> None:
    small, large = (
        box((3, 20, 20), (1, 2), (9, 11), (9, 11)),
        box((3, 20, 20), (1, 2), (2, 18), (9, 11)),
    )
    (there,), (back,) = surface_distances(small, large), surface_distances(large, small)
    assert there.asd == 0.0
    assert back.asd > 2.0
    assert (there.assd, there.hd95) == (back.assd, back.hd95)


def test_moving_both_masks_together_changes_nothing() -> None:
    near = surface_distances(
        *(np.pad(mask, ((0, 9), (0, 0), (4, 1))) for mask in PAIRS["irregular"])
    )
    assert near == surface_distances(*PAIRS["irregular"])


def test_millimetres_of_an_isotropic_grid_are_voxels_times_the_spacing() -> None:
    vox, mm = surface_distances(*PAIRS["irregular"], (ISOTROPIC, (2.5, 2.5, 2.5)))
    np.testing.assert_allclose(as_list(mm), 2.5 * np.array(as_list(vox)), rtol=1e-12)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="not empty"):
        surface_distances(np.zeros((2, 3, 3), bool), np.ones((2, 3, 3), bool))
