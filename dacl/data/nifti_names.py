"""Names of NIfTI files: their ending, and nnU-Net's suffix of a channel, `_0000`, `_0001`, ..."""

import re
import unicodedata
from pathlib import Path

ENDINGS = (".nii.gz", ".nii")
CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
"""Of a stem."""


def is_nifti(path: Path) -> bool:
    """Whether a file is called one; its ending may be in capitals. Hidden files, which macOS leaves, are not."""
    return path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")


def stem_of(path: Path) -> str:
    """The name without that ending, as `composed`; the whole name where it has none."""
    name = composed(path.name)
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def composed(name: str) -> str:
    """A name with each letter and its accents as one character (NFC): macOS writes them as several."""
    return unicodedata.normalize("NFC", name)


def without_channel(stem: str) -> str:
    """The stem without a channel's suffix."""
    match = CHANNEL.fullmatch(stem)
    return match["case"] if match else stem
