"""The SSL4MIS copy of ACDC: slices, volumes and lists.

``data/slices/patientNNN_frameFF_slice_Z.h5``, ``data/patientNNN_frameFF.h5`` and ``*.list``, where
the frames are called frame01 (ED) and frame02 (ES). Intensities are min-max scaled floats and the
spacing is lost. A volume is put together from its slices where the folder has them alone.
"""

import io
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np

from dacl.data.case import Case, smallest_integers
from dacl.data.readers import CaseSource, Discovery, Finding, relative, sha256, voxel_findings
from dacl.data.readers.acdc import CLASS_NAMES
from dacl.data.splits import Split, named
from dacl.errors import DaclError

_CASE = re.compile(
    r"(?P<case>(?P<patient>patient\d+)_frame(?P<frame>\d+))(?:_slice_(?P<slice>\d+))?(?:\.h5)?"
)
_PHASES = {"frame01": "ED", "frame02": "ES"}
_FIX = "copy it again from the SSL4MIS repository"


@dataclass(frozen=True)
class Ssl4mis:
    """The reader of `dacl preprocess ssl4mis`."""

    name: ClassVar[str] = "ssl4mis"
    options: ClassVar[tuple[str, ...]] = ()

    def discover(self, raw: Path) -> Discovery:
        """List the cases of a folder with ``data/``; DaclError if there are no slices or volumes."""
        return _discover(raw)

    def read(self, source: CaseSource) -> tuple[Case | None, list[Finding]]:
        """Read one volume, or put it together from its slices."""
        return _read(source)


def _discover(raw: Path) -> Discovery:
    data = raw / "data"
    volumes: dict[str, Path] = {}
    slices: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in sorted([*data.glob("*.h5"), *(data / "slices").glob("*.h5")]):
        match = _CASE.fullmatch(path.name)
        if match and match["slice"] is not None:
            slices[match["case"]][int(match["slice"])] = path
        elif match:
            volumes[match["case"]] = path
    if not volumes and not slices:
        message = f"no SSL4MIS copy in {raw}" if raw.is_dir() else f"no folder {raw}"
        raise DaclError(
            message, f"expected {raw}/data/slices/patient001_frame01_slice_0.h5 and {raw}/data/*.h5"
        )
    sources, findings = [], []
    for case in sorted({*volumes, *slices}):
        match = _CASE.fullmatch(case)
        assert match is not None  # the names are its own captures
        numbers = sorted(slices[case])
        paths = (volumes[case],) if case in volumes else tuple(slices[case][z] for z in numbers)
        if case not in volumes and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            gaps = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
            findings.append(_finding(case, paths[0], raw, f"slices {gaps} are missing"))
        sources.append(
            CaseSource(
                id=case,
                patient=match["patient"],
                phase=_PHASES.get(f"frame{match['frame']}", ""),
                raw=raw,
                images=paths,
                labels=paths,
            )
        )
    split = _split(raw, {source.id for source in sources}, findings)
    note = (
        "intensities are the copy's floats, min-max scaled per volume, not the scanner's integers"
    )
    return Discovery(
        name="acdc",
        class_names=CLASS_NAMES,
        modality="MR",
        synthetic=False,
        sources=tuple(sources),
        findings=tuple(findings),
        split=split,
        default_split="ssl4mis",
        notes=(note,),
    )


def _read(source: CaseSource) -> tuple[Case | None, list[Finding]]:
    images, labels, hashes = [], [], {}
    for path in source.images:
        try:
            content = path.read_bytes()
            with h5py.File(io.BytesIO(content)) as file:
                images.append(np.asarray(file["image"]))
                labels.append(np.asarray(file["label"]))
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            return None, [_finding(source.id, path, source.raw, f"unreadable ({error})")]
        hashes[relative(path, source.raw)] = sha256(content)
        problem = _shape_problem(images, labels, len(source.images) > 1 or "_slice_" in path.name)
        if problem:
            return None, [_finding(source.id, path, source.raw, problem)]
    image_ZHW, label_ZHW = (v[0] if v[0].ndim == 3 else np.stack(v) for v in (images, labels))
    values = smallest_integers(label_ZHW)
    if values is None or values.dtype != np.uint8:
        return None, [
            _finding(
                source.id,
                source.labels[0],
                source.raw,
                "label values that are not integers in 0..255",
            )
        ]
    case = Case(
        id=source.id,
        patient=source.patient,
        phase=source.phase,
        # Never integers: these are quotients, and a volume of 0 and 1 alone would be an accident.
        image_CZHW=image_ZHW.astype(np.float32)[None],
        label_ZHW=values,
        spacing_mm=None,
        source=hashes,
    )
    return case, voxel_findings(case, source, len(CLASS_NAMES))


def _shape_problem(images: list[np.ndarray], labels: list[np.ndarray], is_slice: bool) -> str:
    """Compare the newest image with its label and with the slice before it."""
    image, label = images[-1], labels[-1]
    if image.ndim != (2 if is_slice else 3):
        return f"image has shape {image.shape}, expected {'(H, W)' if is_slice else '(Z, H, W)'}"
    if image.shape != label.shape:
        return f"mask has shape {label.shape}, image {image.shape}"
    if image.shape != images[0].shape:
        return f"slice has shape {image.shape}, the first of the volume {images[0].shape}"
    return ""


def _split(raw: Path, cases: set[str], findings: list[Finding]) -> Split | None:
    """Return the split of the folder's lists, None if one is absent; adds the slices they miss."""
    train = next(
        (raw / n for n in ("train_slices.list", "train.list") if (raw / n).is_file()), None
    )
    val, test = raw / "val.list", raw / "test.list"
    if train is None or not val.is_file() or not test.is_file():
        return None
    parts = []
    for path in (train, val, test):
        patients: dict[str, None] = {}
        for line in path.read_text(encoding="utf-8").split():
            match = _CASE.fullmatch(line)
            if match is None:
                raise DaclError(
                    f"{path} names {line!r}", "each line should read patientNNN_frameFF[_slice_Z]"
                )
            patients[match["patient"]] = None
            volume = raw / "data" / f"{match['case']}.h5"
            slice_path = raw / "data" / "slices" / f"{line.removesuffix('.h5')}.h5"
            if (
                match["slice"]
                and match["case"] in cases
                and not volume.is_file()
                and not slice_path.is_file()
            ):
                findings.append(
                    _finding(match["case"], slice_path, raw, f"missing, {path.name} names it")
                )
        parts.append(tuple(patients))
    published = named("ssl4mis", "acdc")
    same = parts == [published.train, published.val, published.test]
    return published if same else Split("lists", *parts)


def _finding(case: str, path: Path, raw: Path, problem: str) -> Finding:
    return Finding(case=case, file=relative(path, raw), problem=problem, fix=_FIX)
