"""Hatching covers its region and nothing else."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from dacl.analysis.segmentation.hatching import diagonals, draw_hatched


def test_a_square_is_crossed_by_its_diagonals() -> None:
    # x + y = 0, 2, 4 in pixels of 1 mm: through the corner, along the longer diagonals, and into the last corner.
    lines = diagonals(np.ones((3, 3), bool), (1.0, 1.0), 2.0)
    assert len(lines) == 3
    for (x0, y0), (x1, y1) in lines:
        assert x0 + y0 == pytest.approx(x1 + y1)
    sums = sorted(float(line[0].sum()) for line in lines)
    assert sums == pytest.approx([0, 2, 4])
    middle = lines[np.argmin(abs(lines.sum(axis=2)[:, 0] - 2))]
    assert middle == pytest.approx(np.array([[-0.45, 2.45], [2.45, -0.45]]), abs=0.06)


def test_lines_stay_inside_and_leave_out_holes() -> None:
    rng = np.random.default_rng(0)
    region = rng.random((12, 9)) < 0.5
    lines = diagonals(region, (1.0, 1.0), 0.7)
    covered = np.zeros_like(region)
    for start, end in lines:
        for x, y in np.linspace(start, end, 50):
            row, column = int(np.rint(y)), int(np.rint(x))
            # A point on an edge belongs to both pixels.
            near = [
                (row, column),
                (int(np.rint(y - 1e-6)), column),
                (int(np.rint(y + 1e-6)), column),
            ]
            assert any(region[at] for at in near if 0 <= at[0] < 12)
            covered[row, column] = True
    assert covered[region].all()


def test_lines_rise_by_45_degrees_in_space() -> None:
    lines = diagonals(np.ones((10, 10), bool), (2.0, 0.5), 3.0)
    for (x0, y0), (x1, y1) in lines:
        assert 0.5 * (x1 - x0) == pytest.approx(-2.0 * (y1 - y0))


def test_what_no_line_meets_is_outlined_all_the_same() -> None:
    region = np.zeros((20, 20), bool)
    region[10, 13] = True
    axes = Figure().add_subplot()
    draw_hatched(axes, region, (1.0, 1.0), mm_per_point=10.0)
    (outline,) = axes.collections
    (path,) = outline.get_paths()
    assert path.vertices.min(axis=0) == pytest.approx((12.5, 9.5))
    assert path.vertices.max(axis=0) == pytest.approx((13.5, 10.5))
    assert all(len(patch.get_path().vertices) == 0 for patch in axes.patches)
    axes.figure.canvas.draw()


def test_nothing_is_drawn_for_nothing() -> None:
    axes = Figure().add_subplot()
    draw_hatched(axes, np.zeros((4, 4), bool), (1.0, 1.0), mm_per_point=1.0)
    assert not axes.collections
    assert not axes.patches
