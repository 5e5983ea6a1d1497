"""The JSON beside a predicted mask: what its values mean, how large each class is, and what made it.

Nothing in it depends on when or where the prediction was made: the same scan, model and options give the same bytes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dacl.data.case import Case, SpacingMm
from dacl.protocol import provenance

FORMAT = 1


def sidecar(
    case: Case,
    mask_ZHW: np.ndarray,
    class_names: Sequence[str],
    *,
    models: Sequence[dict[str, Any]],
    options: dict[str, Any],
    warnings: Sequence[str],
    probabilities: Path | None,
) -> dict[str, Any]:
    """The content of the file, but for the name of the mask.

    Args:
        case: the scan.
        mask_ZHW: its class indices.
        class_names: by class index.
        models: what each says of itself.
        options: what else decided the mask.
        warnings: what it should be read with.
        probabilities: the file they were written to.
    """
    return {
        "format": FORMAT,
        "mask": None,
        "image": {
            "files": files_by_name(case.source),
            "shape_ZHW": list(mask_ZHW.shape),
            "spacing_mm": case.spacing_mm,
            "orientation": case.orientation or None,
        },
        "classes": class_sizes(mask_ZHW, class_names, case.spacing_mm),
        "probabilities": None if probabilities is None else probabilities.name,
        "models": list(models),
        "options": options,
        "warnings": list(warnings),
        "provenance": _software(),
    }


def files_by_name(source: Mapping[str, str]) -> dict[str, str]:
    """Hashes by file name; by the given paths where two files, in different folders, have one name."""
    names = {Path(file).name: digest for file, digest in source.items()}
    return names if len(names) == len(source) else dict(source)


def class_sizes(
    mask_ZHW: np.ndarray, class_names: Sequence[str], spacing_mm: SpacingMm | None
) -> list[dict[str, Any]]:
    """Value, name, voxels and volume in ml of every class, background included; None where spacing is unknown."""
    voxels = np.bincount(mask_ZHW.ravel(), minlength=len(class_names)).tolist()
    ml = None if spacing_mm is None else float(np.prod(spacing_mm)) / 1000
    return [
        {
            "value": value,
            "name": name,
            "voxels": count,
            "volume_ml": None if ml is None else round(count * ml, 3),
        }
        for value, (name, count) in enumerate(zip(class_names, voxels, strict=True))
    ]


def _software() -> dict[str, Any]:
    """Versions and state of the source tree; the command would name folders."""
    return {name: value for name, value in provenance().items() if name != "command"}
