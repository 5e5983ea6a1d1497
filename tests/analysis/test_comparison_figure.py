"""The dot plot of a comparison: what is marked, what is where, and that nothing covers anything else."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dacl.analysis.ablation_figures import MARKED, PLAIN
from dacl.analysis.comparison_figure import DifferencePanel, DifferenceRow, draw_comparison


def row(label, mean, low, high, *, patients=(), claim=False, color="#4A9DCC"):
    return DifferenceRow(
        label=label, color=color, patients=patients or (low, mean, high), mean=mean, low=low, high=high, claim=claim,
    )  # fmt: skip


ROWS = (
    row("RV", -1.5, -3.5, 0.5, patients=(*np.linspace(-4, 1, 40), -90.0, 80.0)),
    row("Myo", 2.0, 0.5, 3.5, claim=True),
    row("foreground mean", 0.25, -0.5, 1.0, color="#777777"),
)
LONG = "dacl, contrast.sampling=random, contrast.scales=[16], contrast.bank_size=0, contrast.positiveness=none"


def panel(rows=ROWS, *, side="dacl", reference="cps", warning=None):
    return DifferencePanel(
        title=side, left=f"{reference} better", right=f"{side} better", rows=rows, warning=warning
    )


@pytest.fixture
def drawn(saved_figures, tmp_path):
    def draw(*panels, title="acdc, test: dacl minus cps", endings=(".png",)):
        paths = [tmp_path / "out" / f"figure{ending}" for ending in endings]
        draw_comparison(
            paths, panels, title=title, unit="difference, points of Dice", interval="95 % interval"
        )
        assert all(path.stat().st_size > 1000 for path in paths)
        return saved_figures[-1]

    return draw


def texts(figure):
    """Every text of the picture that is not empty."""
    found = [*figure.legends[0].get_texts(), figure._suptitle]
    for axes in figure.axes:
        found += [*axes.get_yticklabels(), *axes.get_xticklabels(), *axes.texts, axes.xaxis.label]
        found += [axes._left_title, *axes.child_axes[0].get_yticklabels()]
    return [text for text in found if text.get_text() and text.get_visible()]


def assert_nothing_covers(figure):
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts(figure)]
    boxes = [(text, box) for text, box in boxes if box.width > 0]
    for number, (text, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0, text
        assert box.x1 <= figure.bbox.x1, text
        for other, second in boxes[:number]:
            assert not box.overlaps(second), (text, other)


def marks(axes):
    return [line for line in axes.lines if line.get_marker() == "s"]


def test_means_intervals_claims_and_patients_are_where_they_belong(drawn):
    figure = drawn(panel())
    [axes] = figure.axes
    assert [line.get_xdata()[0] for line in marks(axes)] == [-1.5, 2.0, 0.25]
    assert [line.get_color() for line in marks(axes)] == [PLAIN, MARKED, PLAIN]
    bars = [collection.get_segments()[0][:, 0].tolist() for collection in axes.collections]
    assert bars == [[-3.5, 0.5], [0.5, 3.5], [-0.5, 1.0]]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [40, 3, 3]
    assert [line.get_color() for line in dots] == [each.color for each in ROWS]
    # a patient keeps within the row
    assert all(abs(y - place) < 0.3 for place, line in enumerate(dots) for y in line.get_ydata())
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "RV",
        "Myo",
        "foreground mean",
    ]
    assert [label.get_text() for label in axes.child_axes[0].get_yticklabels()] == [
        "-1.50 [-3.50, +0.50]", "+2.00 [+0.50, +3.50]", "+0.25 [-0.50, +1.00]",
    ]  # fmt: skip
    # the first row is on top
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_far_patients_are_arrows_at_the_edge_and_do_not_set_the_scale(drawn):
    figure = drawn(panel())
    [axes] = figure.axes
    low, high = axes.get_xlim()
    assert -6 < low < -3.5
    assert 3.5 < high < 6
    arrows = {
        line.get_marker(): line.get_xdata()[0] for line in axes.lines if line.get_marker() in "<>"
    }
    assert arrows == {"<": low, ">": high}
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "a patient beyond the axis" in said
    near = drawn(panel(ROWS[1:]))
    assert "a patient beyond the axis" not in [t.get_text() for t in near.legends[0].get_texts()]


def test_who_is_better_on_which_side_of_zero_is_written_at_the_ends(drawn):
    [axes] = drawn(panel()).axes
    left, right = axes.texts
    assert (left.get_text(), right.get_text()) == ("← cps better", "dacl better →")
    assert (left.xy[0], right.xy[0]) == (0.0, 1.0)
    assert axes.get_xlim()[0] < 0 < axes.get_xlim()[1]


def test_zero_is_on_the_axis_where_all_differences_are_on_one_side(drawn):
    [axes] = drawn(panel((row("RV", 5.0, 4.0, 6.0),))).axes
    assert axes.get_xlim()[0] < 0


def test_no_difference_at_all_can_be_drawn(drawn):
    [axes] = drawn(panel((row("RV", 0.0, 0.0, 0.0),))).axes
    low, high = axes.get_xlim()
    assert low < 0 < high


def test_panels_share_an_axis_and_bear_their_names_and_warnings(drawn):
    figure = drawn(panel(), panel(side="supervised", warning="NOT COMPARABLE (forced)"))
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_title(loc="left") == "dacl"
    assert second.get_title(loc="left") == "supervised\nNOT COMPARABLE (forced)"
    assert second._left_title.get_color() != first._left_title.get_color()
    # alone, the title of the picture names the sides
    [alone] = drawn(panel(warning="NOT COMPARABLE (forced)")).axes
    assert alone.get_title(loc="left") == "NOT COMPARABLE (forced)"


@pytest.mark.parametrize("n_rows", [1, 3, 13])
def test_no_text_covers_another_or_leaves_the_picture(drawn, n_rows):
    rows = tuple(row(f"a class of long name {n}", -15.5, -123.25, 121.25) for n in range(n_rows))
    title = f"acdc (synthetic), test: differences to {LONG}, Dice, network a"
    assert_nothing_covers(
        drawn(
            panel(rows, side=LONG, reference=LONG),
            panel(rows, warning="NOT COMPARABLE"),
            title=title,
        )
    )


def test_the_files_are_what_their_endings_say_and_the_same_each_time(drawn, tmp_path):
    drawn(panel(), endings=(".png", ".svg"))
    out = tmp_path / "out"
    first = (out / "figure.svg").read_bytes()
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in first
    drawn(panel(), endings=(".png", ".svg"))
    assert (out / "figure.svg").read_bytes() == first
