"""What progress.png shows, for a journal of each method and for the odd ones."""

import math

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dacl.palette import class_ink
from dacl.training.health import COLLAPSED_AGREEMENT, DOMINANT_SHARE
from dacl.training.journal import Journal
from dacl.training.progress import WARNING, chosen_panels, draw_progress
from dacl.training.records import warning_record

NAMES = ("RV", "Myo", "LV")
ALWAYS = ["loss terms, before their weights", "validation Dice", "features of annotated pixels"]
FEATURES = ("feature_compactness", "feature_density")
CO_TRAINING = [
    "confident share of pseudo-labels",
    "agreement of the networks",
    "pseudo-labels on validation",
]
CONTRAST = [
    "bank fill and anchors",
    "density of the contrast's units",
    "spread of positiveness",
    "gradient share of the contrast",
]
PER_CLASS = ("bank_fill", "anchors", "density", "key_density", "anchor_density", "weight_spread")


def by_class(value):
    return {name: value + 0.01 * i for i, name in enumerate(NAMES)}


def train(step, parts=("supervised",), **diagnostics):
    losses = {name: 1.0 / (step + i) for i, name in enumerate(parts)}
    diagnostics |= {key: by_class(0.8 - 0.1 * i) for i, key in enumerate(FEATURES)}
    return {"kind": "train", "step": step, "parts": losses, "diagnostics": diagnostics}


def val(step, networks=("a",), **more):
    return {"kind": "val", "step": step, "dice": {n: by_class(0.5) for n in networks}, **more}


def supervised():
    return [train(5), val(5), train(10), val(10)]


def cps():
    records = []
    for step in (5, 10, 15):
        health = {"confident": by_class(0.6), "agreement": by_class(0.8)}
        measured = {f"pseudo_label_{m}": {n: by_class(0.7) for n in "ab"} for m in ("precision", "recall")}  # fmt: skip
        records.append(train(step, ("supervised", "cross"), **health))
        records.append(val(step, ("a", "b", "mean"), agreement=by_class(0.9), **measured))
    return records


def dacl():
    records = cps()
    for i, record in enumerate(records):
        if record["kind"] == "train":
            record["diagnostics"] |= {key: by_class(0.3 + i) for key in PER_CLASS}
            record["diagnostics"]["gradient_share"] = 0.4 if record["step"] > 5 else None
            record["parts"]["contrast"] = 0.0 if record["step"] == 5 else 2.0
    return records


@pytest.fixture
def drawn(saved_figures, tmp_path):
    """Draw and keep the figure."""

    def draw(records):
        (tmp_path / "progress.partial.png").write_bytes(b"of a kill")
        draw_progress(records, tmp_path / "progress.png")
        assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")
        assert not (tmp_path / "progress.partial.png").exists()
        return saved_figures[-1]

    return draw


def axes_of(figure, title):
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left") == title]
    return axes


def curves(axes):
    """(colour, style, x, y) of every line that holds data."""
    return [
        (line.get_color(), line.get_linestyle(), list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.lines
        if line.get_zorder() > 1
    ]


@pytest.mark.parametrize(
    ("records", "titles"),
    [
        (supervised(), ALWAYS),
        (cps(), ALWAYS + CO_TRAINING),
        (dacl(), ALWAYS + CO_TRAINING + CONTRAST),
    ],
    ids=["supervised", "cps", "dacl"],
)
def test_a_method_has_the_panels_it_has_numbers_for(drawn, records, titles):
    figure = drawn(records)
    assert [title for axes in figure.axes if (title := axes.get_title(loc="left"))] == titles


@pytest.mark.parametrize("records", [supervised(), cps(), [*dacl(), warning_record(10, "no")]])
def test_nothing_overlaps(drawn, records):
    figure = drawn(records)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    titled = [axes for axes in figure.axes if axes.get_title(loc="left")]
    boxes = [axes.get_tightbbox(renderer) for axes in titled]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    for i, first in enumerate(boxes):
        assert figure.bbox.x0 <= first.x0
        assert first.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 <= first.y0
        assert first.y1 <= figure.bbox.y1 + 1
        assert not any(first.overlaps(second) for second in boxes[i + 1 :])
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is None or legend.get_window_extent(renderer).y0 >= axes.bbox.y1 - 1


def test_a_class_has_one_colour_and_a_style_one_meaning(drawn):
    figure = drawn(dacl())
    inks = [class_ink(n) for n in (1, 2, 3)]
    for title, styles in {
        "validation Dice": ["-", "--", ":"],
        "confident share of pseudo-labels": ["-"],
        "pseudo-labels on validation": ["-", "--"],
        "density of the contrast's units": ["-", "--", ":"],
    }.items():
        found = [(color, style) for color, style, *_ in curves(axes_of(figure, title))]
        assert found == [(ink, style) for style in styles for ink in inks], title
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(NAMES)
    assert [line.get_color() for line in legend.get_lines()] == inks
    names = [
        t.get_text()
        for t in axes_of(figure, "density of the contrast's units").get_legend().get_texts()
    ]
    assert names == ["class", "keys", "anchors"]


def test_a_class_that_a_batch_lacks_leaves_no_gap(drawn):
    records = [
        train(5, agreement={"RV": 0.2, "Myo": 0.5}),
        train(10, agreement={"RV": None, "Myo": 0.6}),
        train(15, agreement={"RV": 0.4, "Myo": 0.7}),
    ]
    found = curves(axes_of(drawn(records), "agreement of the networks"))
    assert [(x, y) for _, _, x, y in found] == [
        ([5, 15], [0.2, 0.4]),
        ([5, 10, 15], [0.5, 0.6, 0.7]),
    ]


def test_agreement_is_drawn_of_validation_and_of_batches(drawn):
    axes = axes_of(drawn(cps()), "agreement of the networks")
    found = [(style, y) for _, style, _, y in curves(axes)]
    assert [style for style, _ in found] == ["-"] * 3 + ["--"] * 3
    assert [y[0] for _, y in found] == pytest.approx([0.9, 0.91, 0.92, 0.8, 0.81, 0.82])
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["validation (line: 0.99)", "batches, dropout"]


def test_a_journal_from_before_agreement_was_validated_has_no_line_to_cross(drawn):
    records = [{k: v for k, v in r.items() if k != "agreement"} for r in cps()]
    axes = axes_of(drawn(records), "agreement of the networks")
    assert [line for line in axes.lines if line.get_zorder() < 1] == []
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["batches, dropout"]


def test_bounds_and_warnings_are_marked(drawn):
    figure = drawn([*dacl(), warning_record(10, "one"), warning_record(10, "two")])
    for title, bound in (("agreement of the networks", COLLAPSED_AGREEMENT),
                         ("gradient share of the contrast", DOMINANT_SHARE)):  # fmt: skip
        lines = [line for line in axes_of(figure, title).lines if line.get_zorder() < 1]
        assert [list(line.get_ydata()) for line in lines] == [[bound, bound], [0, 1]]
        assert list(lines[1].get_xdata()) == [10, 10]
        assert lines[1].get_color() == WARNING
    (legend,) = figure.legends
    assert legend.get_texts()[-1].get_text().startswith("warning")


def test_anchors_have_a_scale_of_their_own(drawn):
    figure = drawn(dacl())
    (right,) = [axes for axes in figure.axes if not axes.get_title(loc="left")]
    assert [style for _, style, *_ in curves(right)] == [":"] * 3
    assert right.get_ylim()[1] > 4.3  # the most anchors
    assert axes_of(figure, "bank fill and anchors").get_ylim()[1] < 1.1


def test_precision_is_the_mean_of_the_networks_where_it_is_defined():
    precision = {"a": {"RV": 0.2, "Myo": None, "LV": None}, "b": {"RV": 0.4, "Myo": 0.7, "LV": None}}  # fmt: skip
    (panel,) = chosen_panels([val(5, pseudo_label_precision=precision)])[2:]
    assert panel.lines[0].curves == {"RV": [pytest.approx(0.3)], "Myo": [0.7]}


@pytest.mark.parametrize(
    "records",
    [
        [],
        [train(5)],
        [val(4)],
        [train(5, ("supervised", "contrast", "c", "d", "e"))],
        [{**train(5), "parts": {"supervised": 0.0}}],
        [val(4, dice={"a": {"RV": None, "Myo": None}})],
        [train(5, density={"RV": None}, anchor_density={"RV": None})],
        [train(5), train(10, anchors=by_class(1.0)), train(15)],
        [train(5, agreement=0.5, gradient_share=by_class(0.4), bank_fill=0.2, anchors=3.0)],
        [train(5, bank_fill=by_class(0.0), anchors=by_class(-0.02))],
        [train(5, gradient_share=math.nan)],
        [warning_record(5, "alone")],
    ],
    ids=lambda records: f"{len(records)}",
)
def test_odd_journals_are_drawn(drawn, records):
    drawn(records)


def test_the_journal_draws_beside_itself(tmp_path):
    journal = Journal(tmp_path)
    for record in dacl():
        journal.append(record)
    assert journal.draw() == tmp_path / "progress.png"
    assert (tmp_path / "progress.png").exists()


def test_without_matplotlib_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("dacl.training.journal.find_spec", lambda _: None)
    assert Journal(tmp_path).draw() is None
