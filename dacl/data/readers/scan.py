"""One case from NIfTI files: the image, a file per channel, and its mask, checked against each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from dacl.data.case import Case, SpacingMm
from dacl.data.orientation import (
    axis_codes,
    axis_order,
    canonical_affine,
    is_oblique_stack,
    to_canonical,
)
from dacl.data.readers import CaseSource, Finding, relative, voxel_findings
from dacl.data.readers.nifti import Unreadable, Volume, load
from dacl.data.slabs import converted, slabs, spooled

_AT_ONCE = 2**20
_UNPLACED = (
    "the header says nothing of the orientation: volumes are taken as they lie in their files"
)
_OBLIQUE = "a stack of slices oblique to every axis of the body: volumes are taken as they lie in their files"


@dataclass(frozen=True)
class LabelValues:
    """What the values in a mask mean.

    Attributes:
        index: value in the mask -> class index.
        fix: what to do about values that are no key, given them.
    """

    index: Mapping[int, int]
    fix: Callable[[Sequence[int]], str] | None = None

    def fix_for(self, values: Sequence[int]) -> str:
        """Return the fix of a mask with unknown values."""
        if self.fix is not None:
            return self.fix(values)
        known = ", ".join(map(str, sorted(self.index)))
        return f"the classes are the values {known}: map the mask, or name the class"


def read_scan(
    source: CaseSource,
    n_classes: int,
    *,
    label_values: LabelValues | None = None,
    turn: bool = True,
    reading: str = "",
    empty_mask: bool = False,
) -> tuple[Case | None, list[Finding]]:
    """Read the channels of an image and its mask, and check all of them against the first channel.

    The voxels are mapped from files, not in memory: see `dacl.data.slabs`.

    Args:
        source: a file per channel, and one or no mask.
        n_classes: N, background included.
        label_values: what the values in the mask mean; None: they are the class indices.
        turn: to the canonical orientation; otherwise, and in oblique stacks, voxels stay as they lie in the files.
        reading: what the case remembers of its reader's options.
        empty_mask: whether a mask of background alone is a sound one.
    """
    volumes: dict[Path, Volume] = {}
    findings: list[Finding] = []
    for path in (*source.images, *source.labels):
        try:
            volumes[path] = load(path)
        except Unreadable as error:
            findings.append(_finding(source, path, error.problem, error.fix))
    if findings:
        return None, findings
    first, *others = (_Grid(volumes[path], turn) for path in source.images)
    findings += _grid_findings(source, first, others, turn)
    if findings and others:
        return None, findings
    remarks = [_UNPLACED] if turn and not first.volume.placed else []
    remarks += [_OBLIQUE] if first.oblique else []
    label_ZHW = None
    for path in source.labels:
        label = _Grid(volumes[path], turn and first.volume.placed)
        try:
            label_ZHW = _classes(label, label_values, n_classes)
        except Unreadable as error:
            return None, [*findings, _finding(source, path, error.problem, error.fix)]
        if differs := label.unlike(first):
            problem = f"mask and image differ in geometry: {differs}"
            fix = "save the mask with the header of its image"
            findings.append(_finding(source, path, problem, fix))
        elif label.codes != first.codes:
            remarks.append(
                f"mask turned to its image by axis flips alone: {label.codes} to {first.codes}"
            )
    image_CZHW, slope, inter = _channels([first, *others])
    case = Case(
        id=source.id,
        patient=source.patient,
        phase=source.phase,
        image_CZHW=image_CZHW,
        label_ZHW=label_ZHW,
        spacing_mm=first.spacing_mm,
        affine=first.volume.affine,
        header=first.volume.header,
        orientation=first.codes,
        source={relative(path, source.raw): volume.sha256 for path, volume in volumes.items()},
        slope=slope,
        inter=inter,
        reading=reading,
        remarks=tuple(remarks),
    )
    return case, findings + voxel_findings(case, source, n_classes, empty_mask=empty_mask)


def _grid_findings(
    source: CaseSource, first: "_Grid", others: Sequence["_Grid"], turn: bool
) -> list[Finding]:
    """What is wrong with the geometry of the first channel, and with that of the others beside it."""
    findings = []
    if first.volume.affine_contradicts_spacing():
        problem = (
            f"pixdim {first.volume.spacing_mm} mm (z, y, x) contradicts the scale of the affine"
        )
        fix = "write the true spacing into both"
        findings.append(_finding(source, source.images[0], problem, fix))
    elif turn and first.volume.placed and not (first.codes or first.oblique):
        problem = "the affine is singular or not finite: it has no three directions"
        fix = "write sform or qform into the header again"
        findings.append(_finding(source, source.images[0], problem, fix))
    for path, channel in zip(source.images[1:], others, strict=True):
        if channel.shape_ZHW != first.shape_ZHW or channel.unlike(first):
            problem = f"channel of another grid: {channel.text}, the first channel {first.text}"
            findings.append(
                _finding(source, path, problem, "resample it to the grid of the first channel")
            )
    return findings


class _Grid:
    """Where the voxels of a volume lie once it is turned to the canonical orientation."""

    def __init__(self, volume: Volume, turn: bool) -> None:
        self.volume = volume
        turn = turn and volume.placed
        self.oblique = turn and is_oblique_stack(volume.affine)
        self.codes = axis_codes(volume.affine) if turn and not self.oblique else ""
        axes = axis_order(self.codes)
        self.affine = canonical_affine(volume.affine, self.codes, volume.raw_XYZ.shape)
        x, y, z = (volume.raw_XYZ.shape[axis] for axis in axes)
        self.shape_ZHW = (z, y, x)
        spacing = [volume.spacing_mm[::-1][axis] for axis in axes]
        self.spacing_mm: SpacingMm = (spacing[2], spacing[1], spacing[0])

    def turned(self, array_XYZ: np.ndarray) -> np.ndarray:
        """Return an array of this volume as (Z, H, W)."""
        return to_canonical(array_XYZ, self.codes).T

    def unlike(self, other: "_Grid") -> str:
        """In what the two differ, of spacing and place; empty where they do not. The shape is another matter."""
        if not np.allclose(other.spacing_mm, self.spacing_mm, rtol=1e-3):
            return f"spacing {self.spacing_mm} and {other.spacing_mm} mm (z, y, x)"
        if not np.allclose(other.affine[:3, :3], self.affine[:3, :3], atol=1e-3):
            return "the affine's directions or scale"
        if not np.allclose(other.affine, self.affine, atol=1e-3):
            own, others = (grid.affine[:3, 3].round(3).tolist() for grid in (self, other))
            return f"origin {own} and {others} (x, y, z)"
        return ""

    @property
    def text(self) -> str:
        return f"shape {self.shape_ZHW}, spacing {self.spacing_mm} mm (z, y, x)"


def _channels(grids: list[_Grid]) -> tuple[np.ndarray, float, float]:
    """Return (C, Z, H, W) in one type: stored integers where all channels share type and scale, else float32."""
    stored = [grid.volume.intensities() for grid in grids]
    kinds = {(image.dtype, slope, inter) for image, slope, inter in stored}
    images_XYZ = [image for image, _, _ in stored]
    slope, inter = stored[0][1:]
    if len(kinds) > 1:
        images_XYZ = [grid.volume.as_type(np.dtype(np.float32)) for grid in grids]
        slope, inter = 1.0, 0.0
    turned = [grid.turned(image) for grid, image in zip(grids, images_XYZ, strict=True)]
    if len(turned) == 1:
        return turned[0][None], slope, inter
    parts = chain.from_iterable(map(slabs, turned))
    return spooled(parts, (len(turned), *turned[0].shape), turned[0].dtype), slope, inter


def _classes(label: _Grid, values: LabelValues | None, n_classes: int) -> np.ndarray:
    """Return the class indices (Z, H, W), uint8.

    Raises:
        Unreadable: values that are not integers, or that no class has.
    """
    stored = label.volume.integer_type()
    if stored is None or (values is None and stored != np.uint8):
        within = " in 0..255" if values is None else ""
        problem = f"mask with values that are not integers{within}"
        raise Unreadable(problem, f"map the mask to 0..{n_classes - 1}")
    values_ZHW = label.turned(label.volume.as_type(stored))
    if values is None:
        return values_ZHW
    unknown: set[int] = set()

    def indices(part: np.ndarray) -> np.ndarray:
        out = np.zeros(part.shape, np.uint8)
        for value in distinct(part):
            if value not in values.index:
                unknown.add(value)
            elif values.index[value]:
                out[part == value] = values.index[value]
        return out

    indices_ZHW = converted(values_ZHW, np.dtype(np.uint8), indices)
    if unknown:
        shown = sorted(unknown)
        more = ", ..." if len(shown) > 5 else ""
        listed = ", ".join(map(str, shown[:5])) + more
        raise Unreadable(f"label values [{listed}] that no class has", values.fix_for(shown))
    return indices_ZHW


def distinct(values: np.ndarray) -> list[int]:
    """Return the values of an integer array, in order."""
    found: set[int] = set()
    flat = values.ravel()
    for start in range(0, len(flat), _AT_ONCE):  # counting takes eight bytes a voxel
        part = flat[start : start + _AT_ONCE]
        low, high = int(part.min()), int(part.max())
        if high - low < 2**16:
            counts = np.bincount(part.astype(np.int64) - low)
            found.update((low + np.flatnonzero(counts)).tolist())
        else:
            found.update(np.unique(part).tolist())
    return sorted(found)


def _finding(source: CaseSource, path: Path, problem: str, fix: str) -> Finding:
    return Finding(case=source.id, file=relative(path, source.raw), problem=problem, fix=fix)
