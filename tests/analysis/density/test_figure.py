"""Pictures of densities: what is in them, and that nothing overlaps."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dacl.analysis.density.figure import ANCHOR, KEY, draw_slice, draw_units, principal_plane
from dacl.analysis.density.slices import SliceDensity
from dacl.analysis.density.units import ClassDensity


def made(name: str, units: int, bank: int = 20, seed: int = 0) -> ClassDensity:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(units + bank, 6)) + np.array([4, 0, 0, 0, 0, 0])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    density = np.sort(rng.uniform(0.6, 1.0, units))
    rank = np.arange(units)
    return ClassDensity(
        name=name, density_M=density, anchor_M=rank < units // 8, key_M=rank >= units - units // 8,
        batch_M=rank % 2, units_MD=vectors[:units], bank_LD=vectors[units:],
        bank_key_L=np.arange(bank) < bank // 2, active_batches=2,
    )  # fmt: skip


@pytest.fixture
def drawn(saved_figures):
    """The figure that a call saves."""
    return saved_figures


@pytest.mark.parametrize("count", [1, 3, 6])
def test_units_have_two_axes_a_class_and_nothing_overlaps(tmp_path: Path, drawn, count):
    classes = [made(f"organ {n}", 200, seed=n) for n in range(count)]
    paths = [tmp_path / "u.png", tmp_path / "u.svg"]
    draw_units(paths, classes, title="synthetic, made up")
    assert all(path.stat().st_size > 5000 for path in paths)
    figure = drawn[0]
    axes = [a for a in figure.axes if a.get_visible()]
    assert len(axes) == 2 * count
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [a.get_tightbbox(renderer) for a in axes] + [
        figure.legends[0].get_window_extent(renderer)
    ]
    boxes.append(figure._suptitle.get_window_extent(renderer))
    for number, box in enumerate(boxes):
        assert figure.bbox.x0 - 1 <= box.x0
        assert box.x1 <= figure.bbox.x1 + 1
        for other in boxes[number + 1 :]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(width, height) < 2


def test_the_histogram_holds_all_units_and_marks_the_two_ends(tmp_path: Path, drawn):
    found = made("LV", 160)
    draw_units([tmp_path / "u.png"], [found], title="")
    lower = drawn[0].axes[1]
    assert sum(
        bar.get_height() for bar in lower.patches if hasattr(bar, "get_width")
    ) == pytest.approx(100)
    means = {line.get_color(): line.get_xdata()[0] for line in lower.lines}
    assert means[ANCHOR] == pytest.approx(found.density_M[found.anchor_M].mean())
    assert means[KEY] == pytest.approx(found.density_M[found.key_M].mean())


def test_a_class_of_one_unit_is_left_out_and_none_at_all_is_said(tmp_path: Path, drawn):
    draw_units([tmp_path / "u.png"], [made("LV", 40), made("RV", 1)], title="")
    assert len([a for a in drawn[0].axes if a.get_visible()]) == 2
    with pytest.raises(ValueError, match="no class"):
        draw_units([tmp_path / "v.png"], [made("RV", 1)], title="")
    assert not (tmp_path / "v.png").exists()


@pytest.mark.parametrize(("at_random", "words"), [(False, "sparse end"), (True, "at random")])
def test_the_legend_says_how_anchors_were_chosen(tmp_path: Path, drawn, at_random, words):
    draw_units([tmp_path / "u.png"], [made("LV", 50)], title="t", at_random=at_random)
    assert words in drawn[0].legends[0].get_texts()[0].get_text()


@pytest.mark.parametrize("bank", [0, 5])
def test_the_legend_names_a_bank_only_where_there_is_one(tmp_path: Path, drawn, bank):
    draw_units([tmp_path / "u.png"], [made("LV", 50, bank=bank)], title="t")
    texts = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert texts.count("memory bank") == (bank > 0)
    assert {"all units", "anchors"} < set(texts)


def test_equal_units_without_a_bank_are_drawn(tmp_path: Path):
    found = made("LV", 30, bank=0)
    same = ClassDensity(**{
        field: getattr(found, field) for field in found.__slots__
    } | {"units_MD": np.ones((30, 6)) / 6**0.5, "density_M": np.ones(30)})  # fmt: skip
    draw_units([tmp_path / "u.png"], [same], title="")
    assert (tmp_path / "u.png").is_file()


def test_the_plane_keeps_what_spreads_most():
    rng = np.random.default_rng(0)
    units = rng.normal(size=(50, 5)) * [5, 0.1, 3, 0.1, 0.1]
    plane, others = principal_plane(units, units[:3] + 0.0)
    np.testing.assert_allclose(np.abs(plane.std(axis=0)), units.std(axis=0)[[0, 2]], rtol=0.05)
    np.testing.assert_allclose(others, plane[:3])


def a_slice(**changes) -> SliceDensity:
    truth = np.zeros((30, 24), np.uint8)
    truth[8:20, 6:18] = 1
    density = np.where(np.roll(truth, 1) > 0, 0.9, np.nan)
    density[12, 12] = 0.5
    fields = {
        "case": "p1", "z": 2, "spacing_mm": (10.0, 1.5, 1.2), "image_HW": np.random.rand(30, 24),
        "truth_HW": truth, "predicted_HW": np.roll(truth, 1), "density_HW": density,
        "anchor_HW": np.nan_to_num(density) == 0.5,
    }  # fmt: skip
    return SliceDensity(**(fields | changes))


def test_a_slice_has_four_pictures_and_its_anchors(tmp_path: Path, drawn):
    draw_slice([tmp_path / "s.png", tmp_path / "s.svg"], a_slice(), ("background", "LV"), title="t")
    titles = [axes.get_title() for axes in drawn[0].axes[:4]]
    assert titles == ["image", "reference", "prediction", "density"]
    (dots,) = (line for line in drawn[0].axes[3].lines if line.get_color() == ANCHOR)
    assert len(dots.get_xdata()) == 1
    assert (tmp_path / "s.svg").is_file()


def test_an_empty_prediction_is_drawn_and_said(tmp_path: Path, drawn):
    nothing = np.zeros((30, 24), np.uint8)
    found = a_slice(
        predicted_HW=nothing, density_HW=np.full((30, 24), np.nan), anchor_HW=nothing > 0
    )
    draw_slice([tmp_path / "s.png"], found, ("background", "LV"), title="t")
    assert any("nothing" in text.get_text() for text in drawn[0].axes[3].texts)
