"""A typical scan on the network's grid, and what is said where the two do not fit."""

import re

import pytest

from dacl.config import ImageConfig
from dacl.data.prepared import CaseInfo
from dacl.data.typical import TypicalScan, grid_notes, typical_scan


def case(shape_ZHW, spacing_mm=None) -> CaseInfo:
    return CaseInfo(
        id="case", patient="patient", shape_ZHW=shape_ZHW, spacing_mm=spacing_mm,
        has_label=False, class_voxels=(),
    )  # fmt: skip


HEARTS = [
    case((8, 200, 240), (10.0, 2.0, 1.0)),
    case((10, 256, 216), (5.0, 1.5, 1.5)),
    case((17, 300, 216), (10.0, 1.0, 3.0)),
]


def test_medians_are_taken_axis_by_axis():
    scan = typical_scan(HEARTS, ImageConfig(geometry="resample", spacing_mm=1.0))
    assert scan == ((10, 256, 216), (10.0, 1.5, 1.5), (10, 384, 324))


@pytest.mark.parametrize(
    ("image", "grid"),
    [
        (ImageConfig(patch_size=64), (10, 64, 64)),
        (ImageConfig(dims=3, volume_shape=(16, 32, 48)), (16, 32, 48)),
        (
            ImageConfig(dims=3, geometry="resample", slice_spacing_mm=5, spacing_mm=3),
            (20, 128, 108),
        ),
    ],
)
def test_the_grid_is_the_networks(image, grid):
    assert typical_scan(HEARTS, image).network_ZHW == grid


def test_scans_of_unknown_spacing_keep_their_grid_and_do_not_count_where_others_have_one():
    image = ImageConfig(geometry="resample", spacing_mm=3.0)
    unknown = [case((8, 100, 90)), case((8, 100, 90))]
    assert typical_scan(unknown, image) == ((8, 100, 90), None, (8, 100, 90))
    known = [*unknown, case((8, 100, 90), (10.0, 1.5, 1.5))]
    assert typical_scan(known, image) == ((8, 100, 90), (10.0, 1.5, 1.5), (8, 50, 45))


def test_of_an_even_number_the_middle_is_rounded():
    two = [case((8, 100, 90)), case((9, 103, 91))]
    assert typical_scan(two, ImageConfig()).shape_ZHW == (8, 102, 90)  # of 8.5, 101.5 and 90.5


SQUARE = ImageConfig(patch_size=128)
CROPS = ImageConfig(geometry="resample", patch_size=128)


@pytest.mark.parametrize(
    ("image", "own", "grid", "said"),
    [
        (SQUARE, (512, 256), (128, 128), ["4.0 times as coarse as the scans': .* --patch-size than 128"]),
        (CROPS, (512, 512), (250, 250), ["2.0 times as coarse .* a smaller image.spacing_mm"]),
        (ImageConfig(dims=3), (512, 512), (160, 160), ["3.2 times as coarse .* image.volume_shape"]),
        (
            ImageConfig(dims=3, geometry="resample"), (512, 512), (200, 200),
            ["2.6 times as coarse .* a smaller image.spacing_mm"],
        ),
        (CROPS, (64, 60), (60, 60), ["typical slice has 60x60 pixels .* of 128x128 is mostly padding"]),
        (CROPS, (400, 400), (40, 40), ["10.0 times as coarse", "has 40x40 pixels"]),
        # nothing to say
        (CROPS, (512, 512), (256, 256), []),
        (CROPS, (64, 64), (64, 64), []),
        (CROPS, (400, 50), (200, 25), []),
        (SQUARE, (64, 64), (128, 128), []),
    ],
)  # fmt: skip
def test_notes(image, own, grid, said):
    notes = grid_notes(TypicalScan((40, *own), (5.0, 1.0, 1.0), (40, *grid)), image)
    assert len(notes) == len(said)
    for note, pattern in zip(notes, said, strict=True):
        assert re.search(pattern, note)


@pytest.mark.parametrize(
    ("spacing_mm", "advice"),
    [((5.0, 1.0, 1.0), "a smaller image.spacing_mm or --patch-size"), (None, "a smaller --patch-size")],
)  # fmt: skip
def test_a_spacing_is_advised_only_where_scans_are_resampled(spacing_mm, advice):
    [note] = grid_notes(TypicalScan((8, 60, 60), spacing_mm, (8, 60, 60)), CROPS)
    assert note.endswith(f": choose {advice}")


@pytest.mark.parametrize(
    ("image", "slices", "said"),
    [
        (ImageConfig(dims=3), (300, 80), ["across slices .* 3.8 times as coarse .* image.volume_shape"]),
        (
            ImageConfig(dims=3, geometry="resample"), (300, 100),
            ["across slices .* 3.0 times as coarse .* a smaller image.slice_spacing_mm"],
        ),
        (
            ImageConfig(dims=3, geometry="resample", patch_depth=48), (12, 20),
            ["has 20 slices .* a crop of 48 is mostly padding"],
        ),
        (ImageConfig(dims=3, geometry="resample", patch_depth=48), (12, 24), []),
        (ImageConfig(), (1, 1), []),
    ],
)  # fmt: skip
def test_notes_on_slices(image, slices, said):
    own, grid = ((depth, 300, 300) for depth in slices)
    notes = grid_notes(TypicalScan(own, (5.0, 1.0, 1.0), grid), image)
    assert len(notes) == len(said)
    for note, pattern in zip(notes, said, strict=True):
        assert re.search(pattern, note)
