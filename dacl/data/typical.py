"""What the training grid makes of a typical scan: said when a run begins, for nothing else moved Dice as much."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from dacl.config import ImageConfig
from dacl.data.case import SpacingMm
from dacl.data.grid import resampled_size
from dacl.data.prepared import CaseInfo
from dacl.data.volume_grid import Shape3, network_shape

COARSE = 2.0
"""Times as wide as a scan's own pixels, above which the grid's are called coarse."""


class TypicalScan(NamedTuple):
    """Medians over the cases, axis by axis, and the network's grid of such a scan."""

    shape_ZHW: Shape3
    spacing_mm: SpacingMm | None
    """Z, H, W; None where no case has any."""
    network_ZHW: Shape3
    """Slices stay what they are in 2D."""


def typical_scan(cases: Sequence[CaseInfo], image: ImageConfig) -> TypicalScan:
    """Of at least one case."""
    depth, height, width = (round(n) for n in _medians(case.shape_ZHW for case in cases))
    shape = depth, height, width
    known = [case.spacing_mm for case in cases if case.spacing_mm is not None]
    z_mm, y_mm, x_mm = _medians(known) if known else (0.0, 0.0, 0.0)
    spacing = (z_mm, y_mm, x_mm) if known else None
    if image.dims == 3:
        return TypicalScan(shape, spacing, network_shape(shape, spacing, image))
    if image.geometry == "resize":
        return TypicalScan(shape, spacing, (depth, image.patch_size, image.patch_size))
    return TypicalScan(shape, spacing, (depth, *resampled_size((height, width), spacing, image)))


def grid_notes(scan: TypicalScan, image: ImageConfig) -> list[str]:
    """What is worth a look before hours are spent on a grid: too coarse for the scans, or far smaller than a crop."""
    coarser_ZHW = [own / new for own, new in zip(scan.shape_ZHW, scan.network_ZHW, strict=True)]
    across, in_plane = coarser_ZHW[0], max(coarser_ZHW[1:])
    notes = [
        f"{where} the network's grid is {times:.1f} times as coarse as the scans': thin structures may be lost; "
        f"try {finer}"
        for where, times, finer in (
            ("in plane", in_plane, _finer_in_plane(image)),
            ("across slices", across, _finer_across(image)),
        )
        if times > COARSE
    ]
    depth, *plane = scan.network_ZHW
    if image.geometry == "resample" and 2 * max(plane) < image.patch_size:
        # without a spacing there is no resampling that another one would change
        known = scan.spacing_mm is not None
        smaller = "image.spacing_mm or --patch-size" if known else "--patch-size"
        notes.append(
            f"a typical slice has {plane[0]}x{plane[1]} pixels on the network's grid, and a crop of "
            f"{image.patch_size}x{image.patch_size} is mostly padding: choose a smaller {smaller}"
        )
    if image.dims == 3 and 2 * depth < image.patch_depth:
        notes.append(
            f"a typical scan has {depth} slices on the network's grid, and a crop of {image.patch_depth} "
            "is mostly padding: choose a smaller image.patch_depth"
        )
    return notes


def _finer_in_plane(image: ImageConfig) -> str:
    if image.geometry == "resample":
        return "a smaller image.spacing_mm"
    if image.dims == 3:
        return "a larger image.volume_shape"
    return f"a larger --patch-size than {image.patch_size}"


def _finer_across(image: ImageConfig) -> str:
    resampled = image.geometry == "resample"
    return "a smaller image.slice_spacing_mm" if resampled else "a larger image.volume_shape"


def _medians(triples: Iterable[tuple[float, float, float]]) -> list[float]:
    return [median(axis) for axis in zip(*triples, strict=True)]
