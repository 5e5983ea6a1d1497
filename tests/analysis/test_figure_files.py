"""Small files: what is left out is not seen."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dacl.analysis import figure_files
from dacl.analysis.figure_files import (
    coarser,
    round_paths,
    share_images,
    simpler_polygon,
    simplify_contours,
    write_figure,
)


def scans(image: np.ndarray, n: int = 2) -> Figure:
    figure = Figure(figsize=(2, 1))
    for i in range(n):
        axes = figure.add_axes((i / n, 0, 1 / n, 1))
        axes.imshow(image, interpolation="none", aspect="auto", cmap="gray")
        axes.set_axis_off()
    return figure


def test_blocks_take_their_mean_on_the_same_grid() -> None:
    image = np.array([[0.0, 2.0, 5.0], [4.0, 6.0, 7.0]])
    assert coarser(image, 1) is image
    # The last block is 5, 7 and the same again for what the slice lacks.
    assert coarser(image, 2).tolist() == [[3, 3, 6], [3, 3, 6]]


def test_a_polygon_keeps_its_corners_and_nothing_between_them() -> None:
    square = np.array([[0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [1, 2.05], [0, 2], [0, 0]], float)
    assert simpler_polygon(square, 0.1).tolist() == [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]
    assert [1, 2.05] in simpler_polygon(square, 0.01).tolist()
    assert simpler_polygon(square[:1], 0.1).tolist() == [[0, 0]]


def test_no_corner_moves_further_than_allowed() -> None:
    angle = np.linspace(0, 2 * np.pi, 400)
    circle = 10 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    left = simpler_polygon(circle, 0.2)
    assert 8 < len(left) < 40
    distances = []
    for point in circle:
        starts, along = left[:-1], np.diff(left, axis=0)
        share = np.clip(((point - starts) * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
        distances.append(np.linalg.norm(point - starts - share[:, None] * along, axis=1).min())
    assert max(distances) <= 0.2


def test_contours_lose_corners_but_not_their_place() -> None:
    mask = np.zeros((30, 30))
    mask[5:25, 8:20] = 1
    axes = Figure().add_subplot()
    contours = axes.contour(mask, levels=[0.5])
    before = contours.get_paths()[0].vertices
    simplify_contours(axes, 0.01)
    after = contours.get_paths()[0].vertices
    assert len(after) < len(before) / 4
    assert after.min(axis=0).tolist() == before.min(axis=0).tolist() == [7.5, 4.5]
    assert after.max(axis=0).tolist() == before.max(axis=0).tolist() == [19.5, 24.5]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_picture_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    image = np.random.default_rng(0).random((20, 20))
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path in paths:
        write_figure(scans(image), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_png_is_opaque_and_says_its_resolution(tmp_path: Path) -> None:
    write_figure(scans(np.eye(8)), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGB"
        assert image.size == (1200, 600)
        assert image.info["dpi"] == pytest.approx((600, 600), abs=0.1)


def test_a_scan_shown_twice_is_held_once_with_its_own_pixels(tmp_path: Path) -> None:
    write_figure(scans(np.random.default_rng(0).random((20, 30))), tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text()
    assert len(re.findall("<image", svg)) == 1
    assert 'width="30" height="20"' in svg
    assert len(re.findall('<use xlink:href="#image', svg)) == 2
    names = re.findall(r'\bid="([^"]*)"', svg)
    assert len(names) == len(set(names))


def test_images_that_differ_are_all_held() -> None:
    one, other = (f'<image id="{n}" transform="matrix({n})" xlink:href="x"/>' for n in "ab")
    shared = share_images(f"{one}|{other}|{one}")
    parts = shared.split("|")
    assert (
        parts[0]
        == '<defs><image id="a"  xlink:href="x"/></defs><use xlink:href="#a" transform="matrix(a)"/>'
    )
    assert 'id="b"' in parts[1]
    assert parts[2] == '<use xlink:href="#a" transform="matrix(a)"/>'
    assert share_images('<image id="a"/>') == '<image id="a"/>'


def test_only_paths_are_rounded() -> None:
    svg = '<path id="m1.23456" d="M 1.23456 -0.001 L 10 2.5"/><use transform="matrix(0.123456)"/>'
    rounded = '<path id="m1.23456" d="M 1.23 -0.00 L 10 2.5"/><use transform="matrix(0.123456)"/>'
    assert round_paths(svg) == rounded


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_scans_are_coarser_only_where_the_file_would_be_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    image = np.random.default_rng(0).random((120, 120))
    figure = scans(image)
    path = tmp_path / f"a.{suffix}"
    write_figure(figure, path)
    assert path.stat().st_size < figure_files.MAX_BYTES
    large = path.stat().st_size
    monkeypatch.setattr(figure_files, "MAX_BYTES", large * 2 // 3)
    write_figure(figure, path)
    assert path.stat().st_size < large * 2 // 3
    if suffix == "png":
        with Image.open(io.BytesIO(path.read_bytes())) as written:
            assert round(written.info["dpi"][0]) >= 300
    # The figure itself is as it was.
    assert np.array_equal(figure.axes[0].images[0].get_array(), image)
