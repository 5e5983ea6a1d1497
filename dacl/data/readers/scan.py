"""One case from NIfTI files: the image, a file per channel, and its mask, checked against each other."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dacl.data.case import Case, smallest_integers
from dacl.data.orientation import axis_codes, axis_order, to_canonical
from dacl.data.readers import CaseSource, Finding, relative, voxel_findings
from dacl.data.readers.nifti import Unreadable, Volume, load


def read_scan(
    source: CaseSource,
    n_classes: int,
    *,
    label_values: Mapping[int, int] | None = None,
    turn: bool = True,
    reading: str = "",
) -> tuple[Case | None, list[Finding]]:
    """Read the channels of an image and its mask, and check all of them against the first channel.

    Args:
        source: a file per channel, and one or no mask.
        n_classes: N, background included.
        label_values: value in the mask -> class index; None: the values are the indices. A value that is not
            a key is a finding.
        turn: to the canonical orientation; otherwise voxels stay as they lie in the files.
        reading: what the case remembers of its reader's options.
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
    first, *others = (volumes[path] for path in source.images)
    if first.affine_contradicts_spacing():
        problem = f"pixdim {first.spacing_mm} mm (z, y, x) contradicts the scale of the affine"
        fix = "write the true spacing into both"
        findings.append(_finding(source, source.images[0], problem, fix))
    for path, channel in zip(source.images[1:], others, strict=True):
        if channel.raw_XYZ.shape != first.raw_XYZ.shape or not _same_geometry(first, channel):
            problem = f"channel of another grid: {_grid(channel)}, the first channel {_grid(first)}"
            findings.append(
                _finding(source, path, problem, "resample it to the grid of the first channel")
            )
    if findings and others:
        return None, findings
    codes = axis_codes(first.affine) if turn and first.placed else ""
    label_ZHW = None
    for path in source.labels:
        label = volumes[path]
        values = smallest_integers(label.values())
        if values is None or (label_values is None and values.dtype != np.uint8):
            within = " in 0..255" if label_values is None else ""
            problem = f"mask with values that are not integers{within}"
            fix = f"map the mask to 0..{n_classes - 1}"
            return None, [*findings, _finding(source, path, problem, fix)]
        if label_values is not None:
            values, unknown = _mapped(values, label_values)
            if unknown:
                problem = f"label values {unknown[:5]} that no class has"
                fix = f"the classes are the values {_listed(label_values)}: map the mask, or name the class"
                return None, [*findings, _finding(source, path, problem, fix)]
        label_ZHW = to_canonical(values, codes).T
        if not _same_geometry(first, label):
            problem = (
                f"mask and image differ in geometry: spacing {label.spacing_mm} and "
                f"{first.spacing_mm} mm (z, y, x), or the affine"
            )
            fix = "save the mask with the header of its image"
            findings.append(_finding(source, path, problem, fix))
    image_CXYZ, slope, inter = _channels([volumes[path] for path in source.images])
    z, y, x = first.spacing_mm
    spacing_XYZ = [(x, y, z)[axis] for axis in axis_order(codes)]
    case = Case(
        id=source.id,
        patient=source.patient,
        phase=source.phase,
        image_CZHW=np.stack([to_canonical(image_XYZ, codes).T for image_XYZ in image_CXYZ]),
        label_ZHW=label_ZHW,
        spacing_mm=(spacing_XYZ[2], spacing_XYZ[1], spacing_XYZ[0]),
        affine=first.affine,
        header=first.header,
        orientation=codes,
        source={relative(path, source.raw): volume.sha256 for path, volume in volumes.items()},
        slope=slope,
        inter=inter,
        reading=reading,
    )
    return case, findings + voxel_findings(case, source, n_classes)


def _channels(volumes: list[Volume]) -> tuple[list[np.ndarray], float, float]:
    """Return the channels in one type: stored integers where all share type and scale, else float32."""
    stored = [volume.intensities() for volume in volumes]
    kinds = {(image.dtype, slope, inter) for image, slope, inter in stored}
    if len(kinds) == 1:
        _, slope, inter = kinds.pop()
        return [image for image, _, _ in stored], slope, inter
    return [volume.values().astype(np.float32) for volume in volumes], 1.0, 0.0


def _mapped(
    values_XYZ: np.ndarray, label_values: Mapping[int, int]
) -> tuple[np.ndarray, list[int]]:
    """Return class indices, and the values that are no key."""
    found = np.unique(values_XYZ).tolist()
    indices_XYZ = np.zeros(values_XYZ.shape, np.uint8)
    for value in found:
        if label_values.get(value, 0):
            indices_XYZ[values_XYZ == value] = label_values[value]
    return indices_XYZ, [value for value in found if value not in label_values]


def _listed(label_values: Mapping[int, int]) -> str:
    return ", ".join(map(str, sorted(label_values)))


def _grid(volume: Volume) -> str:
    return f"shape {volume.raw_XYZ.shape[::-1]}, spacing {volume.spacing_mm} mm (z, y, x)"


def _same_geometry(image: Volume, label: Volume) -> bool:
    return np.allclose(image.spacing_mm, label.spacing_mm, rtol=1e-3) and np.allclose(
        image.affine, label.affine, atol=1e-3
    )


def _finding(source: CaseSource, path: Path, problem: str, fix: str) -> Finding:
    return Finding(case=source.id, file=relative(path, source.raw), problem=problem, fix=fix)
