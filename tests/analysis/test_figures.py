"""Overlays: which slices, which colours, and that nothing covers anything else."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from dacl.analysis import figures
from dacl.analysis.figures import chosen_slices, draw_overlay
from dacl.palette import class_color

CLASSES = ("background", "right ventricle", "myocardium", "left ventricle")


@pytest.fixture
def drawn(saved_figures, tmp_path: Path):
    """Draw and keep the figure."""

    def draw(truth: np.ndarray, pred: np.ndarray, names: tuple = CLASSES) -> Figure:
        image = np.linspace(0, 1, truth.size, dtype=np.float32).reshape(truth.shape)
        path = tmp_path / "out" / "overlay.png"
        draw_overlay(
            path,
            image,
            truth,
            pred,
            class_names=names,
            spacing_mm=(8.0, 2.0, 1.0),
            title="one\ntwo",
        )
        assert path.read_bytes().startswith(b"\x89PNG")
        return saved_figures[-1]

    return draw


def volume(slices: list[int], n: int = 10) -> np.ndarray:
    label = np.zeros((n, 40, 50), np.uint8)
    for z in slices:
        label[z, 10:30, 15:35] = 1
        label[z, 15:25, 20:30] = 2
        label[z, 17:22, 22:27] = 3
    return label


def test_slices_are_spread_over_the_foreground_of_either_mask() -> None:
    assert chosen_slices(volume([2, 3, 4]), volume([5, 6, 7, 8])) == [2, 4, 6, 8]
    assert chosen_slices(volume([4]), volume([])) == [4]
    assert chosen_slices(volume([]), volume([])) == [5]


def test_columns_and_rows_are_labelled(drawn) -> None:
    figure = drawn(volume([2, 3]), volume([3]))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:4] == ["image", "reference", "prediction", "errors"]
    assert [axes.get_ylabel() for axes in figure.axes[::4]] == ["slice 3 of 10", "slice 4 of 10"]
    legend = {text.get_text() for box in figure.legends for text in box.get_texts()}
    assert legend == {*CLASSES[1:], *figures.ERRORS}


@pytest.mark.parametrize("slices", [[4], [2, 3], list(range(10))])
@pytest.mark.parametrize("n_classes", [4, 14])
def test_nothing_overlaps(drawn, slices: list[int], n_classes: int) -> None:
    names = ("background", *CLASSES[1:], *(f"organ number {i}" for i in range(4, n_classes)))
    figure = drawn(volume(slices), volume(slices), names)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    assert figure.texts[0].get_text() == "one\ntwo"
    for i, first in enumerate(boxes):
        assert figure.bbox.x0 <= first.x0
        assert first.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= first.y0
        assert first.y1 <= figure.bbox.y1
        assert not any(first.overlaps(second) for second in boxes[i + 1 :])


def test_errors_are_told_apart(drawn) -> None:
    truth, pred = volume([4]), volume([4])
    truth[4, 10:12, 15:35] = 0  # spurious in the prediction
    pred[4, 28:30, 15:35] = 0  # missed
    pred[4, 15, 20:30] = 1  # of another class
    colors = drawn(truth, pred).axes[3].images[1].get_array()
    opaque = colors[colors[..., 3] > 0][:, :3]
    found = {
        tuple(color): int((opaque == color).all(axis=1).sum())
        for color in np.unique(opaque, axis=0)
    }
    assert found == {
        to_rgb(figures.SPURIOUS): 40,
        to_rgb(figures.MISSED): 40,
        to_rgb(figures.CONFUSED): 10,
    }


def test_contours_stand_between_the_voxels_of_a_class_in_its_colour(drawn) -> None:
    truth = np.zeros((1, 40, 50), np.uint8)
    truth[0, :20, 15:35] = 2
    axes = drawn(truth, truth).axes[1]
    (contour,) = axes.collections
    assert to_rgb(contour.get_edgecolor()[0][:3]) == to_rgb(class_color(2))
    (path,) = contour.get_paths()
    left, top = path.vertices.min(axis=0)
    right, bottom = path.vertices.max(axis=0)
    crop = 15 - 8  # margin of at least 8 pixels around the foreground
    assert (left, right) == (15 - 0.5 - crop, 34 + 0.5 - crop)
    assert (top, bottom) == (-0.5, 19.5)


def test_an_empty_case_is_drawn_whole(drawn) -> None:
    figure = drawn(volume([]), volume([]))
    assert figure.axes[0].images[0].get_array().shape == (40, 50)


def test_the_absence_of_matplotlib_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures.why_no_pictures() is None
    monkeypatch.setattr(figures, "find_spec", lambda _name: None)
    assert "matplotlib is not installed" in (figures.why_no_pictures() or "")
