"""The prepared dataset: dataset.json, splits.json and cases/<id>.h5, read with h5py alone.

A case file holds ``image`` and ``label``, both (Z, H, W), one slice per chunk, and the geometry as
attributes. An image of several channels is (C, Z, H, W).
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dacl.data import intensity
from dacl.data.case import Case, SpacingMm
from dacl.data.slabs import slabs
from dacl.data.splits import Split
from dacl.errors import DaclError

FORMAT = 1
# What h5py raises on a damaged file depends on which bytes are hit.
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError)


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


def case_path(root: Path, case_id: str) -> Path:
    """Return where a case lies in a prepared dataset."""
    return root / "cases" / f"{case_id}.h5"


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to, and put that file in the place of ``path``; DaclError if disk or folder refuse."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        hint = "free some space or choose another folder; what is complete is kept"
        raise DaclError(f"cannot write {path}: {error.strerror}", hint) from error


class _Unfailing(io.FileIO):
    """A file that remembers its first failure instead of raising it.

    HDF5 cannot close a file once a write to it has failed, and the process would be left with it open.
    """

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of it, if nothing has failed yet."""
        view = memoryview(content).cast("B")
        done = 0
        try:
            while done < len(view) and self.failure is None:
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size, if nothing has failed yet."""
        try:
            if self.failure is None:
                return super().truncate(size)
        except OSError as error:
            self.failure = error
        return size or 0


def write_case(path: Path, case: Case) -> None:
    """Write a case file atomically, some slices at a time; DaclError if the disk is full or read-only."""
    with _replacing(path) as partial, _Unfailing(partial, "w+") as target:
        try:
            with h5py.File(target, "w") as file:
                _fill(file, case)
        except Exception as error:
            # What HDF5 says of its file after that is of no use.
            raise target.failure or error from error
        if target.failure is not None:
            raise target.failure


def _fill(file: h5py.File, case: Case) -> None:
    single = len(case.image_CZHW) == 1
    volumes = {
        "image": case.image_CZHW[0] if single else case.image_CZHW,
        "label": case.label_ZHW,
    }
    for name, volume in volumes.items():
        if volume is None:
            continue
        dataset = file.create_dataset(
            name,
            shape=volume.shape,
            dtype=volume.dtype,
            chunks=(*[1] * (volume.ndim - 2), *volume.shape[-2:]),
            compression="lzf",
            shuffle=True,
            fletcher32=True,
        )
        for prefix in np.ndindex(volume.shape[:-3]):
            z = 0
            for part in slabs(volume[prefix]):
                dataset[(*prefix, slice(z, z + len(part)))] = part
                z += len(part)
    file.attrs.update(
        format=FORMAT,
        id=case.id,
        patient=case.patient,
        phase=case.phase,
        affine=case.affine,
        source=json.dumps(case.source),
    )
    if case.spacing_mm is not None:
        file.attrs["spacing_mm"] = case.spacing_mm
    if case.header:
        file.attrs["header"] = np.void(case.header)
    if case.reading:
        file.attrs["reading"] = case.reading
    if case.orientation:
        file.attrs["orientation"] = case.orientation
    if (case.slope, case.inter) != (1.0, 0.0):
        file.attrs.update(slope=case.slope, inter=case.inter)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; DaclError if the disk is full or read-only."""
    with _replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")


def withdraw(root: Path) -> None:
    """Make a folder no dataset, by removing its index; DaclError if the folder is read-only."""
    path = root / "dataset.json"
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        hint = "make the folder writable or choose another one"
        raise DaclError(f"cannot replace {path}: {error.strerror}", hint) from error


def holds(path: Path, case: Case) -> bool:
    """Whether a case file is there, undamaged to the last chunk, made from just these files and in this way."""
    try:
        with h5py.File(path) as file:
            if file.attrs["format"] != FORMAT or json.loads(file.attrs["source"]) != case.source:
                return False
            if str(file.attrs.get("reading", "")) != case.reading:
                return False
            for volume in file.values():
                for prefix in np.ndindex(volume.shape[:-2]):
                    volume[prefix]
    except _DAMAGE:
        return False
    return True


def content_fingerprint(
    cases: Mapping[str, Mapping[str, Any]], class_names: Iterable[str], rule: str
) -> str:
    """Return the sha256 of case ids, source hashes, shapes, class names and intensity rule.

    Neither the folder nor the split enters: a copy, or another split of it, is the same dataset.
    """
    content = {
        "cases": {
            case_id: [sorted(c["source"].values()), list(c["shape_ZHW"])]
            for case_id, c in cases.items()
        },
        "class_names": list(class_names),
        "intensity": rule,
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
        chosen = self.split.labeled(n)
        without = [patient for patient in chosen if patient not in masked]
        if without:
            usable = self.split.train.index(without[0])
            message = f"{n} labeled patients asked for, without a mask: {', '.join(without)}"
            hint = (
                f"choose --labeled from 1 to {usable}" if usable else "add masks and prepare again"
            )
            raise DaclError(message, hint)
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
        except _DAMAGE as error:
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
