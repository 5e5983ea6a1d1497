"""Which pixels are drawn: balanced, spread, reproducible, and each in a cell of its own."""

import numpy as np
import pytest
import tiny_run
import torch
from hypothesis import given
from hypothesis import strategies as st

from dacl.analysis.pixels import CellGrid, draw_pixels, even_shares
from dacl.config import resolve
from dacl.data.grid import to_network
from dacl.errors import DaclError


def image_config(**settings):
    return resolve("small", {"labeled": 1, "image": settings}).image


COARSE = CellGrid(image_config(geometry="resize", patch_size=32), 2)
FINE = CellGrid(image_config(geometry="resample", spacing_mm=1.7), 1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_run.write_dataset(tmp_path_factory.mktemp("data") / "blocks")


def draw(dataset, grids=(COARSE,), *, points=80, seed=0):
    return draw_pixels(dataset, dataset.cases(dataset.split.test), grids, points=points, seed=seed)


def test_classes_are_balanced_and_as_annotated(dataset):
    pixels = draw(dataset, points=82)
    assert pixels.asked_C == (21, 21, 20, 20)
    assert pixels.found_C == pixels.asked_C
    for n, case in enumerate(pixels.cases):
        z, y, x = pixels.zyx_N3[pixels.case_N == n].T
        truth = dataset.read_label(case.id)
        np.testing.assert_array_equal(truth[z, y, x], pixels.class_N[pixels.case_N == n])
        assert (pixels.patient_N[pixels.case_N == n] == pixels.patients.index(case.patient)).all()


def test_patients_share_a_class_evenly(dataset):
    pixels = draw(dataset)
    for label in range(4):
        assert np.bincount(pixels.patient_N[pixels.class_N == label]).tolist() == [10, 10]
    assert len(np.unique(pixels.case_N)) == 4  # both frames


@pytest.mark.parametrize("grids", [(COARSE,), (FINE,), (COARSE, FINE)])
def test_no_two_pixels_share_a_cell(dataset, grids):
    pixels = draw(dataset, grids, points=4000)  # all there are
    case = pixels.cases[0]
    for grid in grids:
        rows, columns = grid.cells(case.shape_ZHW[1:], case.spacing_mm)
        cells = {
            (case, z, rows[y], columns[x])
            for case, (z, y, x) in zip(pixels.case_N, pixels.zyx_N3.tolist(), strict=True)
        }
        assert len(cells) == len(pixels.class_N)


def test_every_cell_is_used_where_more_is_asked_than_there_is(dataset):
    pixels = draw(dataset, points=16_000)
    shape, spacing = pixels.cases[0].shape_ZHW, pixels.cases[0].spacing_mm
    rows, columns = COARSE.cells(shape[1:], spacing)
    cells = len(np.unique(rows)) * len(np.unique(columns)) * shape[0] * len(pixels.cases)
    assert len(pixels.class_N) == sum(pixels.found_C) == cells
    assert pixels.found_C[3] < pixels.asked_C[3] == 4000


def test_seed_and_nothing_else_decides(dataset):
    first = draw(dataset, (COARSE, FINE))
    again = draw(dataset, (FINE, COARSE, COARSE))
    other = draw(dataset, (COARSE, FINE), seed=1)
    np.testing.assert_array_equal(first.zyx_N3, again.zyx_N3)
    assert (first.zyx_N3 != other.zyx_N3).any()
    order = np.lexsort([*first.zyx_N3.T[::-1], first.case_N])
    np.testing.assert_array_equal(order, np.arange(len(order)))


def test_any_pixel_of_a_cell_can_be_the_one(dataset):
    """Over seeds, chosen places fill the class: nothing favours the corner of a cell."""
    seen = np.zeros(tiny_run.SHAPE[1:], int)
    for seed in range(30):
        pixels = draw(dataset, points=2000, seed=seed)
        y, x = pixels.zyx_N3[:, 1:].T
        np.add.at(seen, (y, x), 1)
    assert (seen > 0).all()
    assert seen[::2, ::2].mean() == pytest.approx(seen[1::2, 1::2].mean(), rel=0.1)


@pytest.mark.parametrize("grid", [COARSE, CellGrid(image_config(geometry="resample"), 2)])
def test_a_pixel_lies_in_the_cell_that_shows_it(grid):
    """An image that is one bright block: its pixels' cells are where the network sees it bright."""
    image = np.zeros((1, 1, 24, 20), np.float32)
    image[..., 8:16, 4:12] = 1
    seen = to_network(image, (10.0, 1.5, 1.5), grid.image, 2)[0, 0]
    cells = torch.nn.functional.avg_pool2d(seen[None, None], grid.stride)[0, 0]
    rows, columns = grid.cells((24, 20), (10.0, 1.5, 1.5))
    inside = cells[torch.from_numpy(rows[9:15])][:, torch.from_numpy(columns[5:11])]
    assert (inside > 0.45).all()
    outside = cells[torch.from_numpy(rows[:6])][:, torch.from_numpy(columns)]
    assert (outside < 0.45).all()


def test_fewer_points_than_classes_are_refused(dataset):
    with pytest.raises(DaclError, match="3 points for 4 classes"):
        draw(dataset, points=3)


@pytest.mark.parametrize(
    ("available", "total", "shares"),
    [
        ([5, 5, 5], 9, [3, 3, 3]),
        ([1, 9, 9], 9, [1, 4, 4]),
        ([0, 2, 9], 9, [0, 2, 7]),
        ([2, 2], 9, [2, 2]),
        ([4], 0, [0]),
    ],
)
def test_even_shares(available, total, shares):
    found = even_shares(np.array(available), total, np.random.default_rng(0))
    assert found.tolist() == shares


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(0, 200), st.integers(0, 9)
)
def test_shares_add_up_and_none_is_larger_than_need_be(available, total, seed):
    available = np.array(available)
    shares = even_shares(available, total, np.random.default_rng(seed))
    assert shares.sum() == min(total, available.sum())
    assert (shares <= available).all()
    short = shares[
        shares < available
    ]  # who could give more gives as much as anybody, to within one
    assert not short.size or shares.max() - short.min() <= 1
