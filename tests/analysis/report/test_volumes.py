"""Pictures and masks of a report: what is written is what is read, and small."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dacl.analysis.report import volumes
from dacl.analysis.report.volumes import MAX_PIXELS


def decoded(text: str, size: int) -> np.ndarray:
    """Slow reader of `encode_runs`."""
    data, out, at = base64.b64decode(text), [], 0
    while at < len(data):
        label, length, shift = data[at], 0, 0
        at += 1
        while True:
            length |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                break
        out += [label] * length
    assert len(out) == size
    return np.array(out, np.uint8)


def test_runs_by_hand() -> None:
    mask = np.array([[[0, 0, 3], [3, 3, 1]]], np.uint8)
    assert base64.b64decode(volumes.encode_runs(mask)) == bytes([0, 2, 3, 3, 1, 1])
    # 300 = 2 * 128 + 44: the low digit first, marked as not the last.
    sevens = np.full((3, 10, 10), 7, np.uint8)
    assert base64.b64decode(volumes.encode_runs(sevens)) == bytes([7, 44 | 128, 2])


@given(st.lists(st.tuples(st.integers(0, 13), st.integers(1, 40_000)), min_size=1, max_size=6))
def test_runs_come_back(runs: list[tuple[int, int]]) -> None:
    flat = np.concatenate([np.full(length, label, np.uint8) for label, length in runs])
    np.testing.assert_array_equal(decoded(volumes.encode_runs(flat[None, None]), flat.size), flat)


def test_grey_is_between_the_percentiles_of_the_volume() -> None:
    image = np.linspace(-50, 150, 2001).reshape(1, 3, 667)
    grey = volumes.to_grey(image)
    assert (grey.min(), grey.max()) == (0, 255)
    assert grey[image < -49.1].max() == 0
    assert grey[image > 149.1].min() == 255
    assert abs(int(grey.ravel()[1000]) - 127.5) <= 0.5
    assert volumes.to_grey(np.full((1, 2, 2), 5.0)).max() == 0  # constant: no division by nothing


def test_a_slice_is_one_small_picture_that_looks_like_it() -> None:
    rows = np.arange(216)[:, None] + np.arange(256)
    grey = np.rint(127 + 100 * np.sin(rows / 20)).astype(np.uint8)
    (uri,) = volumes.encode_slices(grey[None])
    head, text = uri.split(",", 1)
    assert head in ("data:image/webp;base64", "data:image/png;base64")
    assert len(text) < 20_000
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("L"), float)
    assert back.shape == grey.shape
    assert np.abs(back - grey).mean() < 3


def test_png_where_webp_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.features.check", lambda _name: False)
    assert volumes.encode_slices(np.zeros((1, 4, 4), np.uint8))[0].startswith("data:image/png")


@pytest.mark.parametrize(
    ("pixels", "step"), [(1, 1), (MAX_PIXELS, 1), (MAX_PIXELS + 1, 2), (9 * MAX_PIXELS, 3)]
)
def test_a_large_set_is_shown_smaller(pixels: int, step: int) -> None:
    assert volumes.reduction(pixels) == step
    assert pixels / step**2 <= MAX_PIXELS


def test_picture_and_mask_are_reduced_to_the_same_grid() -> None:
    grey = np.zeros((2, 7, 10), np.uint8)
    grey[:, :3, :3] = 90
    mask = (grey > 0).astype(np.uint8)
    small = volumes.reduced(grey, 3)
    assert small.shape == (2, 3, 4)
    assert small[0, 0, 0] == 90
    assert small[0].sum() == 90
    np.testing.assert_array_equal(
        decoded(volumes.encode_mask(mask, 3), small.size), (small > 0).ravel()
    )
    assert volumes.reduced(grey, 1) is grey
    assert "1/3" in volumes.in_words(3)[1]
    assert len(volumes.in_words(1)) == 1


def test_the_worst_slice_has_the_most_wrong_pixels() -> None:
    truth, pred = np.zeros((5, 4, 4), np.uint8), np.zeros((5, 4, 4), np.uint8)
    pred[1, 0, :2] = 1  # two spurious
    truth[3, :, 0] = 2  # four missed
    truth[4, 0, :3], pred[4, 0, :3] = 1, 2  # three of the wrong class
    assert volumes.worst_slice(truth, pred) == 3
    assert volumes.worst_slice(truth, truth) == 2
