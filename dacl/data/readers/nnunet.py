"""nnU-Net's raw layout: ``dataset.json``, ``imagesTr/CASE_0000.nii.gz`` and ``labelsTr/CASE.nii.gz``.

Both versions of ``dataset.json`` are read: ``modality`` and ``{"1": "liver"}`` of version 1 and the Medical
Decathlon, ``channel_names`` and ``{"liver": 1}`` of version 2 (MIC-DKFZ/nnUNet, documentation/dataset_format.md).
An image of ``imagesTr`` without a mask is an unlabeled case.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from dacl.data.case import Case
from dacl.data.nifti_names import stem_of, without_channel
from dacl.data.readers import CaseSource, Discovery, Finding
from dacl.data.readers.classes import Classes, parse
from dacl.data.readers.own import INTENSITY, Modality, read_case
from dacl.data.readers.pairs import CONVERT, Pairs, pair, pattern, read_images
from dacl.errors import DaclError

_MR = re.compile(r"mri?|t1\w*|t2\w*|flair|adc|dwi|pd\w*|cine\w*|b\d+", re.IGNORECASE)
_NUMBERED = re.compile(r"(Dataset|Task)\d+_")


@dataclass(frozen=True)
class Nnunet:
    """The reader of `dacl preprocess nnunet`.

    Args:
        classes: as after ``--classes``, see `dacl.data.readers.classes`; empty: those of ``dataset.json``.
        patient_pattern: finds the patient in a case's name; empty: the whole name.
        test_images: whether ``imagesTs`` are unlabeled cases too.
        dataset: what the dataset is called; empty: as ``dataset.json`` or the folder says.
        known: the classes once they are known.
    """

    classes: str = ""
    patient_pattern: str = ""
    test_images: bool = False
    dataset: str = ""
    known: Classes | None = None
    name: ClassVar[str] = "nnunet"

    def __post_init__(self) -> None:
        """Check what was typed."""
        pattern(self.patient_pattern, "--patient-pattern")

    @property
    def options(self) -> tuple[str, ...]:
        """What was typed."""
        typed = {
            "--name": self.dataset,
            "--classes": self.classes,
            "--patient-pattern": self.patient_pattern,
        }
        words = [word for option, value in typed.items() if value for word in (option, value)]
        return (*words, *["--with-test-images"] * self.test_images)

    def discover(self, raw: Path) -> Discovery:
        """Read dataset.json and match the files; DaclError if the folder has another layout."""
        raw = raw.absolute()
        content = _content(raw)
        channels = _channels(content, raw)
        classes = _classes(content, self.classes, raw)
        pairs = pair(raw / "imagesTr", raw / "labelsTr", raw, n_channels=len(channels))
        if self.test_images:
            _add_test_images(pairs, raw, len(channels))
        _check_training_list(content, pairs)
        modality = _modality(channels)
        patients = pattern(self.patient_pattern, "--patient-pattern")
        sources = pairs.sources(channels, patients)
        return Discovery(
            name=self.dataset or str(content.get("name") or _NUMBERED.sub("", raw.name, count=1)),
            class_names=classes.names,
            modality=modality,
            synthetic=False,
            sources=tuple(sources),
            findings=tuple(pairs.findings),
            notes=tuple(pairs.notes),
            channels=channels,
            default_intensity=INTENSITY[modality],
            reader=replace(self, known=classes),
            reading=";".join((classes.option, *channels)),
        )

    def read(self, source: CaseSource) -> tuple[Case | None, list[Finding]]:
        """Read one case, turned to LPS, and check its files against each other."""
        if self.known is None:
            raise ValueError("read with the reader that `discover` returns")
        return read_case(source, self.known, self.known.option)


def _content(raw: Path) -> dict[str, Any]:
    path = raw / "dataset.json"
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"no dataset.json in {raw}" if raw.is_dir() else f"no folder {raw}"
        hint = (
            "expected dataset.json, imagesTr/CASE_0000.nii.gz and labelsTr/CASE.nii.gz; "
            "two folders without dataset.json: dacl preprocess folder IMAGES LABELS OUT"
        )
        raise DaclError(message, hint) from error
    except (OSError, ValueError) as error:
        raise DaclError(f"{path} cannot be read: {error}", "mend the file") from error
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
        raise DaclError(
            f"{path} has no labels", 'it should hold "labels": {"background": 0, "liver": 1}'
        )
    ending = content.get("file_ending", ".nii.gz")
    if str(ending).lower() not in (".nii.gz", ".nii"):
        raise DaclError(f"{path}: the files end in {ending}, not in .nii.gz or .nii", CONVERT)
    if "dataset" in content:
        message = f"{path} lists its files itself, under dataset"
        raise DaclError(message, "put them, or links to them, into imagesTr and labelsTr")
    return content


def _channels(content: dict[str, Any], raw: Path) -> tuple[str, ...]:
    named: Any = content.get("channel_names", content.get("modality"))
    try:
        names = {int(number): str(name) for number, name in named.items()}
        channels = tuple(names[number] for number in range(len(names)))
    except (AttributeError, ValueError, KeyError) as error:
        message = f"{raw / 'dataset.json'} does not name its channels from 0: {named!r}"
        raise DaclError(message, 'it should hold "channel_names": {"0": "CT"}') from error
    # Two channels may both be "CT"; ours are told apart by their names.
    return tuple(
        f"{name}_{i:04d}" if channels.count(name) > 1 else name for i, name in enumerate(channels)
    )


def _classes(content: dict[str, Any], chosen: str, raw: Path) -> Classes:
    """Return the classes, of ``dataset.json`` or as chosen from them."""
    labels: dict[str, Any] = content["labels"]
    if all(str(key).isdecimal() for key in labels):
        labels = {str(name): int(value) for value, name in labels.items()}
    path = raw / "dataset.json"
    regions = [name for name, value in labels.items() if isinstance(value, list)]
    if regions and not chosen:
        message = f"{path} has regions that overlap: {', '.join(regions)}"
        hint = (
            "name the values of the masks instead, a class each: --classes edema=1,necrosis=2,..."
        )
        raise DaclError(message, hint)
    known = {name: value for name, value in labels.items() if not isinstance(value, list)}
    if any(type(value) is not int for value in known.values()):
        raise DaclError(f"{path}: labels {labels} are not integers", "write them as integers")
    ignored = known.pop("ignore", 0)
    named = {name: (value,) for name, value in known.items() if value}
    classes = parse(chosen, known) if chosen else Classes(named)
    if ignored not in classes.index:
        message = f"{path} has the label ignore ({ignored}): dacl knows no voxel without an answer"
        hint = f"count it as background: --classes {','.join(named)},background={ignored}"
        raise DaclError(
            message, hint + "; or take those masks away: their cases are then unlabeled"
        )
    return classes


def _add_test_images(pairs: Pairs, raw: Path, n_channels: int) -> None:
    more = read_images(raw / "imagesTs", pairs, masks=(), n_channels=n_channels)
    for case, files in more.items():
        if case in pairs.images:
            path = next(iter(files.values()))
            pairs.found(case, path, "a case of imagesTr too", "rename one of the two")
        else:
            pairs.images[case] = files


def _check_training_list(content: dict[str, Any], pairs: Pairs) -> None:
    """Add what version 1's list of training files names and the folders lack."""
    for entry in content.get("training") or ():
        if not isinstance(entry, dict) or "image" not in entry:
            continue
        case = stem_of(Path(str(entry["image"])))
        absent = [
            (kind, str(entry[kind]))
            for kind, held in (("image", pairs.images), ("label", pairs.masks))
            if kind in entry and case not in held and without_channel(case) not in held
        ]
        for kind, file in absent:
            problem = f"dataset.json names {file} as {kind}, there is no such file"
            fix = "add the file, or take its entry out of dataset.json"
            pairs.found(case, pairs.root / "dataset.json", problem, fix)


def _modality(channels: tuple[str, ...]) -> Modality:
    names = set(map(without_channel, channels))
    if {name.upper() for name in names} == {"CT"}:
        return "CT"
    return "MR" if all(_MR.fullmatch(name) for name in names) else "other"
