"""ACDC as distributed: ``[training/]patientNNN/`` with Info.cfg, and image and mask of each frame.

``patientNNN_frameFF.nii.gz`` and ``patientNNN_frameFF_gt.nii.gz``; Info.cfg names ED and ES. A frame
without a mask is an unlabeled case. The 4D cine files are not read. Labels: 1 right ventricle, 2
myocardium, 3 left ventricle (O. Bernard et al., IEEE TMI 37(11), 2018). A ``phantom.json`` in the raw
folder marks a synthetic dataset of the same layout and holds its split.
"""

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dacl.data import ACDC_PAGE
from dacl.data.case import Case
from dacl.data.nifti_names import is_nifti, stem_of
from dacl.data.readers import CaseSource, Discovery, Finding, relative
from dacl.data.readers.scan import read_scan
from dacl.data.splits import Split
from dacl.errors import DaclError

CLASS_NAMES = ("background", "RV", "Myo", "LV")
_LEVELS = ("", "training", "testing", "database/training", "database/testing")
_PATIENT = re.compile(r"(patient|phantom)\d+")
_FRAME = re.compile(r"(?P<case>(?P<patient>[a-z]+\d+)_frame(?P<frame>\d+))(?P<mask>_gt)?")
_UNREADABLE = "download it again"


@dataclass(frozen=True)
class Acdc:
    """The reader of `dacl preprocess acdc`."""

    name: ClassVar[str] = "acdc"
    options: ClassVar[tuple[str, ...]] = ()

    def discover(self, raw: Path) -> Discovery:
        """List the frames of every patient; DaclError if there is no patient folder."""
        return _discover(raw)

    def read(self, source: CaseSource) -> tuple[Case | None, list[Finding]]:
        """Read a frame and its mask as they lie in their files, and check them against each other."""
        return read_scan(source, len(CLASS_NAMES), turn=False)


def _discover(raw: Path) -> Discovery:
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
        default_split="ssl4mis",
    )


def _patient(folder: Path, raw: Path) -> tuple[list[CaseSource], list[Finding]]:
    """List the frames of one patient folder, with the faults of its names and its Info.cfg."""
    patient = folder.name
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    findings: list[Finding] = []

    def found(case: str, path: Path, problem: str, fix: str) -> None:
        findings.append(Finding(case=case, file=relative(path, raw), problem=problem, fix=fix))

    for path in sorted(folder.iterdir()):
        match = _FRAME.fullmatch(stem_of(path)) if is_nifti(path) else None
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
    info = folder / "Info.cfg"
    phases, problems = _phases(info, raw)
    findings += problems
    for case, phase in phases.items():
        if case not in images:
            found(
                case,
                info,
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


def _phases(info: Path, raw: Path) -> tuple[dict[str, str], list[Finding]]:
    """Read which frames are ED and ES, case -> phase; a finding where Info.cfg does not say."""
    patient = info.parent.name
    try:
        text = info.read_text(encoding="utf-8")
        values = dict(re.findall(r"^\s*(\w+)\s*:\s*(.*?)\s*$", text, re.MULTILINE))
        return {f"{patient}_frame{int(values[phase]):02d}": phase for phase in ("ED", "ES")}, []
    except FileNotFoundError:
        problem = "Info.cfg is missing"
    except (OSError, KeyError, ValueError) as error:
        problem = f"Info.cfg does not name the ED and ES frames ({error!r})"
    return {}, [Finding(case=patient, file=relative(info, raw), problem=problem, fix=_UNREADABLE)]


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
