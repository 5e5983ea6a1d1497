"""Which prepared dataset a command means when it is not told, and which of its patients and cases."""

from __future__ import annotations

from pathlib import Path

from dacl.data import ACDC_PAGE
from dacl.data.nifti_names import composed
from dacl.errors import DaclError

DOWNLOAD = ACDC_PAGE


def prepared_folders(under: Path = Path("data")) -> list[Path]:
    """Prepared datasets directly under a folder, by name."""
    return sorted(path.parent for path in under.glob("*/dataset.json"))


def choose_dataset(named: Path | None) -> Path:
    """The folder named, or the only prepared dataset under `data/`.

    Raises:
        DaclError: none is there, or several are.
    """
    if named is not None:
        return named
    found = prepared_folders()
    if not found:
        raise DaclError(
            "no prepared dataset under data/",
            f"download ACDC ({DOWNLOAD}) and run `dacl preprocess acdc RAW`, "
            "or make a synthetic one: `dacl preprocess phantom`",
        )
    if len(found) > 1:
        raise DaclError(
            f"several prepared datasets under data/: {', '.join(path.name for path in found)}",
            f"say which: --data {found[0]}",
        )
    return found[0]


def names_in(text: str) -> list[str]:
    """Names of patients or cases between commas, composed as those of a dataset are."""
    return [composed(name.strip()) for name in text.split(",")]
