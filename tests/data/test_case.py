import numpy as np
import pytest

from dacl.data.case import Case, defects, smallest_integers


def case(image=None, label=None, spacing=(10.0, 1.5, 1.25)):
    image = np.arange(24).reshape(2, 3, 4) if image is None else image
    label = np.ones((2, 3, 4), np.uint8) if label is None else label
    return Case(id="a", patient="p", image_CZHW=image[None], label_ZHW=label, spacing_mm=spacing)


def problems(case):
    return [f"{defect.part}: {defect.problem}" for defect in defects(case, 4)]


def test_a_sound_case_has_no_defects():
    assert problems(case()) == []
    unlabeled = Case(
        id="a", patient="p", image_CZHW=np.eye(3)[None, None], label_ZHW=None, spacing_mm=None
    )
    assert problems(unlabeled) == []


def spoiled(*values):
    image = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    image.flat[: len(values)] = values
    return image


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (case(image=spoiled(np.nan)), "image: 1 NaN or infinite voxels"),
        (case(image=spoiled(np.inf, -np.inf)), "image: 2 NaN or infinite voxels"),
        (case(image=np.full((2, 3, 4), 7)), "image: constant image, every voxel is 7"),
        (case(label=np.zeros((2, 3, 4), np.uint8)), "label: empty mask, background only"),
        (case(label=np.full((2, 3, 4), 4, np.uint8)), "label: label values [4] out of range 0..3"),
        (case(spacing=(0.0, 1.5, 1.5)), "image: spacing (0.0, 1.5, 1.5) mm (z, y, x)"),
        (case(spacing=(10.0, -1.5, 1.5)), "image: spacing (10.0, -1.5, 1.5) mm (z, y, x)"),
    ],
)
def test_each_defect_is_named(bad, expected):
    assert problems(bad) == [expected]


def test_a_mask_of_another_shape_is_named():
    found = problems(case(label=np.ones((2, 4, 3), np.uint8)))
    assert found == ["label: mask has shape (2, 4, 3), image (2, 3, 4) (Z, H, W)"]


def test_all_defects_are_found_at_once():
    bad = case(image=spoiled(np.nan), label=np.zeros((2, 3, 4), np.uint8), spacing=(0.0, 1.0, 1.0))
    assert len(problems(bad)) == 3


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 255], np.uint8),
        ([0, 256], np.int16),
        ([-1, 5], np.int16),
        ([0, 40000], np.uint16),
        ([-40000, 5], np.int32),
    ],
)
def test_integral_floats_go_to_the_smallest_integer_type(values, dtype):
    stored = smallest_integers(np.array(values, np.float32))
    assert stored.dtype == dtype
    assert stored.tolist() == values


@pytest.mark.parametrize("values", [[0.5, 1], [np.nan, 1], [0, 2.0**40]])
def test_other_floats_are_not_integers(values):
    assert smallest_integers(np.array(values)) is None
