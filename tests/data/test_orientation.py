from itertools import permutations, product

import numpy as np
import pytest
from made_folders import stack_along
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from dacl.data.orientation import (
    axis_codes,
    axis_order,
    canonical_affine,
    from_canonical,
    is_oblique_stack,
    to_canonical,
)

ALL = ["".join(codes) for axes in permutations(("LR", "PA", "SI")) for codes in product(*axes)]
LPS = axcodes2ornt("LPS")


def affine_of(codes, spacing=(2.0, 3.0, 5.0)):
    """Return an affine whose voxel axes point where the codes say."""
    directions = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    affine = np.eye(4)
    affine[:3] = 0
    for axis, code in enumerate(codes):
        row, sign = directions[code]
        affine[row, axis] = sign * spacing[axis]
    affine[:3, 3] = 7, -11, 13
    return affine


def test_there_are_48():
    assert len(set(ALL)) == 48


@pytest.mark.parametrize("codes", ALL)
def test_every_orientation_turns_as_nibabel_turns_it_and_back(codes):
    affine = affine_of(codes)
    array_XYZ = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert axis_codes(affine) == codes
    turned = to_canonical(array_XYZ, codes)
    expected = apply_orientation(array_XYZ, ornt_transform(io_orientation(affine), LPS))
    np.testing.assert_array_equal(turned, expected)
    assert turned.base is not None  # a view
    np.testing.assert_array_equal(from_canonical(turned, codes), array_XYZ)
    assert turned.shape == tuple(array_XYZ.shape[axis] for axis in axis_order(codes))


@pytest.mark.parametrize("codes", ALL)
def test_the_turned_affine_leads_to_the_same_places(codes):
    affine = affine_of(codes)
    array_XYZ = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    turned, turned_affine = (
        to_canonical(array_XYZ, codes),
        canonical_affine(affine, codes, (2, 3, 4)),
    )
    assert axis_codes(turned_affine) == "LPS"
    for value in range(24):
        (one,), (two,) = np.argwhere(array_XYZ == value), np.argwhere(turned == value)
        np.testing.assert_allclose(affine @ [*one, 1], turned_affine @ [*two, 1])


@pytest.mark.parametrize("codes", ["LAS", "PSR", "IRP"])
def test_further_axes_stay(codes):
    array = np.random.default_rng(0).random((2, 3, 4, 5))
    turned = to_canonical(array, codes)
    for i in range(5):
        np.testing.assert_array_equal(turned[..., i], to_canonical(array[..., i], codes))
    np.testing.assert_array_equal(from_canonical(turned, codes), array)


def test_oblique_scans_go_to_the_nearest_axis():
    angle = np.deg2rad(30)
    affine = np.diag([-1.0, -1, 1, 1])
    affine[:2, :2] = -np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert axis_codes(affine) == "LPS"


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize(
    ("normal", "spacing", "oblique"),
    [
        ((-0.60, 0.51, -0.62), (1.5, 1.5, 10.0), True),  # a short axis of the heart
        ((-0.60, 0.51, -0.62), (1.5, 1.5, 2.9), False),  # too thin to be a stack
        ((0, np.sin(np.deg2rad(29)), np.cos(np.deg2rad(29))), (1.5, 1.5, 10.0), False),
        ((0, np.sin(np.deg2rad(31)), np.cos(np.deg2rad(31))), (1.5, 1.5, 10.0), True),
        ((1, 0, 0), (0.5, 0.5, 4.0), False),  # sagittal slices
        ((0.1, -0.2, 1), (0.7, 0.7, 5.0), False),
    ],
)
def test_stacks_that_no_axis_is_near_to(order, normal, spacing, oblique):
    """Whichever voxel axis goes from slice to slice."""
    affine = stack_along(normal, spacing)
    affine[:3, :3] = affine[:3, order]
    assert is_oblique_stack(affine) is oblique


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_no_directions_no_codes(value):
    affine = np.eye(4)
    affine[0, 0] = value
    assert axis_codes(affine) == ""
    assert not is_oblique_stack(affine)
    assert not is_oblique_stack(np.zeros((4, 4)))
    array_XYZ = np.arange(6).reshape(1, 2, 3)
    assert to_canonical(array_XYZ, "") is array_XYZ
    assert from_canonical(array_XYZ, "") is array_XYZ
    np.testing.assert_array_equal(canonical_affine(np.eye(4), "", (1, 2, 3)), np.eye(4))
