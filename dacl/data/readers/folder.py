"""The user's own NIfTI: a folder of images and a folder of masks, some images without one."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from dacl.data.case import Case
from dacl.data.readers import CaseSource, Discovery, Finding
from dacl.data.readers.classes import Classes, parse
from dacl.data.readers.own import INTENSITY, Modality, discovered_classes, read_case
from dacl.data.readers.pairs import pair, pattern
from dacl.errors import DaclError


@dataclass(frozen=True)
class Folder:
    """The reader of `dacl preprocess folder`.

    Args:
        labels: the folder of masks.
        dataset: what the dataset is called.
        classes: as after ``--classes``, see `dacl.data.readers.classes`; empty: the values of the masks are looked
            for, and should be 1 to K.
        channels: names of the channels, in the order of their numbers; empty: as the files say.
        modality: decides the default intensity rule.
        case_pattern: finds the case in a file's name; empty: the whole name.
        patient_pattern: finds the patient in a case's name; empty: the whole name.
        known: the classes once they are known.

    Raises:
        DaclError: a pattern that is none, classes or channels that cannot be.
    """

    labels: Path
    dataset: str = "folder"
    classes: str = ""
    channels: tuple[str, ...] = ()
    modality: Modality = "other"
    case_pattern: str = ""
    patient_pattern: str = ""
    known: Classes | None = None
    name: ClassVar[str] = "folder"

    def __post_init__(self) -> None:
        """Check what was typed."""
        pattern(self.case_pattern, "--case-pattern")
        pattern(self.patient_pattern, "--patient-pattern")
        if self.classes:
            parse(self.classes)
        if len(set(self.channels)) < len(self.channels) or "" in self.channels:
            raise DaclError("--channels: a name is empty or stands twice", "write --channels T1,T2")

    @property
    def options(self) -> tuple[str, ...]:
        """What was typed; the classes also where they were found."""
        typed = {
            "--name": self.dataset,
            "--classes": self.classes or (self.known.option if self.known else ""),
            "--channels": ",".join(self.channels),
            "--modality": self.modality,
            "--case-pattern": self.case_pattern,
            "--patient-pattern": self.patient_pattern,
        }
        return tuple(word for option, value in typed.items() if value for word in (option, value))

    def discover(self, raw: Path) -> Discovery:
        """Match the files of the two folders; DaclError if they hold no image with a mask."""
        images, labels = raw.absolute(), self.labels.absolute()
        if images.resolve() == labels.resolve():
            raise DaclError(
                f"{raw} is given for images and for masks",
                "put the masks into a folder of their own",
            )
        pairs = pair(
            images,
            labels,
            Path(os.path.commonpath([images, labels])),
            n_channels=len(self.channels) or None,
            case_pattern=pattern(self.case_pattern, "--case-pattern"),
        )
        channels = self.channels
        if not channels:
            n_channels = 1 + max(number for files in pairs.images.values() for number in files)
            channels = tuple(f"channel{i}" for i in range(n_channels)) if n_channels > 1 else ()
            if channels:
                pairs.notes.append(f"channels {', '.join(channels)}: name them with --channels")
        patients = pattern(self.patient_pattern, "--patient-pattern")
        sources = pairs.sources(channels or (self.modality,), patients)
        classes, findings = (
            (parse(self.classes), []) if self.classes else discovered_classes(sources)
        )
        return Discovery(
            name=self.dataset,
            class_names=classes.names,
            modality=self.modality,
            synthetic=False,
            sources=tuple(sources),
            findings=(*findings, *pairs.findings),
            notes=tuple(pairs.notes),
            channels=channels,
            default_intensity=INTENSITY[self.modality],
            reader=replace(self, known=classes, channels=channels),
            arguments=(str(raw), str(self.labels)),
            reading=";".join((classes.option, *channels)),
        )

    def read(self, source: CaseSource) -> tuple[Case | None, list[Finding]]:
        """Read one case, turned to LPS, and check its files against each other."""
        if self.known is None:
            raise ValueError("read with the reader that `discover` returns")
        return read_case(source, self.known, self.known.option)
