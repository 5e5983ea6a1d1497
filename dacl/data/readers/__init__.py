"""Readers: a raw layout in, cases and findings out. What they share stands here."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from dacl.data.case import Case, defects
from dacl.data.splits import Split

WHOLE_DATASET = "all cases"
"""The ``case`` of a finding that no case can be left out for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What keeps a case from being prepared: the file that causes it, and how to mend it."""

    case: str
    file: str
    problem: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSource:
    """The files of one case, in slice order where a file is a slice; no ``labels``: unlabeled."""

    id: str
    patient: str
    phase: str
    raw: Path
    images: tuple[Path, ...]
    labels: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What a raw folder holds, from its names and small files alone.

    Attributes:
        findings: faults of the layout; their ``case`` may be a patient, for all of its cases.
        split: the split that the raw folder itself publishes, if it does.
        default_split: the split to take where none is asked for and the folder has none.
        notes: facts the user should be told.
        channels: names of the image channels; the modality alone where there is one.
        default_intensity: the rule to take where none is asked for.
        reader: reads the cases in the place of the one that was asked, where it needs what was found here.
        arguments: what stands after the command, before OUT; empty: the raw folder.
        reading: choices of the reader that decide the content beside the class names; they enter the fingerprint.
    """

    name: str
    class_names: tuple[str, ...]
    modality: str
    synthetic: bool
    sources: tuple[CaseSource, ...]
    findings: tuple[Finding, ...] = ()
    split: Split | None = None
    default_split: str = "random:0"
    notes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    default_intensity: str = "minmax"
    reader: "Reader | None" = None
    arguments: tuple[str, ...] = ()
    reading: str = ""


@runtime_checkable
class Reader(Protocol):
    """What a raw layout is read with. Readers travel to worker processes: frozen dataclasses."""

    @property
    def name(self) -> str:
        """The command under `dacl preprocess`."""
        ...

    @property
    def options(self) -> tuple[str, ...]:
        """The options of that command that make this reader again."""
        ...

    def discover(self, raw: Path) -> Discovery:
        """List the cases of a raw folder; DaclError if it does not have the layout."""
        ...

    def read(self, source: CaseSource) -> tuple[Case | None, list[Finding]]:
        """Read one case, and all that is wrong with it; None if it cannot be read at all."""
        ...


def relative(path: Path, raw: Path) -> str:
    """Return a source file's name in reports and records, with forward slashes."""
    return path.relative_to(raw).as_posix()


def sha256(content: bytes) -> str:
    """Return the hash under which a source file is recorded."""
    return hashlib.sha256(content).hexdigest()


def voxel_findings(
    case: Case, source: CaseSource, n_classes: int, *, empty_mask: bool = False
) -> list[Finding]:
    """Return the defects of a case's voxels, each with the file to mend."""
    files = {"image": source.images, "label": source.labels}
    return [
        Finding(case=case.id, file=relative(files[part][0], source.raw), problem=problem, fix=fix)
        for part, problem, fix in defects(case, n_classes, empty_mask=empty_mask)
    ]
