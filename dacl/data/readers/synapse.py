"""Synapse (the MICCAI 2015 multi-atlas labelling challenge, "BTCV"): abdominal CT as distributed.

``[RawData/]Training/img/imgNNNN.nii.gz`` in Hounsfield units and ``label/labelNNNN.nii.gz`` with values 1 to 13
(B. Landman et al., synapse.org syn3193805). An image without a label file is an unlabeled case. What the published
protocols differ in stands in PROTOCOLS.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from dacl.data import SYNAPSE_PAGE
from dacl.data.case import Case
from dacl.data.nifti_names import is_nifti, stem_of
from dacl.data.readers import CaseSource, Discovery, Finding, relative
from dacl.data.readers.scan import LabelValues, read_scan
from dacl.errors import DaclError

ORGANS = (
    "spleen", "kidney_R", "kidney_L", "gallbladder", "esophagus", "liver", "stomach",
    "aorta", "vena_cava", "portal_splenic_vein", "pancreas", "adrenal_R", "adrenal_L",
)  # fmt: skip
"""In the order of the official label values, from 1."""
_EIGHT = (
    "aorta", "gallbladder", "kidney_L", "kidney_R", "liver", "pancreas", "spleen", "stomach",
)  # fmt: skip
_LEVELS = ("", "Training", "RawData/Training", "training")
_FILE = re.compile(r"(?:img|label)(?P<case>\d+)")


class SynapseProtocol(NamedTuple):
    """What a published protocol fixes before training; its split has the same name."""

    organs: tuple[str, ...]
    """In the order of the class indices."""
    intensity: str


PROTOCOLS = {
    "dhc-2023": SynapseProtocol(ORGANS, "hu:-75:275"),
    "genericssl": SynapseProtocol(ORGANS, "hu:-75:275"),
    "skcdf": SynapseProtocol(ORGANS, "hu:-75:275"),
    "transunet": SynapseProtocol(_EIGHT, "hu:-125:275"),
}


@dataclass(frozen=True)
class Synapse:
    """The reader of `dacl preprocess synapse`.

    Args:
        protocol: key of PROTOCOLS.
        classes: names of ORGANS, in the order of the class indices; None: those of the protocol. All others
            are background.

    Raises:
        DaclError: an unknown protocol or organ, or an organ twice.
    """

    protocol: str = "dhc-2023"
    classes: tuple[str, ...] | None = None
    name: ClassVar[str] = "synapse"

    def __post_init__(self) -> None:
        """Check the names."""
        if self.protocol not in PROTOCOLS:
            known = ", ".join(PROTOCOLS)
            raise DaclError(f"no Synapse protocol {self.protocol!r}", f"choose one of: {known}")
        unknown = [organ for organ in self.classes or () if organ not in ORGANS]
        if unknown or (self.classes is not None and not self.classes):
            named = ", ".join(unknown) or "no organ"
            raise DaclError(f"--classes names {named}", f"the organs are: {', '.join(ORGANS)}")
        if len(set(self.organs)) < len(self.organs):
            raise DaclError("--classes names an organ twice", "name each once")

    @property
    def organs(self) -> tuple[str, ...]:
        """The foreground classes."""
        return self.classes or PROTOCOLS[self.protocol].organs

    @property
    def options(self) -> tuple[str, ...]:
        """Protocol and classes, as they are typed."""
        chosen = ("--classes", ",".join(self.classes)) if self.classes else ()
        return ("--protocol", self.protocol, *chosen)

    def discover(self, raw: Path) -> Discovery:
        """List the scans; DaclError if there is no ``img`` folder with one."""
        level = next((raw / level for level in _LEVELS if (raw / level / "img").is_dir()), None)
        images, findings = _numbered(level / "img", raw) if level else ({}, [])
        if level is None or not images:
            message = f"no Synapse scans in {raw}" if raw.is_dir() else f"no folder {raw}"
            hint = f"expected {raw}/Training/img/img0001.nii.gz and label/label0001.nii.gz: {SYNAPSE_PAGE}"
            raise DaclError(message, hint)
        labels, problems = _numbered(level / "label", raw)
        findings += problems
        for case in sorted(set(labels) - set(images)):
            file, fix = relative(labels[case], raw), f"add img{case}.nii.gz, or remove the mask"
            problem = "mask without its image"
            findings.append(Finding(case=case, file=file, problem=problem, fix=fix))
        sources = [
            CaseSource(
                id=case, patient=case, phase="", raw=raw, images=(path,),
                labels=(labels[case],) if case in labels else (),
            )
            for case, path in sorted(images.items())
        ]  # fmt: skip
        return Discovery(
            name="synapse",
            class_names=("background", *self.organs),
            modality="CT",
            synthetic=False,
            sources=tuple(sources),
            findings=tuple(findings),
            default_split=self.protocol,
            default_intensity=PROTOCOLS[self.protocol].intensity,
        )

    def read(self, source: CaseSource) -> tuple[Case | None, list[Finding]]:
        """Read one scan and its mask, turned to LPS, and check them against each other."""
        values = {0: 0} | {
            value: self.organs.index(organ) + 1 if organ in self.organs else 0
            for value, organ in enumerate(ORGANS, start=1)
        }
        return read_scan(
            source,
            len(self.organs) + 1,
            label_values=LabelValues(values),
            reading=",".join(self.organs),
        )


def _numbered(folder: Path, raw: Path) -> tuple[dict[str, Path], list[Finding]]:
    """List the files of a folder by case number."""
    found: dict[str, Path] = {}
    findings = []
    for path in sorted(folder.glob("*")):
        match = _FILE.fullmatch(stem_of(path)) if is_nifti(path) else None
        if match is None:
            continue
        case = match["case"]
        if case in found:
            problem, fix = "the same scan as .nii and as .nii.gz", "keep one of the two"
            findings.append(Finding(case=case, file=relative(path, raw), problem=problem, fix=fix))
        found[case] = path
    return found, findings
