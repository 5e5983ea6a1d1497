"""Which files make which scan: NIfTI files and folders of them, channels by nnU-Net's suffixes `_0000`, `_0001`, ..."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from dacl.data.nifti_names import CHANNEL, ENDINGS, composed, is_nifti, stem_of
from dacl.errors import DaclError


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan: what its outputs are called, and a file per channel."""

    name: str
    channels: tuple[Path, ...]


def find_scans(images: Sequence[Path], n_channels: int | None = None) -> list[Scan]:
    """The scans of these files and folders, in order; a folder's are those directly in it, by name.

    Files that differ in `_0000`, `_0001`, ... alone are the channels of one scan; where scans have one channel, they
    are scans of their own. Numbers that do not begin with `_0000`, such as years, are part of the name.

    Args:
        images: files and folders.
        n_channels: of a scan; None: any.

    Raises:
        DaclError: nothing there, not NIfTI, a channel missing, or two scans of one name.
    """
    # a file may be given twice, by itself and by its folder
    found = {file.absolute(): file for image in images for file in _files(image)}
    scans: dict[str, Scan] = {}
    for name, channels in _by_name(found.values()):
        if n_channels == 1 and len(channels) > 1:
            several = [Scan(stem_of(file), (file,)) for _, file in sorted(channels.items())]
        else:
            several = [Scan(name, _in_order(name, channels))]
        for scan in several:
            if scan.name in scans:
                raise _twice(scan.name, scans[scan.name].channels[0], scan.channels[0])
            scans[scan.name] = scan
    return list(scans.values())


def _by_name(files: Collection[Path]) -> list[tuple[str, dict[int, Path]]]:
    """Names with their files, by the numbers that may be those of channels; a file by itself is number 0."""
    there = {_twin(file) for file in files}
    groups: dict[tuple[Path, str, str], dict[int, Path]] = {}
    for file in files:
        stem = stem_of(file)
        numbered = CHANNEL.fullmatch(stem)
        if numbered and _twin(file, f"{numbered['case']}_0000") in there:
            channels = groups.setdefault(_twin(file, numbered["case"]), {})
            other = channels.setdefault(int(numbered["channel"]), file)
            if other != file:
                raise _twice(stem, other, file)
        else:
            groups[file, stem, ""] = {0: file}
    return [(name, channels) for (_, name, _), channels in groups.items()]


def _in_order(name: str, channels: dict[int, Path]) -> tuple[Path, ...]:
    missing = [number for number in range(max(channels)) if number not in channels]
    if missing:
        raise DaclError(
            f"scan {name} has channels {', '.join(f'_{n:04d}' for n in sorted(channels))}: "
            f"_{missing[0]:04d} is missing",
            "add the file, or rename the others",
        )
    return tuple(channels[number] for number in sorted(channels))


def _twice(name: str, one: Path, two: Path) -> DaclError:
    apart = "predict them one after the other, into different folders"
    together = "keep one of the two, or rename it"
    return DaclError(
        f"two scans are called {name}: {one} and {two}",
        together if one.parent == two.parent else apart,
    )


def _twin(file: Path, stem: str | None = None) -> tuple[Path, str, str]:
    """Folder, stem and ending of a file, or of one beside it of this stem; equal whatever the ending's capitals."""
    own = stem_of(file)
    ending = composed(file.name)[len(own) :].lower()
    return file.parent, own if stem is None else stem, ending


def _files(image: Path) -> list[Path]:
    if image.is_dir():
        found = sorted(file for file in image.iterdir() if is_nifti(file) and file.is_file())
        if not found:
            raise DaclError(
                f"no NIfTI file directly in {image}",
                "give the folder that holds the .nii or .nii.gz files, or the files themselves",
            )
        return found
    if not image.exists():
        raise DaclError(f"no file {image}", "give NIfTI files, or folders that hold them")
    if not image.name.lower().endswith(ENDINGS):
        raise DaclError(
            f"{image} is no NIfTI file", "images must be .nii or .nii.gz; dcm2niix converts DICOM"
        )
    return [image]
