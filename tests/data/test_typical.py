"""Scans on the network's grid, and what is said where the two do not fit."""

import re

import pytest

from dacl.config import ImageConfig
from dacl.data.prepared import CaseInfo
from dacl.data.typical import Gridded, grid_notes, gridded, typical

IN_PLANE = ImageConfig(geometry="resample", patch_size=128, spacing_mm=1.0)
SPACING = (5.0, 1.0, 1.0)


def case(shape_ZHW, spacing_mm=None) -> CaseInfo:
    return CaseInfo(
        id="case", patient="patient", shape_ZHW=shape_ZHW, spacing_mm=spacing_mm,
        has_label=False, class_voxels=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("image", "grid"),
    [
        (IN_PLANE, (10, 384, 324)),
        (ImageConfig(patch_size=64), (10, 64, 64)),
        (ImageConfig(dims=3, volume_shape=(16, 32, 48)), (16, 32, 48)),
        (ImageConfig(dims=3, geometry="resample", slice_spacing_mm=5, spacing_mm=3), (20, 128, 108)),
    ],
)  # fmt: skip
def test_the_grid_is_the_networks(image, grid):
    heart = case((10, 256, 216), (10.0, 1.5, 1.5))
    assert gridded(heart, image) == ((10, 256, 216), (10.0, 1.5, 1.5), grid)


def test_a_scan_of_unknown_spacing_keeps_its_grid():
    assert gridded(case((8, 100, 90)), IN_PLANE) == ((8, 100, 90), None, (8, 100, 90))


def test_the_typical_scan_is_one_of_them():
    """In the middle by how coarse the grid is to it; a composite of medians would be nobody's."""
    fine, middle, coarse = (
        gridded(case((8, 120, 100), (5.0, y, x)), IN_PLANE)
        for y, x in ((0.4, 0.4), (1.0, 2.0), (3.0, 3.0))
    )
    assert typical([coarse, fine, middle]) == middle
    assert typical([fine, coarse]) == coarse  # to which the grid is less coarse
    assert typical([fine]) == fine


SQUARE = ImageConfig(patch_size=128)
VOLUMES = ImageConfig(dims=3, geometry="resample", patch_depth=48)


def on(own, grid, spacing_mm=SPACING) -> Gridded:
    return Gridded(own, spacing_mm, grid)


PLANE = (300, 300)


@pytest.mark.parametrize(
    ("image", "own", "grid", "said"),
    [
        (SQUARE, (9, 512, 256), (9, 128, 128), ["in plane .* 4.0 times .* --patch-size than 128$"]),
        (IN_PLANE, (9, 512, 512), (9, 250, 250), ["2.0 times .* of 1 of 1 scans.* try a smaller image.spacing_mm$"]),
        (ImageConfig(dims=3), (80, 512, 512), (80, 160, 160), ["3.2 times .* image.volume_shape$"]),
        (VOLUMES, (48, 512, 512), (48, 200, 200), ["2.6 times .* image.spacing_mm$"]),
        (ImageConfig(dims=3), (300, *PLANE), (80, *PLANE), ["across slices .* 3.8 times .* image.volume_shape$"]),
        (VOLUMES, (300, *PLANE), (100, *PLANE), ["across slices .* 3.0 times .* image.slice_spacing_mm$"]),
        (VOLUMES, (12, *PLANE), (20, *PLANE), ["48 slices is mostly padding .* to 20 .* image.patch_depth$"]),
        (IN_PLANE, (9, 64, 60), (9, 63, 60), ["is mostly padding .* 63x60 .* image.spacing_mm or --patch-size$"]),
        (IN_PLANE, (9, 400, 400), (9, 40, 40), ["10.0 times", "down to 40x40"]),
        # nothing to say
        (IN_PLANE, (9, 512, 512), (9, 256, 256), []),
        (IN_PLANE, (9, 64, 64), (9, 64, 64), []),
        (IN_PLANE, (9, 400, 50), (9, 200, 25), []),
        (SQUARE, (9, 60, 60), (9, 128, 128), []),
        (VOLUMES, (12, *PLANE), (24, *PLANE), []),
        (SQUARE, (1, *PLANE), (1, 200, 200), []),
    ],
)  # fmt: skip
def test_notes(image, own, grid, said):
    notes = grid_notes([on(own, grid)], image)
    assert len(notes) == len(said)
    for note, pattern in zip(notes, said, strict=True):
        assert re.search(pattern, note)


def test_notes_count_the_scans_that_they_are_of():
    scans = [
        on((9, 400, 400), (9, 100, 100)),
        on((9, 400, 400), (9, 20, 30)),
        on((9, 400, 400), (9, 25, 20)),
        on((9, 100, 100), (9, 100, 100)),
    ]
    coarse, padded = grid_notes(scans, IN_PLANE)
    assert "up to 20.0 times as coarse as that of 3 of 4 scans" in coarse
    assert "padding for 2 of 4 scans, whose slices have down to 25x20 pixels" in padded


@pytest.mark.parametrize(
    ("spacing_mm", "side", "advice"),
    [
        (SPACING, 64, ["a smaller image.spacing_mm or --patch-size"]),
        (SPACING, 32, ["a smaller image.spacing_mm"]),
        (None, 64, ["a smaller --patch-size"]),
        (None, 32, []),
    ],
)
def test_what_is_advised_can_be_had(spacing_mm, side, advice):
    image = ImageConfig(geometry="resample", patch_size=side)
    notes = grid_notes([on((9, 15, 15), (9, 15, 15), spacing_mm)], image)
    assert [note.rpartition(": choose ")[2] for note in notes] == advice
