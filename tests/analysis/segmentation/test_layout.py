"""Windows, lines of text and sheets, against numbers that can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dacl.analysis.segmentation.layout import (
    HANDLE,
    ONE_COLUMN,
    PAGE_HEIGHT,
    TWO_COLUMNS,
    Window,
    crop,
    flow,
    free_corner,
    sheet,
    square_window,
    text_width,
    wrap,
)


def box(shape: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_the_window_is_a_square_around_the_foreground_and_a_margin() -> None:
    # 20 rows and 10 columns from pixel 40: the longer side 20, and a margin of 5 pixels, which is above 12 %.
    window = square_window(box((100, 100), slice(40, 60), slice(40, 50)), (1.0, 1.0))
    assert window == Window(left=29.5, right=59.5, top=34.5, bottom=64.5)
    assert crop((100, 100), window) == (slice(35, 65), slice(30, 60))


def test_the_window_is_square_in_millimetres() -> None:
    # 20 rows of 2 mm are 40 mm; the margin is 5 of the larger pixels, 10 mm a side; columns are 1 mm.
    window = square_window(box((100, 100), slice(40, 60), slice(40, 50)), (2.0, 1.0))
    assert window.bottom - window.top == pytest.approx(30)
    assert window.right - window.left == pytest.approx(60)


def test_the_window_moves_into_the_slice_and_never_grows_beyond_it() -> None:
    corner = square_window(box((100, 100), slice(0, 20), slice(95, 100)), (1.0, 1.0))
    assert corner == Window(left=69.5, right=99.5, top=-0.5, bottom=29.5)
    whole = square_window(box((100, 100), slice(1, 99), slice(1, 99)), (1.0, 1.0))
    assert whole == Window(left=-0.5, right=99.5, top=-0.5, bottom=99.5)


def test_a_narrow_slice_is_shown_whole_in_the_middle_of_its_square() -> None:
    window = square_window(box((100, 20), slice(10, 70), slice(5, 10)), (1.0, 1.0))
    side = 60 + 2 * 0.12 * 60
    assert window.bottom - window.top == pytest.approx(side)
    assert (window.left + window.right) / 2 == pytest.approx(9.5)
    assert crop((100, 20), window)[1] == slice(0, 20)


def test_without_foreground_the_whole_slice_is_the_window() -> None:
    window = square_window(np.zeros((30, 50), bool), (1.0, 1.0))
    assert (window.left, window.right) == (-0.5, 49.5)
    assert window.bottom - window.top == 50


@settings(deadline=None)
@given(st.data())
def test_no_foreground_ever_lies_outside(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    spacing = data.draw(st.tuples(st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([0.7, 1.0])))
    mask = np.zeros(shape, bool)
    for _ in range(data.draw(st.integers(1, 4))):
        mask[data.draw(st.integers(0, shape[0] - 1)), data.draw(st.integers(0, shape[1] - 1))] = (
            True
        )
    window = square_window(mask, spacing)
    rows, columns = np.nonzero(mask)
    tolerance = 1e-9
    assert window.top - tolerance <= rows.min() - 0.5
    assert window.bottom + tolerance >= rows.max() + 0.5
    assert window.left - tolerance <= columns.min() - 0.5
    assert window.right + tolerance >= columns.max() + 0.5
    height, width = window.bottom - window.top, window.right - window.left
    assert height * spacing[0] == pytest.approx(width * spacing[1])
    seen = crop(shape, window)
    assert mask[seen].sum() == mask.sum()


def test_the_number_goes_where_it_hides_least() -> None:
    window = Window(left=-0.5, right=99.5, top=-0.5, bottom=99.5)
    share = (0.1, 0.3)
    assert free_corner(np.zeros((100, 100), bool), window, share) == (True, True)
    upper_left = box((100, 100), slice(0, 5), slice(0, 5))
    assert free_corner(upper_left, window, share) == (True, False)
    upper = box((100, 100), slice(0, 5), slice(0, 100))
    assert free_corner(upper, window, share) == (False, True)
    but_lower_right = ~box((100, 100), slice(90, 100), slice(70, 100))
    assert free_corner(but_lower_right, window, share) == (False, False)


def test_lines_break_at_spaces_then_joints_then_anywhere() -> None:
    assert wrap("", 100, 6) == []
    assert wrap("left ventricle", 1000, 6) == ["left ventricle"]
    width = text_width("ventricle", 6) + 0.1
    assert wrap("left ventricle", width, 6) == ["left", "ventricle"]
    assert wrap("labeled-only", text_width("labeled-", 6) + 0.1, 6) == ["labeled-", "only"]
    assert wrap("mmmm", text_width("mm", 6) + 0.1, 6) == ["mm", "mm"]


@given(st.text("ab -_./1$", min_size=1, max_size=60), st.floats(15, 120))
def test_lines_keep_every_letter_and_the_width(text: str, width: float) -> None:
    lines = wrap(text, width, 6)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(text_width(line, 6) <= width for line in lines)


def test_width_grows_with_the_text_and_its_size() -> None:
    # A dollar sign is a letter like others.
    assert text_width("a$b$c", 6) > text_width("abc", 6) > 0
    assert text_width("abc", 12) == pytest.approx(2 * text_width("abc", 6), rel=0.05)


def test_legend_entries_follow_each_other_in_centred_lines() -> None:
    names = ["a", "bb", "ccc"]
    (line,) = flow(names, 200, 6)
    assert [i for i, _ in line] == [0, 1, 2]
    left = line[0][1]
    right = line[-1][1] + HANDLE + 3 + text_width("ccc", 6)
    assert left == pytest.approx(200 - right)
    lines = flow([f"organ number {i}" for i in range(13)], 252, 6)
    assert [i for line in lines for i, _ in line] == list(range(13))
    assert len(lines) > 1


def test_up_to_four_columns_stand_in_one_column_of_a_journal() -> None:
    assert sheet(4, 3, 60).width == ONE_COLUMN
    assert sheet(5, 3, 60).width == TWO_COLUMNS
    plan = sheet(4, 3, 60)
    assert plan.lefts[0] == pytest.approx(0)
    assert plan.lefts[-1] + plan.cell == pytest.approx(plan.width)


def test_many_rows_are_made_to_fit_a_page() -> None:
    plan = sheet(2, 6, 100)
    assert 6 * plan.cell + 100 == pytest.approx(PAGE_HEIGHT)
    assert plan.lefts[0] == pytest.approx(plan.width - plan.lefts[-1] - plan.cell)
    with pytest.raises(ValueError, match="do not fit"):
        sheet(2, 30, 100)
