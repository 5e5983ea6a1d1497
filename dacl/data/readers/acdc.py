"""ACDC as distributed: ``[training/]patientNNN/`` with Info.cfg, and image and mask of each frame.

``patientNNN_frameFF.nii.gz`` and ``patientNNN_frameFF_gt.nii.gz``; Info.cfg names ED and ES. A frame
without a mask is an unlabeled case. The 4D cine files are not read. Labels: 1 right ventricle, 2
myocardium, 3 left ventricle (O. Bernard et al., IEEE TMI 37(11), 2018). A ``phantom.json`` in the raw
folder marks a synthetic dataset of the same layout and holds its split.
"""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from dacl.data import ACDC_PAGE
from dacl.data.case import Case, smallest_integers
from dacl.data.readers import CaseSource, Discovery, Finding, relative, voxel_findings
from dacl.data.readers.nifti import Unreadable, Volume, load
from dacl.data.splits import Split
from dacl.errors import DaclError

CLASS_NAMES = ("background", "RV", "Myo", "LV")
_LEVELS = ("", "training", "testing", "database/training", "database/testing")
_PATIENT = re.compile(r"(patient|phantom)\d+")
_FRAME = re.compile(
    r"(?P<case>(?P<patient>[a-z]+\d+)_frame(?P<frame>\d+))(?P<mask>_gt)?\.nii(\.gz)?"
)
_UNREADABLE = "download it again"


def discover(raw: Path) -> Discovery:
    """List the frames of every patient; DaclError if there is no patient folder."""
    folders: dict[str, list[Path]] = defaultdict(list)
    for level in _LEVELS:
        for folder in sorted((raw / level).glob("*/")):
            if _PATIENT.fullmatch(folder.name):
                folders[folder.name].append(folder)
    if not folders:
        message = f"no ACDC patients in {raw}" if raw.is_dir() else f"no folder {raw}"
        hint = (
            f"expected {raw}/training/patient001/...: download ACDC from {ACDC_PAGE}, "
            "or make a synthetic dataset: dacl preprocess phantom"
        )
        raise DaclError(message, hint)
    sources: list[CaseSource] = []
    findings: list[Finding] = []
    for patient, places in sorted(folders.items()):
        if len(places) > 1:
            where = " and ".join(relative(place, raw) for place in places)
            fix = "keep one of the two folders"
            findings.append(Finding(case=patient, file=where, problem="duplicate patient", fix=fix))
        found, problems = _patient(places[0], raw)
        sources += found
        findings += problems
    marker = _marker(raw)
    return Discovery(
        name=marker.get("name", "acdc"),
        class_names=CLASS_NAMES,
        modality="MR",
        synthetic=bool(marker.get("synthetic", False)),
        sources=tuple(sources),
        findings=tuple(findings),
        split=_marker_split(marker),
    )


def read(source: CaseSource) -> tuple[Case | None, list[Finding]]:
    """Read a frame and its mask, and check them against each other."""
    volumes: dict[Path, Volume] = {}
    findings: list[Finding] = []
    for path in (*source.images, *source.labels):
        try:
            volumes[path] = load(path)
        except Unreadable as error:
            findings.append(_finding(source, path, error.problem, error.fix))
    if findings:
        return None, findings
    image = volumes[source.images[0]]
    if image.affine_contradicts_spacing():
        problem = f"pixdim {image.spacing_mm} mm (z, y, x) contradicts the scale of the affine"
        fix = "write the true spacing into both"
        findings.append(_finding(source, source.images[0], problem, fix))
    label_ZHW = None
    for path in source.labels:
        label = volumes[path]
        integers = smallest_integers(label.values())
        if integers is None or integers.dtype != np.uint8:
            problem = "mask with values that are not integers in 0..255"
            return None, [*findings, _finding(source, path, problem, "map the mask to 0..3")]
        label_ZHW = integers.T
        if not _same_geometry(image, label):
            problem = (
                f"mask and image differ in geometry: spacing {label.spacing_mm} and "
                f"{image.spacing_mm} mm (z, y, x), or the affine"
            )
            fix = "save the mask with the header of its image"
            findings.append(_finding(source, path, problem, fix))
    stored_XYZ, slope, inter = image.intensities()
    case = Case(
        id=source.id,
        patient=source.patient,
        phase=source.phase,
        image_ZHW=stored_XYZ.T,
        label_ZHW=label_ZHW,
        spacing_mm=image.spacing_mm,
        affine=image.affine,
        header=image.header,
        source={relative(path, source.raw): volume.sha256 for path, volume in volumes.items()},
        slope=slope,
        inter=inter,
    )
    return case, findings + voxel_findings(case, source, len(CLASS_NAMES))


def _same_geometry(image: Volume, label: Volume) -> bool:
    return np.allclose(image.spacing_mm, label.spacing_mm, rtol=1e-3) and np.allclose(
        image.affine, label.affine, atol=1e-3
    )


def _finding(source: CaseSource, path: Path, problem: str, fix: str) -> Finding:
    return Finding(case=source.id, file=relative(path, source.raw), problem=problem, fix=fix)


def _patient(folder: Path, raw: Path) -> tuple[list[CaseSource], list[Finding]]:
    """List the frames of one patient folder, with the faults of its names and its Info.cfg."""
    patient = folder.name
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    findings: list[Finding] = []

    def found(case: str, path: Path, problem: str, fix: str) -> None:
        findings.append(Finding(case=case, file=relative(path, raw), problem=problem, fix=fix))

    for path in sorted(folder.iterdir()):
        match = _FRAME.fullmatch(path.name)
        if match and match["patient"] == patient:
            kind = masks if match["mask"] else images
            if match["case"] in kind:
                found(
                    match["case"],
                    path,
                    "the same frame as .nii and as .nii.gz",
                    "keep one of the two",
                )
            kind[match["case"]] = path
    for case in sorted(set(masks) - set(images)):
        found(case, masks[case], "mask without its image", f"add {case}.nii.gz, or remove the mask")
    phases: dict[str, str] = {}
    info_path = folder / "Info.cfg"
    try:
        info = dict(
            re.findall(
                r"^\s*(\w+)\s*:\s*(.*?)\s*$", info_path.read_text(encoding="utf-8"), re.MULTILINE
            )
        )
        phases = {f"{patient}_frame{int(info[phase]):02d}": phase for phase in ("ED", "ES")}
    except FileNotFoundError:
        found(patient, info_path, "Info.cfg is missing", _UNREADABLE)
    except (OSError, KeyError, ValueError) as error:
        found(
            patient,
            info_path,
            f"Info.cfg does not name the ED and ES frames ({error!r})",
            _UNREADABLE,
        )
    for case, phase in phases.items():
        if case not in images:
            found(
                case,
                info_path,
                f"Info.cfg names {case} as {phase}, there is no such image",
                f"add {case}.nii.gz",
            )
    sources = [
        CaseSource(
            id=case,
            patient=patient,
            phase=phases.get(case, ""),
            raw=raw,
            images=(path,),
            labels=(masks[case],) if case in masks else (),
        )
        for case, path in sorted(images.items())
    ]
    return sources, findings


def _marker(raw: Path) -> dict[str, Any]:
    path = raw / "phantom.json"
    try:
        content: dict[str, Any] = (
            json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        )
    except (OSError, ValueError) as error:
        raise DaclError(
            f"{path} cannot be read: {error}", "make the phantom again: dacl preprocess phantom"
        ) from error
    return content


def _marker_split(marker: dict[str, Any]) -> Split | None:
    parts = marker.get("split")
    return (
        Split(marker["name"], *(tuple(parts[part]) for part in ("train", "val", "test")))
        if parts
        else None
    )
