"""The picture of the clusters: one legend, the same colours everywhere, nothing on top of anything else."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from dacl.analysis.clusters.figure import ClusterPanel, best_columns, draw_clusters
from dacl.palette import BACKGROUND_INK, class_ink

NAMES = ("background", "RV", "Myo", "LV")
LINES = (
    "Silhouette ↑ -0.126 [-0.146, -0.102]", "Davies-Bouldin ↓ 11.75 [11.46, 12.22]",
    "V-measure ↑ 0.451 [0.352, 0.546]", "t-SNE, perplexity 30",
)  # fmt: skip
TITLE = (
    "acdc (synthetic), test of split ssl4mis-dev: decoder features of network a\n"
    "5,000 of 20,000 pixels drawn, scores of all; 20 patients, [95 % interval over patients]"
)


def panel(n=200, classes=4, title="dacl, sampling=random seed 0", seed=0):
    rng = np.random.default_rng(seed)
    return ClusterPanel(
        title=title, xy_P2=rng.normal(size=(n, 2)), classes_P=np.arange(n) % classes, lines=LINES
    )


@pytest.fixture
def drawn(saved_figures, tmp_path):
    def draw(panels, names=NAMES, **options):
        paths = [tmp_path / "out" / "clusters.png", tmp_path / "out" / "clusters.svg"]
        draw_clusters(paths, panels, names, title=TITLE, **options)
        return saved_figures[-1], *paths

    return draw


def test_one_legend_names_the_classes_in_their_colours(drawn):
    figure, _, _ = drawn([panel(classes=3), panel(classes=2)])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["background", "RV", "Myo"]
    colors = [to_rgb(handle.get_color()) for handle in legend.legend_handles]
    assert colors == [to_rgb(c) for c in (BACKGROUND_INK, class_ink(1), class_ink(2))]


def test_every_point_is_drawn_in_the_colour_of_its_class(drawn):
    shown = panel(n=50)
    figure, _, _ = drawn([shown])
    (points,) = figure.axes[0].collections
    at = {tuple(xy): tuple(rgb) for xy, rgb in zip(
        points.get_offsets().tolist(), points.get_facecolors()[:, :3].tolist(), strict=True
    )}  # fmt: skip
    inks = [BACKGROUND_INK, *(class_ink(n) for n in (1, 2, 3))]
    assert len(at) == 50
    for xy, label in zip(shown.xy_P2.tolist(), shown.classes_P, strict=True):
        assert at[tuple(xy)] == pytest.approx(to_rgb(inks[label]))


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("n_classes", [4, 14])
def test_nothing_overlaps(drawn, count, n_classes):
    names = (*NAMES, *(f"organ number {n}" for n in range(4, n_classes)))
    figure, _, _ = drawn([panel(classes=n_classes)] * count, names)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    assert len(figure.texts) == 1
    for i, first in enumerate(boxes):
        assert figure.bbox.x0 <= first.x0
        assert first.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= first.y0
        assert first.y1 <= figure.bbox.y1
        assert not any(first.overlaps(second) for second in boxes[i + 1 :])
    for axes in figure.axes:  # the axes' box holds its scores, all of them below the points
        (words,) = axes.texts
        assert words.get_window_extent(renderer).y1 < axes.get_window_extent(renderer).y0


def test_files_are_sharp_and_small(drawn):
    figure, png, svg = drawn([panel(n=5000, seed=n) for n in range(6)], columns=3)
    with Image.open(png) as image:
        assert image.info["dpi"][0] >= 200
        assert image.size[0] == pytest.approx(image.info["dpi"][0] * figure.get_figwidth(), abs=2)
    assert png.stat().st_size < 1_000_000
    assert svg.stat().st_size < 1_000_000
    assert svg.read_text().count("<image") == 6  # points are pixels, all else is not
    assert len({axes.get_position().y0 for axes in figure.axes}) == 2


def test_points_in_one_place_are_drawn(drawn):
    one = ClusterPanel(
        title="constant", xy_P2=np.zeros((8, 2)), classes_P=np.zeros(8, int), lines=("none",)
    )
    figure, png, _ = drawn([one])
    assert png.stat().st_size > 5000
    assert np.ptp(figure.axes[0].get_xlim()) > 0


def test_rows_are_as_equal_as_can_be():
    assert [best_columns(n) for n in (1, 2, 3, 4, 5, 6, 7, 9, 12)] == [1, 2, 3, 4, 3, 3, 4, 3, 4]
