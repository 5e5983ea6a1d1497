"""What preparing found: the checked cases without their voxels, and the report made of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from dacl.data.case import Case, SpacingMm, label_counts
from dacl.data.readers import Discovery, Finding
from dacl.data.slabs import slabs
from dacl.data.splits import Split, published_slices


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A checked case without its voxels; ``class_voxels`` is by class, empty if unlabeled."""

    patient: str
    phase: str
    source: dict[str, str]
    shape_ZHW: tuple[int, ...]
    spacing_mm: SpacingMm | None
    class_voxels: tuple[int, ...]
    dtype: str
    unit_affine: bool
    image_sha256: str
    label_sha256: str
    remarks: tuple[str, ...] = ()

    @property
    def labeled(self) -> bool:
        """Whether the case has a mask."""
        return bool(self.class_voxels)


def entry_of(case: Case, n_classes: int) -> Entry:
    """Keep of a case what the dataset's index and the report need."""
    image_CZHW, label_ZHW = case.image_CZHW, case.label_ZHW
    counts: list[int] = []
    if label_ZHW is not None:
        counts = label_counts(label_ZHW)[:n_classes].tolist()
    return Entry(
        patient=case.patient,
        phase=case.phase,
        source=case.source,
        shape_ZHW=image_CZHW.shape[1:],
        spacing_mm=case.spacing_mm,
        class_voxels=tuple(counts),
        dtype=str(image_CZHW.dtype),
        unit_affine=np.allclose(np.linalg.norm(case.affine[:3, :3], axis=0), 1),
        image_sha256=_hash(image_CZHW),
        label_sha256="" if label_ZHW is None else _hash([label_ZHW]),
        remarks=case.remarks,
    )


def _hash(volumes_ZHW: Iterable[np.ndarray]) -> str:
    digest = sha256()
    for volume_ZHW in volumes_ZHW:
        for part in slabs(volume_ZHW):
            digest.update(part.data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPart:
    """How much one part of the split holds."""

    patients: int
    volumes: int
    labeled_volumes: int
    slices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a preparation found and did.

    Attributes:
        root: where the dataset was written; None after a check.
        findings: the faults of the cases that were left out.
        skipped: ids of the cases that were left out.
        parts: by ``train``, ``val`` and ``test``.
        labeled_slices: labeled patients -> slices with labels, counted in this data.
        published_slices: the same as published with the split, where it was.
        spacing_mm: the smallest and the largest per axis, each (z, y, x); None if unknown.
        class_voxels: by class name, over all labeled cases.
        missing: patients of the split that are not in the dataset.
        unused: patients of the dataset that are not in the split.
        volumes: all cases of the dataset.
        written: case files written now; the others were there, intact and of the same source.
    """

    name: str
    root: Path | None
    synthetic: bool
    intensity: str
    split: str
    split_hash: str
    fingerprint: str
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...]
    parts: dict[str, SplitPart]
    labeled_slices: dict[int, int]
    published_slices: dict[int, int]
    spacing_mm: tuple[SpacingMm, SpacingMm] | None
    class_voxels: dict[str, int]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...]
    volumes: int
    written: int


def report_of(
    found: Discovery,
    split: Split,
    entries: Mapping[str, Entry],
    *,
    rule: str,
    root: Path | None,
    findings: Sequence[Finding],
    fingerprint: str,
    written: int,
) -> Report:
    """Sum up the checked cases under a split."""
    labeled = [entry for entry in entries.values() if entry.labeled]
    totals = [sum(counts) for counts in zip(*(e.class_voxels for e in labeled), strict=True)]
    slices: Counter[str] = Counter()
    for entry in labeled:
        slices[entry.patient] += entry.shape_ZHW[0]
    class_voxels = dict(zip(found.class_names, totals, strict=True)) if labeled else {}
    published = published_slices(split.name, found.name)
    asked = sorted({1, 3, 7, *published, *split.labeled_sets, len(split.train)})
    sets = {n: split.labeled_sets.get(n, split.train[:n]) for n in asked if n <= len(split.train)}
    counts = [n for n, patients in sets.items() if set(patients) <= set(split.train)]
    return Report(
        name=found.name,
        root=root,
        synthetic=found.synthetic,
        intensity=rule,
        split=split.name,
        split_hash=split.hash,
        fingerprint=fingerprint,
        findings=tuple(findings),
        skipped=tuple(source.id for source in found.sources if source.id not in entries),
        parts={
            "train": _part(split.train, entries),
            "val": _part(split.val, entries),
            "test": _part(split.test, entries),
        },
        labeled_slices={n: sum(slices[p] for p in sets[n]) for n in counts},
        published_slices={n: published[n] for n in counts if n in published},
        spacing_mm=_spacing_range([e.spacing_mm for e in entries.values() if e.spacing_mm]),
        class_voxels=class_voxels,
        missing=split.missing,
        unused=tuple(sorted({entry.patient for entry in entries.values()} - set(split.patients))),
        notes=(*found.notes, *_notes(entries, class_voxels), *twins(entries, split)),
        volumes=len(entries),
        written=written,
    )


def _part(patients: Sequence[str], entries: Mapping[str, Entry]) -> SplitPart:
    held = [entry for entry in entries.values() if entry.patient in patients]
    return SplitPart(
        patients=len(patients),
        volumes=len(held),
        labeled_volumes=sum(entry.labeled for entry in held),
        slices=sum(entry.shape_ZHW[0] for entry in held),
    )


def _spacing_range(spacings: Sequence[SpacingMm]) -> tuple[SpacingMm, SpacingMm] | None:
    if not spacings:
        return None
    z, y, x = zip(*spacings, strict=True)
    return (min(z), min(y), min(x)), (max(z), max(y), max(x))


def _notes(entries: Mapping[str, Entry], class_voxels: Mapping[str, int]) -> list[str]:
    notes = []
    total = len(entries)
    unknown = sum(entry.spacing_mm is None for entry in entries.values())
    if unknown:
        volumes = f"{unknown} of {total} volumes"
        notes.append(f"spacing unknown in {volumes}: distances will be in voxels only")
    ones = (1.0, 1.0, 1.0)
    blind = sum(e.unit_affine and e.spacing_mm not in (None, ones) for e in entries.values())
    if blind:
        volumes = f"{blind} of {total} volumes"
        notes.append(f"spacing taken from pixdim: the affine (sform) has unit scale in {volumes}")
    types = Counter(entry.dtype for entry in entries.values())
    notes.append("stored as " + ", ".join(f"{name} ({n})" for name, n in sorted(types.items())))
    empty = [name for name, voxels in class_voxels.items() if not voxels]
    if empty:
        notes.append(
            f"no mask has a voxel of {', '.join(empty)}: leave such a class out (--classes), "
            "or it gets a bank and a row that stay empty"
        )
    unlabeled = [case_id for case_id, entry in sorted(entries.items()) if not entry.labeled]
    if unlabeled:
        shown = ", ".join(unlabeled[:5]) + (", ..." if len(unlabeled) > 5 else "")
        notes.append(f"{len(unlabeled)} volumes have no mask and are unlabeled: {shown}")
    return notes


def twins(entries: Mapping[str, Entry], split: Split) -> list[str]:
    """Name cases with the same image and another mask: ACDC has two, and a split can part them."""
    notes = []
    first_of: dict[str, str] = {}
    for case_id, entry in sorted(entries.items()):
        twin = first_of.setdefault(entry.image_sha256, case_id)
        if twin != case_id:
            pair = (twin, entries[twin]), (case_id, entry)
            names = (f"{each} ({split.part_of(held.patient)})" for each, held in pair)
            masks = "two masks" if all(held.labeled for _, held in pair) else "one mask"
            notes.append(f"{' and '.join(names)} are one image with {masks}")
    return notes
