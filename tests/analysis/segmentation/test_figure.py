"""The picture of segmentations: what stands in its cells, and that nothing covers anything else."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from PIL import Image

from dacl.analysis.segmentation.figure import (
    DICE_NOTE,
    ERROR_LABEL,
    CaseRow,
    compose,
    draw_segmentations,
)
from dacl.analysis.segmentation.hatching import STROKES
from dacl.palette import class_color

CLASSES = ("background", "RV", "Myo", "LV")
WHITE = to_rgb(STROKES[-1][0])


def truth() -> np.ndarray:
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 30:50] = 1
    mask[25:35, 35:45] = 2
    return mask


def row(*predictions: np.ndarray, **changes: object) -> CaseRow:
    label = changes.pop("truth_HW", truth())
    options = {
        "caption": "Median: p1, slice 2 of 7 (most foreground)",
        "image_HW": np.random.default_rng(0).normal(size=label.shape) + 5 * label,
        "truth_HW": label,
        "predictions_HW": predictions,
        "dice": [0.5] * len(predictions),
        "spacing_yx": (1.0, 1.0),
    }
    return CaseRow(**(options | changes))


def shifted(rows: int = 2) -> np.ndarray:
    return np.roll(truth(), rows, axis=0)


def draw(
    rows: list[CaseRow], labels: list[str], names: tuple[str, ...] = CLASSES, **texts: str
) -> Figure:
    return compose(rows, labels, class_names=names, **texts)


def colors_of(axes) -> set[tuple[float, ...]]:
    return {
        to_rgb(contours.get_edgecolor()[0][:3])
        for contours in axes.collections
        if isinstance(contours, ContourSet)
    }


def test_columns_are_the_truth_and_the_runs() -> None:
    figure = draw([row(shifted(), truth())], ["CPS", "DACL"], title="one", note="two")
    written = [text.get_text() for text in figure.texts]
    for said in ("truth", "CPS", "DACL", "one", "two", *CLASSES[1:], ERROR_LABEL, DICE_NOTE):
        assert said in written
    assert "Median: p1, slice 2 of 7 (most foreground)" in written
    assert len(figure.axes) == 3


def test_the_truth_has_contours_and_no_errors_and_a_prediction_has_both() -> None:
    of_truth, wrong, right = draw([row(shifted(), truth())], ["a", "b"]).axes
    classes = {to_rgb(class_color(1)), to_rgb(class_color(2))}
    assert colors_of(of_truth) == classes
    assert colors_of(wrong) == classes | {WHITE}
    assert colors_of(right) == classes
    assert [bool(axes.patches) for axes in (of_truth, wrong, right)] == [False, True, False]


def test_errors_are_outlined_where_masks_differ() -> None:
    axes = draw([row(shifted(2))], ["a"]).axes[1]
    (outline,) = [c for c in axes.collections if to_rgb(c.get_edgecolor()[0][:3]) == WHITE]
    (path,) = outline.get_paths()
    assert path.vertices.min(axis=0) == pytest.approx((29.5, 19.5))
    assert path.vertices.max(axis=0) == pytest.approx((49.5, 41.5))
    # Between the two bands the masks agree.
    assert not path.contains_point((32, 30))
    for patch in axes.patches:
        for x, y in patch.get_path().vertices:
            at = int(np.rint(y)), int(np.rint(x))
            assert truth()[at] != shifted(2)[at]


def test_every_cell_of_a_row_shows_the_same_square_in_the_same_greys() -> None:
    figure = draw([row(shifted(), shifted(5)), row(truth(), truth())], ["a", "b"])
    first, second = figure.axes[:3], figure.axes[3:]
    for cells in (first, second):
        assert len({(axes.get_xlim(), axes.get_ylim()) for axes in cells}) == 1
        greys = [np.asarray(axes.images[0].get_array()) for axes in cells]
        assert all(np.array_equal(grey, greys[0]) for grey in greys)
        assert {axes.images[0].get_clim() for axes in cells} == {(0, 1.15)}
        assert greys[0].max() == 1
    boxes = [axes.get_position() for axes in figure.axes]
    width, height = figure.get_size_inches()
    assert all(b.width * width == pytest.approx(b.height * height) for b in boxes)


def test_a_speck_far_away_is_in_the_picture() -> None:
    speck = truth()
    speck[57, 2] = 1
    near, far = (draw([row(mask)], ["a"]).axes[0] for mask in (truth(), speck))
    assert near.get_xlim()[0] > 2
    assert far.get_xlim()[0] < 1.5
    assert far.get_ylim()[0] > 57.5


def test_the_number_is_of_the_volume_in_percent() -> None:
    figure = draw([row(shifted(), truth(), dice=[0.8349, np.nan])], ["a", "b"])
    assert not figure.axes[0].texts
    assert [axes.texts[0].get_text() for axes in figure.axes[1:]] == ["83.5", "n/a"]
    assert "whole volume" in DICE_NOTE


def test_contours_run_between_voxels() -> None:
    axes = draw([row(truth())], ["a"]).axes[0]
    outer, inner = axes.collections
    assert outer.get_paths()[0].vertices.min(axis=0) == pytest.approx((29.5, 19.5))
    assert inner.get_paths()[0].vertices.max(axis=0) == pytest.approx((44.5, 34.5))


LONG = (
    "Most different of the others: "
    + "case_of_a_long_name_" * 5
    + ", slice 1 of 9 (errors differ most)"
)


@pytest.mark.parametrize(("n_runs", "n_classes"), [(1, 2), (3, 15), (4, 4), (11, 15)])
def test_nothing_overlaps_and_everything_is_legible(n_runs: int, n_classes: int) -> None:
    names = ("background", *CLASSES[1:], *(f"organ number {i}" for i in range(4, 15)))[:n_classes]
    labels = ["labeled-only-seed0", "CPS", "a_very_long_name_of_a_method", *"defghijk"][:n_runs]
    rows = [
        row(*[np.minimum(shifted(), n_classes - 1)] * n_runs, caption=text)
        for text in ("Worst: p", LONG)
    ]
    figure = draw(
        rows, labels, names, title="phantom: synthetic data, not scans", note="note " * 40
    )
    width = figure.get_size_inches()[0]
    assert width == pytest.approx(3.5 if n_runs <= 3 else 7.2)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [axes.get_window_extent(renderer) for axes in figure.axes]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    boxes += [artist.get_window_extent(renderer) for artist in figure.lines[: n_classes - 1]]
    slack = 0.5
    for i, first in enumerate(boxes):
        assert figure.bbox.x0 - slack <= first.x0
        assert first.x1 <= figure.bbox.x1 + slack
        assert figure.bbox.y0 - slack <= first.y0
        assert first.y1 <= figure.bbox.y1 + slack
        # Lines of text touch: their boxes hold room for letters that go higher and lower than any here.
        for second in boxes[i + 1 :]:
            across = min(first.x1, second.x1) - max(first.x0, second.x0)
            down = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert across <= slack or down <= 2 * slack, (first, second)
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    assert min(text.get_fontsize() for text in texts) >= 6
    for axes in figure.axes:
        for text in axes.texts:
            inside = text.get_window_extent(renderer)
            assert axes.bbox.x0 <= inside.x0 < inside.x1 <= axes.bbox.x1


@pytest.mark.parametrize(
    ("label", "prediction"),
    [
        (truth(), np.zeros((60, 80), np.uint8)),
        (np.zeros((60, 80), np.uint8), truth()),
        (np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)),
        (truth()[:, 40:44], truth()[:, 40:44]),
        (truth()[30:31], truth()[30:31]),
        (truth() * 0 + 3, truth()),
    ],
    ids=["empty prediction", "empty truth", "both empty", "narrow", "one row", "all foreground"],
)
def test_the_unusual_is_drawn(tmp_path: Path, label: np.ndarray, prediction: np.ndarray) -> None:
    path = tmp_path / "figure.svg"
    unusual = row(prediction, truth_HW=label, spacing_yx=None, image_HW=np.zeros(label.shape))
    draw_segmentations([path], [unusual], ["a"], class_names=CLASSES)
    assert "<svg" in path.read_text()


def test_names_with_dollars_are_names() -> None:
    figure = draw([row(truth(), caption="Named: a$b$c, slice 1 of 1")], ["$x$"], note="$")
    FigureCanvasAgg(figure).draw()
    assert not any(text.get_parse_math() for text in figure.texts)


def test_files_are_small_sharp_and_of_the_column_s_width(tmp_path: Path) -> None:
    paths = [tmp_path / "out" / f"figure.{suffix}" for suffix in ("png", "svg", "pdf")]
    draw_segmentations(
        paths, [row(shifted(), truth(), shifted(9))], ["a", "b", "c"], class_names=CLASSES
    )
    assert all(0 < path.stat().st_size < 1_000_000 for path in paths)
    with Image.open(paths[0]) as image:
        assert image.width == round(3.5 * image.info["dpi"][0])
        assert image.info["dpi"][0] > 299
    svg = paths[1].read_text()
    # One scan for four cells, and contours as paths in the classes' colours.
    assert svg.count("<image") == 1
    assert svg.count(f"stroke: {class_color(1).lower()}") >= 4
    assert b"/TrueType" in paths[2].read_bytes() or b"/CIDFontType2" in paths[2].read_bytes()
