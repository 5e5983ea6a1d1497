"""Names of NIfTI files: their ending, and nnU-Net's suffix of a channel, `_0000`, `_0001`, ..."""

import re
from pathlib import Path

ENDINGS = (".nii.gz", ".nii")
CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
"""Of a stem."""


def is_nifti(path: Path) -> bool:
    """Whether a file is called one; its ending may be in capitals. Hidden files, which macOS leaves, are not."""
    return path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")


def stem_of(path: Path) -> str:
    """The name without that ending; the whole name where it has none."""
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)]


def without_channel(stem: str) -> str:
    """The stem without a channel's suffix."""
    match = CHANNEL.fullmatch(stem)
    return match["case"] if match else stem
