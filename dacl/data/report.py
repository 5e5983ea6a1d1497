"""The report of a preparation: the checked cases under a split, counted."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from dacl.data.case import SpacingMm
from dacl.data.entries import Entry
from dacl.data.notes import notes_of, twins, unmasked
from dacl.data.readers import Discovery, Finding
from dacl.data.splits import Split, published_slices


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPart:
    """How much one part of the split holds."""

    patients: int
    volumes: int
    labeled_volumes: int
    labeled_patients: int
    slices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationReport:
    """What a preparation found and did.

    Attributes:
        root: where the dataset was written; None after a check.
        findings: the faults of the cases that were left out.
        skipped: ids of the cases that were left out.
        parts: by ``train``, ``val`` and ``test``.
        labeled_slices: labeled patients -> slices with labels, counted in this data.
        published_slices: the same as published with the split, where it was.
        spacing_mm: the smallest and the largest per axis, each (z, y, x); None if unknown.
        median_spacing_mm: the median per axis, (z, y, x); None if unknown.
        channels: names of the image channels.
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
    median_spacing_mm: SpacingMm | None
    channels: tuple[str, ...]
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
) -> PreparationReport:
    """Sum up the checked cases under a split."""
    labeled = [entry for entry in entries.values() if entry.labeled]
    totals = [sum(counts) for counts in zip(*(e.class_voxels for e in labeled), strict=True)]
    spacings = [entry.spacing_mm for entry in entries.values() if entry.spacing_mm]
    class_voxels = dict(zip(found.class_names, totals, strict=True)) if labeled else {}
    published = published_slices(split.name, found.name)
    labeled_slices = _labeled_slices(split, labeled, published)
    return PreparationReport(
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
        labeled_slices=labeled_slices,
        published_slices={n: published[n] for n in labeled_slices if n in published},
        spacing_mm=_spacing_range(spacings),
        median_spacing_mm=_median(spacings),
        channels=found.channels or (found.modality,),
        class_voxels=class_voxels,
        missing=split.missing,
        unused=tuple(sorted({entry.patient for entry in entries.values()} - set(split.patients))),
        notes=(
            *found.notes,
            *notes_of(entries, class_voxels, found.modality),
            *twins(entries, split),
            *unmasked(entries, split),
        ),
        volumes=len(entries),
        written=written,
    )


def _labeled_slices(
    split: Split, labeled: Sequence[Entry], published: Collection[int]
) -> dict[int, int]:
    """Labelled slices of 1, 3, 7 and all labelled patients, and of as many as the split publishes a set or slices for.

    Args:
        split: whose train is in labeled order.
        labeled: cases with a mask.
        published: numbers of patients that slices are published for.

    Returns:
        By number of patients, ascending; not where a patient of the set is missing, or one of the first has no mask.
    """
    slices: Counter[str] = Counter()
    for entry in labeled:
        slices[entry.patient] += entry.shape_ZHW[0]
    usable = sum(1 for _ in takewhile(slices.__contains__, split.train))
    found = {}
    for n in sorted({1, 3, 7, *published, *split.labeled_sets, usable} - {0}):
        patients = split.labeled_sets.get(n, split.train[:n])
        complete = set(patients) <= set(split.train) if n in split.labeled_sets else n <= usable
        if complete:
            found[n] = sum(slices[patient] for patient in patients)
    return found


def _part(patients: Sequence[str], entries: Mapping[str, Entry]) -> SplitPart:
    held = [entry for entry in entries.values() if entry.patient in patients]
    return SplitPart(
        patients=len(patients),
        volumes=len(held),
        labeled_volumes=sum(entry.labeled for entry in held),
        labeled_patients=len({entry.patient for entry in held if entry.labeled}),
        slices=sum(entry.shape_ZHW[0] for entry in held),
    )


def _spacing_range(spacings: Sequence[SpacingMm]) -> tuple[SpacingMm, SpacingMm] | None:
    if not spacings:
        return None
    z, y, x = zip(*spacings, strict=True)
    return (min(z), min(y), min(x)), (max(z), max(y), max(x))


def _median(spacings: Sequence[SpacingMm]) -> SpacingMm | None:
    if not spacings:
        return None
    z, y, x = np.median(spacings, axis=0).round(4).tolist()
    return z, y, x
