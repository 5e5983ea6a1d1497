"""ACDC as distributed: ``[training/]patientNNN/{Info.cfg, patientNNN_frameFF.nii.gz, patientNNN_frameFF_gt.nii.gz}``.

O. Bernard et al., IEEE TMI 37(11), 2018. Labels: 1 right ventricle, 2 myocardium, 3 left ventricle. The 4D cine files are
not read. A ``phantom.json`` in the raw folder marks a synthetic dataset of the same layout and holds its split.
"""

import gzip
import json
import re
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dacl.data.case import Case, SpacingMm, smallest_integers
from dacl.data.readers import CaseSource, Discovery, Finding, relative, sha256, voxel_findings
from dacl.data.splits import Split
from dacl.errors import DaclError

CLASS_NAMES = ("background", "RV", "Myo", "LV")
DOWNLOAD_PAGE = "https://www.creatis.insa-lyon.fr/Challenge/acdc/"
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
            f"expected {raw}/training/patient001/...: download ACDC from {DOWNLOAD_PAGE}, "
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
    findings: list[Finding] = []
    image = _load(source.images[0], source, findings)
    label = _load(source.labels[0], source, findings) if source.labels else None
    if image is None or (source.labels and label is None):
        return None, findings
    image_XYZ, slope, inter = image.stored_intensities()
    label_ZHW = None
    files = [(source.images[0], image)]
    if label is not None:
        files.append((source.labels[0], label))
        values = smallest_integers(label.scaled())
        if values is None or values.dtype != np.uint8:
            problem = "label values that are not integers in 0..255"
            findings.append(_finding(source, source.labels[0], problem, "map the mask to 0..3"))
            return None, findings
        label_ZHW = values.T
        findings += _geometry_findings(image, label, source)
    case = Case(
        id=source.id,
        patient=source.patient,
        phase=source.phase,
        image_ZHW=image_XYZ.T,
        label_ZHW=label_ZHW,
        spacing_mm=image.spacing_mm,
        affine=image.affine,
        header=image.header,
        source={relative(path, source.raw): volume.sha256 for path, volume in files},
        slope=slope,
        inter=inter,
    )
    return case, findings + voxel_findings(case, source, len(CLASS_NAMES))


@dataclass(frozen=True, slots=True)
class _Volume:
    """One NIfTI file; ``raw_XYZ`` as stored, before slope and inter."""

    raw_XYZ: np.ndarray
    slope: float
    inter: float
    spacing_mm: SpacingMm
    affine: np.ndarray
    header: bytes
    sha256: str

    def scaled(self) -> np.ndarray:
        return (
            self.raw_XYZ
            if (self.slope, self.inter) == (1.0, 0.0)
            else self.raw_XYZ * self.slope + self.inter
        )

    def stored_intensities(self) -> tuple[np.ndarray, float, float]:
        """Return integers with their slope and inter where the source has integers, else float32."""
        if self.raw_XYZ.dtype.kind in "iub":
            native = self.raw_XYZ.dtype.newbyteorder("=")
            return self.raw_XYZ.astype(native), self.slope, self.inter
        values = self.scaled()
        integers = smallest_integers(values)
        return (values.astype(np.float32) if integers is None else integers), 1.0, 0.0


def _load(path: Path, source: CaseSource, findings: list[Finding]) -> _Volume | None:
    import nibabel

    try:
        packed = path.read_bytes()
        content = gzip.decompress(packed) if path.suffix == ".gz" else packed
        # nibabel mends a doubtful header in silence or with a log line; what it mends is checked here instead.
        with nibabel.imageglobals.LoggingOutputSuppressor():
            nifti: Any = nibabel.Nifti1Image.from_bytes(content)
        raw_XYZ = nifti.dataobj.get_unscaled()
    except (EOFError, zlib.error) as error:
        findings.append(_finding(source, path, f"truncated gzip ({error})", _UNREADABLE))
        return None
    except (
        OSError,
        ValueError,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
    ) as error:
        findings.append(
            _finding(source, path, f"unreadable ({' '.join(str(error).split())})", _UNREADABLE)
        )
        return None
    if raw_XYZ.ndim == 4 and raw_XYZ.shape[3] == 1:
        raw_XYZ = raw_XYZ[..., 0]
    if raw_XYZ.ndim != 3 or raw_XYZ.dtype.kind not in "iubf":
        problem = f"not a 3D volume of numbers: shape {raw_XYZ.shape}, type {raw_XYZ.dtype}"
        findings.append(_finding(source, path, problem, "replace it by the 3D frame"))
        return None
    x, y, z = _pixdim_mm(content, nifti.header.endianness)
    return _Volume(
        raw_XYZ=np.asarray(raw_XYZ),
        slope=float(nifti.dataobj.slope),
        inter=float(nifti.dataobj.inter),
        spacing_mm=(z, y, x),
        affine=np.asarray(nifti.affine, dtype=np.float64),
        header=content[:348],
        sha256=sha256(packed),
    )


def _pixdim_mm(content: bytes, endianness: str) -> list[float]:
    """Return the voxel size (x, y, z) as stored: nibabel's own copy has negative and zero sizes replaced."""
    return (
        np.frombuffer(content, dtype=f"{endianness}f4", count=3, offset=80)
        .astype(np.float64)
        .round(6)
        .tolist()
    )


def _geometry_findings(image: _Volume, label: _Volume, source: CaseSource) -> list[Finding]:
    same = np.allclose(image.spacing_mm, label.spacing_mm, rtol=1e-3) and np.allclose(
        image.affine, label.affine, atol=1e-3
    )
    if same:
        return []
    problem = f"mask and image differ in geometry: spacing {label.spacing_mm} and {image.spacing_mm} mm (z, y, x)"
    return [
        _finding(source, source.labels[0], problem, "save the mask with the header of its image")
    ]


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
