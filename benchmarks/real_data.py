"""Real volumes, where `DACL_REAL_DATA` names a prepared dataset or the raw folder of ACDC; none otherwise."""

import os
from pathlib import Path

import numpy as np

from dacl.data.prepared import PreparedDataset

VARIABLE = "DACL_REAL_DATA"


def prepared_dataset() -> PreparedDataset | None:
    """The prepared dataset that the variable names."""
    root = Path(os.environ.get(VARIABLE, ""))
    return PreparedDataset.open(root) if (root / "dataset.json").is_file() else None


def raw_folder() -> Path | None:
    """The raw folder that the variable names."""
    root = Path(os.environ.get(VARIABLE, ""))
    return root if VARIABLE in os.environ and not (root / "dataset.json").is_file() else None


def acdc_validation_masks() -> list[np.ndarray]:
    """Reference masks of the validation volumes of a prepared ACDC; none without one."""
    dataset = prepared_dataset()
    if dataset is None or len(dataset.class_names) != 4:
        return []
    return [dataset.read_label(c.id) for c in dataset.cases(dataset.split.val) if c.has_label]
