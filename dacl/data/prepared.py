"""The prepared dataset: dataset.json, splits.json and cases/<id>.h5, read with h5py alone."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dacl.data import intensity
from dacl.data.case import SpacingMm
from dacl.data.casefile import DAMAGE, FORMAT, case_path
from dacl.data.splits import Split
from dacl.errors import DaclError

JUDGED_PARTS = ("val", "test")
"""Parts of a split that training never saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseInfo:
    """What dataset.json says of a case.

    Attributes:
        class_voxels: by class, empty if unlabeled.
        source: file, relative to the raw folder -> sha256 of its bytes; None where not recorded.
    """

    id: str
    patient: str
    shape_ZHW: tuple[int, int, int]
    spacing_mm: SpacingMm | None
    has_label: bool
    class_voxels: tuple[int, ...]
    phase: str = ""
    source: Mapping[str, str] | None = field(default=None, hash=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where voxels lie: spacing (z, y, x) or None, affine (4, 4), NIfTI header bytes or none.

    ``orientation`` are the source's axis codes where the volume was turned to LPS, else empty.
    """

    spacing_mm: SpacingMm | None
    affine: np.ndarray
    header: bytes
    orientation: str = ""


def withdraw(root: Path) -> None:
    """Make a folder no dataset, by removing its index; DaclError if the folder is read-only."""
    path = root / "dataset.json"
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        hint = "make the folder writable or choose another one"
        raise DaclError(f"cannot replace {path}: {error.strerror}", hint) from error


def content_fingerprint(
    cases: Mapping[str, Mapping[str, Any]],
    class_names: Iterable[str],
    rule: str,
    reading: str = "",
) -> str:
    """Return the sha256 of case ids, source hashes, shapes, class names, intensity rule and choices of the reader.

    Neither the folder nor the split enters: a copy, or another split of it, is the same dataset.
    """
    content = {
        "cases": {
            case_id: [sorted(c["source"].values()), list(c["shape_ZHW"])]
            for case_id, c in cases.items()
        },
        "class_names": list(class_names),
        "intensity": rule,
        **({"reading": reading} if reading else {}),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDataset:
    """A prepared dataset on disk.

    Attributes:
        root: its folder.
        name: ``acdc``, ``phantom``, ...
        class_names: by class index; 0 is ``background``.
        modality: ``MR``, ...
        intensity: the rule applied on reading.
        synthetic: whether no scanner was involved.
        fingerprint: see ``content_fingerprint``.
        split: the patients at hand by use.
        prepare_command: what wrote it, and writes damaged cases again.
        infos: by case id, in order.
        reader: what read the raw folder, ``acdc`` or ``ssl4mis``; empty where not recorded.
        notes: what a result on this data should be read with, such as one image in two parts.
        channels: names of the image channels.
    """

    root: Path
    name: str
    class_names: tuple[str, ...]
    modality: str
    intensity: str
    synthetic: bool
    fingerprint: str
    split: Split
    prepare_command: str
    infos: Mapping[str, CaseInfo]
    reader: str = ""
    notes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ("image",)

    @classmethod
    def open(cls, root: Path) -> "PreparedDataset":
        """Open a folder; DaclError if it is not a prepared dataset or is damaged."""
        root = Path(root)
        hint = f"prepare one: dacl preprocess acdc RAW {root}"
        if not (root / "dataset.json").is_file():
            raise DaclError(f"{root} is not a prepared dataset: it has no dataset.json", hint)
        try:
            dataset = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
            parts = json.loads((root / "splits.json").read_text(encoding="utf-8"))
            if dataset["format"] != FORMAT:
                message = (
                    f"{root} has format {dataset['format']}, this version of dacl reads {FORMAT}"
                )
                raise DaclError(message, hint)
            split = read_split(parts)
            infos = {
                case_id: _info(case_id, entry)
                for case_id, entry in sorted(dataset["cases"].items())
            }
            return cls(
                root=root,
                name=dataset["name"],
                class_names=tuple(dataset["class_names"]),
                modality=dataset["modality"],
                intensity=intensity.check_rule(dataset["intensity"]),
                synthetic=dataset["synthetic"],
                fingerprint=dataset["fingerprint"],
                split=split,
                prepare_command=dataset["prepare_command"],
                infos=infos,
                reader=dataset.get("reader", ""),
                notes=tuple(dataset.get("notes", ())),
                channels=tuple(dataset.get("channels", (dataset["modality"],))),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DaclError(
                f"{root}: dataset.json or splits.json is damaged ({error!r})", hint
            ) from error

    def cases(self, patients: Iterable[str]) -> list[CaseInfo]:
        """Return the cases of these patients, in the order of the patients, then of the frames."""
        by_patient: dict[str, list[CaseInfo]] = {}
        for info in self.infos.values():
            by_patient.setdefault(info.patient, []).append(info)
        return [info for patient in patients for info in by_patient.get(patient, [])]

    def judged_cases(self, part: str) -> list[CaseInfo]:
        """Return the labeled cases of a part of the split, in the order of its patients.

        Args:
            part: one of ``JUDGED_PARTS``.

        Raises:
            DaclError: another part, or no case of it has a label.
        """
        if part not in JUDGED_PARTS:
            hint = f"choose one of: {', '.join(JUDGED_PARTS)}"
            raise DaclError(f"no split {part!r} to judge on", hint)
        every = self.cases(getattr(self.split, part))
        labeled = [case for case in every if case.has_label]
        if not labeled:
            message = (
                f"{self.root} holds no labelled {part} case of split {self.split.name} ({len(every)} without a label, "
                f"{len(self.split.missing)} patients of the split are missing from the raw data)"
            )
            other = "val" if part == "test" else "test"
            hint = f"choose --split {other}, or prepare the data again with those patients"
            raise DaclError(message, hint)
        return labeled

    def info(self, case_id: str) -> CaseInfo:
        """Return what is known of a case; DaclError if there is no such case."""
        if case_id not in self.infos:
            message = f"{self.root} has no case {case_id!r}"
            raise DaclError(message, f"its cases are listed in {self.root / 'dataset.json'}")
        return self.infos[case_id]

    def labeled(
        self, n: int, *, order: str = "split", cases: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """Return the ``n`` train patients whose labels are used; DaclError where one has no mask.

        Args:
            n: how many.
            order: ``split``: the set that the split publishes for ``n``, else the first ``n`` of train;
                ``random:SEED``: ``n`` patients of train with a mask, drawn.
            cases: patients by name, instead of either.
        """
        masked = {info.patient for info in self.infos.values() if info.has_label}
        if cases:
            return self.split.chosen(cases, masked)
        if order != "split":
            return self.split.drawn(n, order, masked)
        usable = [patient for patient in self.split.train if patient in masked]
        if n not in self.split.labeled_sets and n > len(usable):
            message = f"{n} labeled patients asked for, {len(usable)} train patients have a mask"
            raise DaclError(message, _fewer(self.split.train, usable))
        chosen = self.split.labeled(n)
        without = [patient for patient in chosen if patient not in masked]
        if without:
            message = f"{n} labeled patients asked for, without a mask: {', '.join(without)}"
            raise DaclError(message, _fewer(self.split.train, usable))
        return chosen

    def read_image(self, case_id: str) -> np.ndarray:
        """Read an image under the intensity rule: float32 (C, Z, H, W). Its label is never touched."""
        image, attributes = self._read(case_id, "image")
        image_CZHW = image[None] if image.ndim == 3 else image
        slope, inter = attributes.get("slope", 1.0), attributes.get("inter", 0.0)
        return intensity.apply(self.intensity, image_CZHW, slope=float(slope), inter=float(inter))

    def read_label(self, case_id: str) -> np.ndarray:
        """Read one mask: uint8 class indices (Z, H, W); DaclError for an unlabeled case."""
        if not self.info(case_id).has_label:
            raise DaclError(f"{case_id} has no label", "add its mask and prepare again")
        return self._read(case_id, "label")[0]

    def read_geometry(self, case_id: str) -> Geometry:
        """Read spacing, affine and the source's header bytes of one case."""
        _, attributes = self._read(case_id)
        header = attributes["header"].tobytes() if "header" in attributes else b""
        spacing_mm = self.info(case_id).spacing_mm
        return Geometry(
            spacing_mm=spacing_mm,
            affine=attributes["affine"],
            header=header,
            orientation=str(attributes.get("orientation", "")),
        )

    def _read(self, case_id: str, volume: str = "") -> tuple[np.ndarray, dict[str, Any]]:
        info = self.info(case_id)
        path = case_path(self.root, case_id)
        try:
            with h5py.File(path) as file:
                array = file[volume][...] if volume else np.empty(0)
                attributes = dict(file.attrs)
            if attributes["id"] != case_id or (volume and array.shape[-3:] != info.shape_ZHW):
                raise ValueError("it holds another case")
            if info.source is not None and json.loads(attributes["source"]) != info.source:
                raise ValueError("it was made from other source files than dataset.json names")
        except DAMAGE as error:
            message = f"{path} is missing or damaged ({volume or 'geometry'}: {error})"
            hint = f"write it again, intact cases are kept: {self.prepare_command}"
            raise DaclError(message, hint) from error
        return array, attributes


def read_split(parts: Mapping[str, Any]) -> Split:
    """Return the split that splits.json holds."""
    return Split(
        parts["name"],
        *(tuple(parts[key]) for key in ("train", "val", "test", "missing")),
        labeled_sets={int(n): tuple(names) for n, names in parts.get("labeled_sets", {}).items()},
    )


def _info(case_id: str, entry: Mapping[str, Any]) -> CaseInfo:
    z, h, w = entry["shape_ZHW"]
    spacing = entry["spacing_mm"]
    return CaseInfo(
        id=case_id,
        patient=entry["patient"],
        shape_ZHW=(z, h, w),
        spacing_mm=None if spacing is None else (spacing[0], spacing[1], spacing[2]),
        has_label=bool(entry["class_voxels"]),
        class_voxels=tuple(entry["class_voxels"]),
        phase=entry["phase"],
        source=entry.get("source"),
    )


def _fewer(train: Sequence[str], usable: Sequence[str]) -> str:
    """Which patients can be labeled, where those asked for cannot: all with a mask may not be the first of train."""
    if not usable:
        return "add masks and prepare again"
    if tuple(train[: len(usable)]) == tuple(usable):
        return f"choose --labeled from 1 to {len(usable)}"
    return (
        f"{len(usable)} train patients have a mask: --labeled-order random:0 draws among them, "
        "--labeled-cases A,B,... names some"
    )
