"""What a user should know of the checked cases, beside their numbers."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from dacl.data.entries import Entry
from dacl.data.splits import Split

_AIR_HU = -900


def notes_of(
    entries: Mapping[str, Entry], class_voxels: Mapping[str, int], modality: str
) -> list[str]:
    """Return the facts about spacing, storage, masks and orientation that stand out."""
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
    blank = [i for i, e in sorted(entries.items()) if e.labeled and not any(e.class_voxels[1:])]
    if blank:
        notes.append(f"{_count(blank, 'mask')} of background alone: {_some(blank)}")
    remarks: dict[str, list[str]] = defaultdict(list)
    for case_id, entry in sorted(entries.items()):
        for remark in entry.remarks:
            remarks[remark].append(case_id)
    notes += [
        f"{remark} ({_count(cases, 'case')}: {_some(cases)})" for remark, cases in remarks.items()
    ]
    if modality != "CT" and median(entry.lowest for entry in entries.values()) <= _AIR_HU:
        notes.append(
            f"intensities go down to {_AIR_HU} and below, as those of CT: if it is one, say so by --modality CT, or "
            "of nnU-Net's data by channel_names in their dataset.json"
        )
    unlabeled = [case_id for case_id, entry in sorted(entries.items()) if not entry.labeled]
    if unlabeled:
        notes.append(f"{len(unlabeled)} volumes have no mask and are unlabeled: {_some(unlabeled)}")
    return notes


def _count(cases: Sequence[str], noun: str) -> str:
    return f"{len(cases)} {noun}{'s' if len(cases) > 1 else ''}"


def _some(cases: Sequence[str]) -> str:
    return ", ".join(cases[:5]) + (", ..." if len(cases) > 5 else "")


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


def unmasked(entries: Mapping[str, Entry], split: Split) -> list[str]:
    """Name the parts of a split that are there to judge by and have no mask to do so."""
    masked = {entry.patient for entry in entries.values() if entry.labeled}
    lost = {
        "val": "a run cannot choose its best step, and keeps latest.pt alone",
        "test": "`dacl evaluate` has nothing to judge by",
    }
    return [
        f"none of the {len(patients)} {part} patients has a mask: {what}"
        for part, what in lost.items()
        if (patients := getattr(split, part)) and masked.isdisjoint(patients)
    ]
