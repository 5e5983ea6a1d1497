"""Preparing: a raw folder in, checks of every case, a prepared dataset out.

Nothing is written before every case has been checked. A case file that is already there, intact and from the same source
files, is kept, so that an interrupted preparation goes on where it stopped. ``dataset.json`` is written last: a folder
without it is not a dataset.
"""

import multiprocessing
import shlex
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from hashlib import sha256
from typing import Any, TypeVar

import numpy as np

from dacl import __version__
from dacl.data import intensity
from dacl.data.case import Case, SpacingMm
from dacl.data.prepared import FORMAT, case_path, content_fingerprint, holds, write_case, write_json
from dacl.data.readers import CaseSource, Discovery, Finding, Reader, acdc, relative, ssl4mis
from dacl.data.splits import Split, published_slices, resolve
from dacl.errors import DaclError

READERS: dict[str, Reader] = {"acdc": acdc, "ssl4mis": ssl4mis}

_OURS = {"cases", "splits", "splits.json", "dataset.json"}
T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)`` with stage ``check`` or ``write``."""


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
        findings: faults, of the skipped cases where bad cases were to be skipped.
        skipped: ids of the cases left out because of a finding.
        parts: train, val and test of the split.
        labeled_slices: labeled patients -> slices with labels, from this data.
        published_slices: the same as published with the split, if it was.
        spacing_mm: (smallest, largest), each (z, y, x); None if unknown.
        voxels: by class name, over all labeled cases.
        missing: patients of the split that the raw folder does not hold.
        unused: patients that are prepared but not part of the split.
        written: case files written now; the others were there already.
    """

    name: str
    root: Path | None
    synthetic: bool
    intensity: str
    split: Split
    fingerprint: str
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...]
    parts: dict[str, SplitPart]
    labeled_slices: dict[int, int]
    published_slices: dict[int, int]
    spacing_mm: tuple[SpacingMm, SpacingMm] | None
    voxels: dict[str, int]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...]
    written: int


class BadCases(DaclError):
    """Some cases cannot be prepared; ``findings`` says which and why. Nothing was written."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        cases = len({finding.case for finding in findings})
        message = f"{len(findings)} findings in {cases} cases, nothing was written"
        super().__init__(
            message, "mend them as the table says, or leave those cases out with --skip-bad"
        )
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A checked case without its voxels."""

    patient: str
    phase: str
    source: dict[str, str]
    shape_ZHW: tuple[int, ...]
    spacing_mm: SpacingMm | None
    class_voxels: tuple[int, ...]
    dtype: str
    affine_scale: tuple[float, ...]
    image_sha256: str
    label_sha256: str


def prepare(
    reader: str,
    raw: Path,
    root: Path | None,
    *,
    split: str | None = None,
    rule: str = "minmax",
    skip_bad: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Check every case of ``raw`` and write the prepared dataset to ``root``.

    Args:
        reader: key of READERS.
        raw: the raw folder.
        root: the folder to write to; None only checks.
        split: name of a split, or None for the one that belongs to the data (``ssl4mis``, or the phantom's own).
        rule: intensity rule, recorded now and applied on reading.
        skip_bad: leave bad cases out instead of raising.
        workers: processes.
        progress: called after each case.

    Raises:
        BadCases: a case has a finding and ``skip_bad`` is off.
        DaclError: the folder has another layout, the split or the rule is unknown, the disk is full.
    """
    intensity.check_rule(rule)
    found = READERS[reader].discover(raw)
    if root is not None:
        _check_target(root, raw, found.name)
    progress = progress or (lambda *_: None)
    entries, findings = _check_all(reader, found, workers, progress)
    if findings and not skip_bad:
        raise BadCases(findings)
    bad = {finding.case for finding in findings}
    good = {i: entry for i, entry in entries.items() if i not in bad and entry.patient not in bad}
    if not good:
        raise DaclError(f"no usable case in {raw}", "see the findings with --check")
    chosen = _split(split, found, good)
    documents = _documents(reader, raw, root, found, chosen, rule, good)
    written = 0
    if root is not None:
        sources = [source for source in found.sources if source.id in good]
        work = partial(_write_one, reader, root)
        for done, new in enumerate(_map(work, sources, workers), start=1):
            written += new
            progress("write", done, len(sources))
        for name, content in documents.items():
            write_json(root / name, content)
    return _report(
        found, chosen, rule, root, findings, good, documents["dataset.json"]["fingerprint"], written
    )


def _check_target(root: Path, raw: Path, name: str) -> None:
    """Refuse to write over the raw data, over another dataset, or into a folder of something else."""
    if root.resolve() == raw.resolve():
        raise DaclError(f"{root} is the raw folder itself", "give another folder as OUT")
    if (root / "dataset.json").is_file():
        from dacl.data.prepared import PreparedDataset

        try:
            there = PreparedDataset.open(root).name
        except DaclError:
            return
        if there != name:
            raise DaclError(
                f"{root} holds the dataset {there!r}, this one is {name!r}",
                "give another folder as OUT",
            )
    elif root.exists() and any(path.stem not in _OURS for path in root.iterdir()):
        raise DaclError(
            f"{root} holds something else than a prepared dataset",
            "give an empty or a new folder as OUT",
        )


def _check_all(
    reader: str, found: Discovery, workers: int, progress: Progress
) -> tuple[dict[str, _Entry], list[Finding]]:
    findings = list(found.findings)
    entries: dict[str, _Entry] = {}
    owner: dict[tuple[str, str], str] = {}
    results = _map(partial(_check_one, reader), found.sources, workers)
    for done, (source, (entry, problems)) in enumerate(
        zip(found.sources, results, strict=True), start=1
    ):
        findings += problems
        if entry is not None:
            entries[source.id] = entry
            first = owner.setdefault((entry.image_sha256, entry.label_sha256), source.id)
            if first != source.id:
                file = relative(source.images[0], source.raw)
                problem = f"duplicate: image and mask are those of {first}"
                fix = "remove one of the two"
                findings.append(Finding(case=source.id, file=file, problem=problem, fix=fix))
        progress("check", done, len(found.sources))
    return entries, findings


def _check_one(reader: str, source: CaseSource) -> tuple[_Entry | None, list[Finding]]:
    case, findings = READERS[reader].read(source)
    return (None if case is None else _entry(case, reader)), findings


def _entry(case: Case, reader: str) -> _Entry:
    voxels = () if case.label_ZHW is None else tuple(np.bincount(case.label_ZHW.ravel()).tolist())
    return _Entry(
        patient=case.patient,
        phase=case.phase,
        source=case.source,
        shape_ZHW=case.image_ZHW.shape,
        spacing_mm=case.spacing_mm,
        class_voxels=voxels,
        dtype=str(case.image_ZHW.dtype),
        affine_scale=tuple(np.linalg.norm(case.affine[:3, :3], axis=0).round(4).tolist()),
        image_sha256=_voxels_sha256(case.image_ZHW),
        label_sha256=_voxels_sha256(case.label_ZHW),
    )


def _voxels_sha256(volume_ZHW: np.ndarray | None) -> str:
    return "" if volume_ZHW is None else sha256(volume_ZHW.tobytes()).hexdigest()


def _write_one(reader: str, root: Path, source: CaseSource) -> bool:
    """Write a case unless it is there; returns whether it was written."""
    case, findings = READERS[reader].read(source)
    if case is None or findings:
        raise DaclError(
            f"{source.images[0]} changed while it was being prepared", "run the same command again"
        )
    path = case_path(root, case.id)
    if holds(path, case.source):
        return False
    write_case(path, case)
    return True


def _map(
    work: Callable[[CaseSource], T], sources: Sequence[CaseSource], workers: int
) -> Iterator[T]:
    """Yield ``work(source)`` in order, from this process or from several."""
    if workers <= 1 or len(sources) < 2:
        yield from map(work, sources)
        return
    # Spawned, because forking a process that has started threads (torch, HDF5) can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(workers, len(sources)), mp_context=context, initializer=_leave_ctrl_c_to_parent
    )
    try:
        yield from pool.map(work, sources)
    except BrokenProcessPool as error:
        raise DaclError(
            "a worker process died, probably for lack of memory", "try again with --workers 1"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_ctrl_c_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _split(name: str | None, found: Discovery, entries: dict[str, _Entry]) -> Split:
    patients = {entry.patient for entry in entries.values()}
    labeled = {entry.patient for entry in entries.values() if entry.class_voxels}
    if found.split is not None and name in (None, found.split.name):
        return found.split.restricted_to(patients)
    return resolve(name or "ssl4mis", found.name, labeled, patients - labeled)


def _documents(
    reader: str,
    raw: Path,
    root: Path | None,
    found: Discovery,
    split: Split,
    rule: str,
    entries: dict[str, _Entry],
) -> dict[str, dict[str, Any]]:
    """Return splits.json and dataset.json, in the order of writing."""
    cases = {}
    for case_id, entry in sorted(entries.items()):
        # Trailing classes that a mask does not show are counted too.
        voxels = entry.class_voxels + (0,) * (len(found.class_names) - len(entry.class_voxels))
        cases[case_id] = {
            "patient": entry.patient,
            "phase": entry.phase,
            "source": entry.source,
            "shape_ZHW": list(entry.shape_ZHW),
            "spacing_mm": entry.spacing_mm,
            "class_voxels": list(voxels) if entry.class_voxels else [],
        }
    command = [
        "dacl",
        "preprocess",
        reader,
        str(raw),
        str(root),
        "--split",
        split.name,
        "--intensity",
        rule,
    ]
    dataset = {
        "format": FORMAT,
        "name": found.name,
        "class_names": found.class_names,
        "modality": found.modality,
        "intensity": rule,
        "synthetic": found.synthetic,
        "fingerprint": content_fingerprint(cases, found.class_names, rule),
        "dacl_version": __version__,
        "prepare_command": shlex.join(command),
        "cases": cases,
    }
    return {"splits.json": {**asdict(split), "hash": split.hash}, "dataset.json": dataset}


def _report(
    found: Discovery,
    split: Split,
    rule: str,
    root: Path | None,
    findings: Sequence[Finding],
    entries: dict[str, _Entry],
    fingerprint: str,
    written: int,
) -> Report:
    spacings = [entry.spacing_mm for entry in entries.values() if entry.spacing_mm is not None]
    voxels = dict.fromkeys(found.class_names, 0)
    for entry in entries.values():
        for name, count in zip(found.class_names, entry.class_voxels, strict=False):
            voxels[name] += count
    slices_of: dict[str, int] = {}
    for entry in entries.values():
        slices_of[entry.patient] = (
            slices_of.get(entry.patient, 0) + bool(entry.class_voxels) * entry.shape_ZHW[0]
        )
    published = published_slices(split.name, found.name)
    counts = [n for n in sorted({1, 3, 7, *published, len(split.train)}) if n <= len(split.train)]
    return Report(
        name=found.name,
        root=root,
        synthetic=found.synthetic,
        intensity=rule,
        split=split,
        fingerprint=fingerprint,
        findings=tuple(findings),
        skipped=tuple(source.id for source in found.sources if source.id not in entries),
        parts={name: _part(getattr(split, name), entries) for name in ("train", "val", "test")},
        labeled_slices={n: sum(slices_of[p] for p in split.train[:n]) for n in counts},
        published_slices={n: published[n] for n in counts if n in published},
        spacing_mm=_range(spacings),
        voxels=voxels,
        missing=split.missing,
        unused=tuple(sorted({entry.patient for entry in entries.values()} - set(split.patients))),
        notes=(*found.notes, *_notes(entries, split)),
        written=written,
    )


def _range(spacings: Sequence[SpacingMm]) -> tuple[SpacingMm, SpacingMm] | None:
    if not spacings:
        return None
    (z0, y0, x0), (z1, y1, x1) = (
        np.min(spacings, axis=0).tolist(),
        np.max(spacings, axis=0).tolist(),
    )
    return (z0, y0, x0), (z1, y1, x1)


def _part(patients: Sequence[str], entries: dict[str, _Entry]) -> SplitPart:
    held = [entry for entry in entries.values() if entry.patient in set(patients)]
    return SplitPart(
        patients=len(patients),
        volumes=len(held),
        labeled_volumes=sum(bool(entry.class_voxels) for entry in held),
        slices=sum(entry.shape_ZHW[0] for entry in held),
    )


def _notes(entries: dict[str, _Entry], split: Split) -> list[str]:
    notes = []
    total = len(entries)
    known = [entry for entry in entries.values() if entry.spacing_mm is not None]
    if len(known) < total:
        notes.append(
            f"spacing unknown in {total - len(known)} of {total} volumes: distances will be in voxels only"
        )
    unit = [e for e in known if e.affine_scale == (1, 1, 1) and e.spacing_mm != (1, 1, 1)]
    if unit:
        notes.append(
            f"spacing taken from pixdim: the affine has unit scale in {len(unit)} of {total} volumes"
        )
    types = Counter(entry.dtype for entry in entries.values())
    notes.append("stored as " + ", ".join(f"{dtype} ({n})" for dtype, n in sorted(types.items())))
    unlabeled = [case_id for case_id, entry in sorted(entries.items()) if not entry.class_voxels]
    if unlabeled:
        shown = ", ".join(unlabeled[:5]) + (", ..." if len(unlabeled) > 5 else "")
        notes.append(f"{len(unlabeled)} volumes have no mask and are unlabeled: {shown}")
    return [*notes, *_twins(entries, split)]


def _twins(entries: dict[str, _Entry], split: Split) -> list[str]:
    """Name cases with the same voxels and another mask: ACDC has such a pair, and a split can part it."""
    notes = []
    first_of: dict[str, str] = {}
    for case_id, entry in sorted(entries.items()):
        twin = first_of.setdefault(entry.image_sha256, case_id)
        if twin != case_id:
            one, two = split.part_of(entries[twin].patient), split.part_of(entry.patient)
            warning = (
                f"; the split has one in {one} and one in {two}"
                if one != two
                else f", both in {one}"
            )
            notes.append(f"{case_id} has the same image as {twin}, with another mask{warning}")
    return notes
