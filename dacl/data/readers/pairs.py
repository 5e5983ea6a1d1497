"""Images and masks of two folders, matched by name: what the user's own data and nnU-Net's layout share.

``CASE.nii.gz``, or a file per channel, ``CASE_0000.nii.gz``, ``CASE_0001.nii.gz``; the mask is ``CASE.nii.gz`` in
the other folder.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dacl.data.nifti_names import CHANNEL, is_nifti, stem_of, without_channel
from dacl.data.readers import CaseSource, Finding, relative
from dacl.errors import DaclError

_OTHER_FORMATS = {
    ".mha", ".mhd", ".nrrd", ".nhdr", ".dcm", ".ima", ".img", ".hdr", ".mgz", ".mgh", ".npy", ".npz",
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp",
}  # fmt: skip
CONVERT = (
    "convert them to NIfTI: DICOM with dcm2niix, .mha and .nrrd with "
    "SimpleITK: WriteImage(ReadImage('a.mha'), 'a.nii.gz')"
)

_Key = TypeVar("_Key")


@dataclass
class Pairs:
    """The cases of two folders, and all that is wrong with their names.

    Attributes:
        root: what the files of findings and records are relative to.
        images: case -> channel number -> file.
        masks: case -> file.
    """

    root: Path
    images: dict[str, dict[int, Path]] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def found(self, case: str, path: Path, problem: str, fix: str) -> None:
        """Add a finding."""
        file = relative(path, self.root)
        self.findings.append(Finding(case=case, file=file, problem=problem, fix=fix))

    def sources(
        self, channels: Sequence[str], patient_pattern: re.Pattern[str] | None = None
    ) -> list[CaseSource]:
        """Return every image with its mask, if it has one; adds findings about channels and patients.

        Args:
            channels: names, by channel number.
            patient_pattern: finds the patient in a case's name; None: a case is a patient.
        """
        sources = []
        for case, files in sorted(self.images.items()):
            some = next(iter(files.values()))
            for number, name in enumerate(channels):
                if number not in files:
                    problem = f"channel {number:04d} ({name}) is missing"
                    self.found(case, some, problem, f"add {case}_{number:04d}.nii.gz")
            for number in sorted(set(files) - set(range(len(channels)))):
                problem = f"channel {number:04d} has no name: there are {len(channels)} channels"
                self.found(case, files[number], problem, "name it, or remove the file")
            match = patient_pattern.search(case) if patient_pattern else None
            if patient_pattern and match is None:
                problem = (
                    f"--patient-pattern {patient_pattern.pattern!r} finds no patient in {case!r}"
                )
                self.found(case, some, problem, "mend the pattern, or rename the files")
            sources.append(
                CaseSource(
                    id=case,
                    patient=named_part(match, "patient") if match else case,
                    phase="",
                    raw=self.root,
                    images=tuple(files[number] for number in sorted(files)),
                    labels=(self.masks[case],) if case in self.masks else (),
                )
            )
        return sources


def pattern(text: str, option: str) -> re.Pattern[str] | None:
    """Compile the regular expression of an option, None if it is empty; DaclError if it is none."""
    try:
        return re.compile(text) if text else None
    except re.error as error:
        message = f"{option} {text!r} is no regular expression: {error}"
        raise DaclError(message, f"for example {option} '(patient\\d+)'") from error


def named_part(match: re.Match[str], group: str) -> str:
    """Return a match's group of this name, else its first group, else all of it."""
    groups = match.groupdict()
    return groups.get(group) or (match[1] if match.re.groups and match[1] else match[0])


def pair(
    images: Path,
    labels: Path,
    root: Path,
    *,
    n_channels: int | None = None,
    case_pattern: re.Pattern[str] | None = None,
) -> Pairs:
    """Match the files of two folders.

    Args:
        images: of which each becomes a case.
        labels: masks of some of them.
        root: a folder above both.
        n_channels: how many there should be; None: as many as the names say.
        case_pattern: finds the case in a file's name, the same for an image and its mask; None: the whole name.

    Raises:
        DaclError: no folder, no image, no mask, or no mask that belongs to an image.
    """
    pairs = Pairs(root)
    mask_files = _nifti_files(labels, pairs)
    by_case = read_images(
        images, pairs, masks=mask_files, n_channels=n_channels, case_pattern=case_pattern
    )
    masks: dict[str, Path] = {}
    for stem, path in mask_files.items():
        case = _case(stem, path, case_pattern, pairs)
        if case is not None:
            _keep(masks, case, path, case, pairs)
    if not set(masks) & set(by_case):
        some_images, some_masks = (", ".join(sorted(cases)[:3]) for cases in (by_case, masks))
        message = (
            f"no mask belongs to an image: images are such as {some_images}, masks {some_masks}"
        )
        hint = (
            "a mask has the name of its image, without _0000; where names differ, say what a case is "
            r"called in both: --case-pattern '(\d+)'"
        )
        raise DaclError(message, hint)
    for case in sorted(set(masks) - set(by_case)):
        fix = f"add {case}.nii.gz to {images.name}, or remove the mask"
        pairs.found(case, masks[case], "mask without its image", fix)
    pairs.images, pairs.masks = by_case, masks
    return pairs


def read_images(
    folder: Path,
    pairs: Pairs,
    *,
    masks: Collection[str],
    n_channels: int | None = None,
    case_pattern: re.Pattern[str] | None = None,
) -> dict[str, dict[int, Path]]:
    """List the images of a folder: case -> channel number -> file; what is wrong goes to ``pairs``.

    ``masks`` are the names of mask files without their ending; the rest is as in `pair`.
    """
    files = _nifti_files(folder, pairs)
    suffixed = _has_channel_suffixes(files, masks, n_channels, case_pattern)
    if suffixed and not any(map(CHANNEL.fullmatch, files)):
        some = next(iter(files.values())).name
        message = f"{n_channels} channels are named, and no image is called CASE_0000: {some}"
        hint = (
            "give a file per channel, CASE_0000.nii.gz, CASE_0001.nii.gz; the fourth axis of a 4D file: "
            "nibabel.funcs.four_to_three(nibabel.load(FILE))"
        )
        raise DaclError(message, hint)
    by_case: dict[str, dict[int, Path]] = defaultdict(dict)
    for stem, path in files.items():
        match = CHANNEL.fullmatch(stem) if suffixed else None
        if suffixed and match is None:
            pairs.found(stem, path, "no channel number", f"rename it to {stem}_0000.nii.gz")
            continue
        number = int(match["channel"]) if match else 0
        case = _case(match["case"] if match else stem, path, case_pattern, pairs)
        if case is not None:
            _keep(by_case[case], number, path, case, pairs)
    return dict(by_case)


def _nifti_files(folder: Path, pairs: Pairs) -> dict[str, Path]:
    """List the NIfTI files of a folder by their name without ending; DaclError if there is none, or a bad name."""
    if not folder.is_dir():
        raise DaclError(f"no folder {folder}", "give a folder of .nii or .nii.gz files")
    found: dict[str, Path] = {}
    others = []
    for path in sorted(folder.iterdir()):
        stem = stem_of(path)
        if is_nifti(path) and stem in found:
            problem = "the same name as .nii and as .nii.gz"
            pairs.found(stem, path, problem, "keep one of the two")
        elif is_nifti(path):
            found[stem] = path
        elif path.suffix.lower() in _OTHER_FORMATS and not path.name.startswith("."):
            others.append(path.name)
    _check_names(found)
    shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    if not found:
        held = f": {shown}" if others else ""
        inside = any(map(is_nifti, folder.glob("*/*")))
        hint = (
            "put the files of its folders into one" if inside else "expected .nii or .nii.gz files"
        )
        raise DaclError(f"no NIfTI file in {folder}{held}", CONVERT if others else hint)
    if others:
        pairs.notes.append(f"{len(others)} files of {folder.name} are not read: {shown}; {CONVERT}")
    return found


def _check_names(stems: Iterable[str]) -> None:
    """DaclError for names that a case file cannot hold; Python stands lone surrogates for bytes that are no UTF-8."""
    bad = [stem for stem in stems if stem != stem.encode(errors="ignore").decode()]
    if bad:
        shown = ", ".join(stem.encode(errors="backslashreplace").decode() for stem in bad[:3])
        raise DaclError(
            f"{len(bad)} file names are not in UTF-8, such as {shown}",
            "rename them, for example by convmv -f latin1 -t utf8 --notest FOLDER/*",
        )


def _has_channel_suffixes(
    images: Iterable[str],
    masks: Collection[str],
    n_channels: int | None,
    case_pattern: re.Pattern[str] | None,
) -> bool:
    """Whether ``_0000`` ends an image's name as its channel, not as the number of the case."""
    stems = [stem for stem in images if CHANNEL.fullmatch(stem)]
    if n_channels is not None and n_channels > 1:
        return True
    # amos_0001 with the mask amos_0001 is case 1; amos_0001_0000 with that mask is its channel 0.
    if not any(stem.endswith("_0000") for stem in stems) or any(stem in masks for stem in stems):
        return False
    # volume_0000 is case 0000 where the pattern finds a mask for it, and none for volume.
    cases = {_case_in(stem, case_pattern) for stem in masks} - {None}
    return not any(
        _case_in(stem, case_pattern) in cases
        and _case_in(without_channel(stem), case_pattern) not in cases
        for stem in stems
    )


def _case(stem: str, path: Path, case_pattern: re.Pattern[str] | None, pairs: Pairs) -> str | None:
    case = _case_in(stem, case_pattern)
    if case is None and case_pattern is not None:
        problem = f"--case-pattern {case_pattern.pattern!r} finds no case in {stem!r}"
        pairs.found(stem, path, problem, "mend the pattern, or rename the file")
    return case


def _case_in(stem: str, case_pattern: re.Pattern[str] | None) -> str | None:
    """Return the case of a file's name without its ending, None if the pattern finds none."""
    if case_pattern is None:
        return stem
    match = case_pattern.search(stem)
    return named_part(match, "case").replace("/", "_") if match else None


def _keep(files: dict[_Key, Path], key: _Key, path: Path, case: str, pairs: Pairs) -> None:
    if key in files:
        problem = f"case {case!r} a second time, beside {files[key].name}"
        pairs.found(case, path, problem, "mend --case-pattern, or rename the file")
    else:
        files[key] = path
