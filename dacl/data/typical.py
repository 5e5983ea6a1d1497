"""What the training grid makes of the scans: said when a run begins, for nothing else moved Dice as much."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dacl.config import SHALLOWEST_PATCH, SMALLEST_PATCH, ImageConfig
from dacl.data.case import SpacingMm
from dacl.data.grid import resampled_size
from dacl.data.prepared import CaseInfo
from dacl.data.volume_grid import Shape3, network_shape

COARSE = 2.0
"""Times as wide as a scan's own pixels, above which the grid's are called coarse."""


class Gridded(NamedTuple):
    """A scan on its own grid and on the network's."""

    shape_ZHW: Shape3
    spacing_mm: SpacingMm | None
    """Z, H, W."""
    network_ZHW: Shape3
    """Slices stay what they are in 2D."""

    def coarser_in_plane(self) -> float:
        """How many of its own rows or columns, of which there are more, become one."""
        return max(
            own / new for own, new in zip(self.shape_ZHW[1:], self.network_ZHW[1:], strict=True)
        )

    def coarser_across(self) -> float:
        """How many of its own slices become one."""
        return self.shape_ZHW[0] / self.network_ZHW[0]


def gridded(case: CaseInfo, image: ImageConfig) -> Gridded:
    """A case as the network will see it."""
    shape, spacing = case.shape_ZHW, case.spacing_mm
    if image.dims == 3:
        return Gridded(shape, spacing, network_shape(shape, spacing, image))
    if image.geometry == "resize":
        return Gridded(shape, spacing, (shape[0], image.patch_size, image.patch_size))
    return Gridded(shape, spacing, (shape[0], *resampled_size(shape[1:], spacing, image)))


def typical(scans: Sequence[Gridded]) -> Gridded:
    """One of them: that in the middle by how coarse the grid is to it, the lower of two."""
    ordered = sorted(scans, key=lambda scan: (scan.coarser_in_plane(), scan.shape_ZHW))
    return ordered[(len(ordered) - 1) // 2]


def grid_notes(scans: Sequence[Gridded], image: ImageConfig) -> list[str]:
    """What is worth a look before hours are spent on a grid: too coarse for scans, or they far smaller than a crop."""
    return [
        *_coarse(scans, Gridded.coarser_in_plane, "in plane", _finer_in_plane(image)),
        *_coarse(scans, Gridded.coarser_across, "across slices", _finer_across(image)),
        *_padded(scans, image),
    ]


def _coarse(
    scans: Sequence[Gridded], coarser: Callable[[Gridded], float], where: str, finer: str
) -> list[str]:
    times = [found for scan in scans if (found := coarser(scan)) > COARSE]
    if not times:
        return []
    return [
        f"{where} the network's grid is up to {max(times):.1f} times as coarse as that of {len(times)} of {len(scans)} "
        f"scans: thin structures may be lost; try {finer}"
    ]


def _finer_in_plane(image: ImageConfig) -> str:
    if image.geometry == "resample":
        return "a smaller image.spacing_mm"
    if image.dims == 3:
        return "a larger image.volume_shape"
    return f"a larger --patch-size than {image.patch_size}"


def _finer_across(image: ImageConfig) -> str:
    resampled = image.geometry == "resample"
    return "a smaller image.slice_spacing_mm" if resampled else "a larger image.volume_shape"


def _padded(scans: Sequence[Gridded], image: ImageConfig) -> list[str]:
    notes = []
    # without a spacing there is no resampling that another one would change
    known = any(scan.spacing_mm is not None for scan in scans)
    ways = ["image.spacing_mm"] * known + ["--patch-size"] * (image.patch_size > SMALLEST_PATCH)
    small = [scan for scan in scans if 2 * max(scan.network_ZHW[1:]) < image.patch_size]
    if image.geometry == "resample" and small and ways:
        height, width = min((scan.network_ZHW[1:] for scan in small), key=max)
        notes.append(
            f"a crop of {image.patch_size}x{image.patch_size} is mostly padding for {len(small)} of {len(scans)} "
            f"scans, whose slices have down to {height}x{width} pixels on the network's grid: choose a smaller "
            f"{' or '.join(ways)}"
        )
    flat = [depth for scan in scans if 2 * (depth := scan.network_ZHW[0]) < image.patch_depth]
    if image.dims == 3 and flat and image.patch_depth > SHALLOWEST_PATCH:
        notes.append(
            f"a crop of {image.patch_depth} slices is mostly padding for {len(flat)} of {len(scans)} scans, which have "
            f"down to {min(flat)} on the network's grid: choose a smaller image.patch_depth"
        )
    return notes
