"""Pictures of ablations: what is marked, and that nothing covers anything else."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dacl.analysis.ablation_figures import (
    MARKED,
    PAPER,
    PLAIN,
    DifferenceDots,
    RowDots,
    SweepDots,
    draw_rows,
    draw_sweep,
    tick_places,
)


@pytest.fixture
def drawn(saved_figures, tmp_path):
    def draw(what, dots, **options):
        path = tmp_path / "out" / "figure.png"
        what(path, dots, **options)
        assert path.read_bytes().startswith(b"\x89PNG")
        return saved_figures[-1]

    return draw


def difference(points, low, high, excludes_zero):
    return DifferenceDots(points=points, low=low, high=high, excludes_zero=excludes_zero)


ROWS = [
    RowDots(label="labeled-only: labelled only", dice_percent_by_seed=(50.0, 51.0),
            difference=difference(-30.0, -32.0, -28.0, True), apart=True),
    RowDots(label="I: cross pseudo supervision", dice_percent_by_seed=(80.0, 82.0), printed_percent=85.7),
    RowDots(label="II: + plain contrast", dice_percent_by_seed=(81.0, 82.5),
            difference=difference(0.75, -0.2, 1.5, False)),
    RowDots(label="VI-anchors: + negatives from anchors", dice_percent_by_seed=(84.0, 85.0),
            difference=difference(3.5, 2.0, 4.0, True)),
]  # fmt: skip


def boxes(figure, texts):
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    return [text.get_window_extent(renderer) for text in texts if text.get_text()]


def assert_apart(found, within):
    for number, box in enumerate(found):
        assert within.x0 <= box.x0
        assert box.x1 <= within.x1
        assert not any(box.overlaps(other) for other in found[:number])


def colors(axes):
    return [line.get_color() for line in axes.lines if line.get_marker() == "s"]


def test_rows_hold_seeds_means_printed_numbers_and_differences(drawn):
    figure = drawn(draw_rows, ROWS, title="acdc, test: ablation", difference_to="I")
    dice, differences = figure.axes[:2]
    seeds = [list(line.get_xdata()) for line in dice.lines if line.get_color() == PLAIN]
    assert seeds == [list(row.dice_percent_by_seed) for row in ROWS]
    means = [line.get_xdata()[0] for line in dice.lines if line.get_marker() == "o"][::2]
    assert means == [50.5, 81.0, 81.75, 84.5]
    [printed] = [line for line in dice.lines if line.get_marker() == "D"]
    assert (printed.get_xdata()[0], printed.get_markeredgecolor()) == (85.7, PAPER)
    assert printed.get_markerfacecolor() == "none"
    # the baseline is written and not drawn, or nothing else could be told apart
    assert colors(differences) == [PLAIN, MARKED]
    assert differences.get_xlim()[0] > -2
    [edge] = differences.child_axes
    assert [text.get_text() for text in edge.get_yticklabels()] == [
        "-30.00 [-32.00, -28.00]", "", "+0.75 [-0.20, +1.50]", "+3.50 [+2.00, +4.00]",
    ]  # fmt: skip
    assert differences.get_xlabel() == "difference to I, points of Dice"
    assert figure.get_suptitle() == "acdc, test: ablation"


def test_rows_apart_are_drawn_where_there_are_no_others(drawn):
    figure = drawn(draw_rows, ROWS[:2], title="t", difference_to="I")
    assert colors(figure.axes[1]) == [MARKED]


def test_no_label_covers_another_or_leaves_the_picture(drawn):
    figure = drawn(draw_rows, ROWS * 3, title="t", difference_to="I")
    dice, differences = figure.axes[:2]
    [edge] = differences.child_axes
    labels = [*dice.get_yticklabels(), *edge.get_yticklabels(), *dice.get_xticklabels()]
    assert_apart(boxes(figure, [*labels, dice.xaxis.label, differences.xaxis.label]), figure.bbox)
    assert_apart(boxes(figure, figure.legends[0].get_texts()), figure.bbox)


def test_one_seed_says_so_and_has_no_second_panel_without_differences(drawn):
    rows = [RowDots(label="I", dice_percent_by_seed=(80.0,))]
    figure = drawn(draw_rows, rows, title="phantom (synthetic), test: ablation", difference_to="I")
    assert len(figure.axes) == 1
    assert figure.get_suptitle().startswith("phantom (synthetic)")
    assert "one seed" in figure.get_suptitle()


def panel(labels, **options):
    values = tuple((80.0 + n, 81.0 + n) for n in range(len(labels)))
    return SweepDots(parameter="x", labels=labels, dice_percent_by_seed=values, **options)


def test_a_sweep_marks_the_full_method_and_the_papers_value(drawn):
    panels = [
        panel(("0.1", "0.5", "1", "2", "ramp"), full="ramp", paper="1"),
        panel(("0.2", "0.4", "0.8"), full="0.4"),
    ]
    figure = drawn(draw_sweep, panels, title="t")
    first, second = figure.axes
    assert [tick.get_text() for tick in first.get_xticklabels()] == list(panels[0].labels)
    [star] = [line for line in first.lines if line.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_color()) == (4.0, MARKED)
    [paper] = [line for line in first.lines if line.get_marker() == "^"]
    assert paper.get_xdata()[0] == 2.0
    assert [line.get_xdata()[0] for line in second.lines if line.get_marker() == "*"] == [0.4]
    assert not [line for line in second.lines if line.get_marker() == "^"]
    assert first.get_ylim() == second.get_ylim()
    for axes in figure.axes:
        assert_apart(boxes(figure, axes.get_xticklabels()), figure.bbox)


def test_a_value_without_runs_keeps_its_place(drawn):
    dots = SweepDots(
        parameter="tau", labels=("0.2", "0.4"), dice_percent_by_seed=((), (80.0,)), full="0.4"
    )
    [axes] = drawn(draw_sweep, [dots], title="t").axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.2", "0.4"]


def test_numbers_stand_at_their_value_unless_words_or_crowds_forbid_it():
    assert tick_places(("0.2", "0.4", "0.8")) == [0.2, 0.4, 0.8]
    assert tick_places(("0.1", "ramp")) == [0.0, 1.0]
    assert tick_places(("0", "1", "1000")) == [0.0, 1.0, 2.0]
    assert tick_places(("0.4",)) == [0.0]
