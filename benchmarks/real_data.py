"""Real volumes, where `DACL_REAL_DATA` names a folder with `acdc/training`, as for the tests; made ones otherwise."""

import os
from pathlib import Path

import numpy as np

from benchmarks.cache import OUT
from dacl.data.prepare import prepare
from dacl.data.prepared import PreparedDataset
from dacl.data.readers.acdc import Acdc

VARIABLE = "DACL_REAL_DATA"


def raw_acdc() -> Path | None:
    """The raw folder of ACDC, if there is one."""
    raw = Path(os.environ.get(VARIABLE, "")) / "acdc"
    return raw if VARIABLE in os.environ and (raw / "training").is_dir() else None


def prepared_acdc() -> PreparedDataset | None:
    """ACDC prepared under its published split, once: it is kept beside what the benchmarks write."""
    raw = raw_acdc()
    if raw is None:
        return None
    prepare(Acdc(), raw, OUT / "acdc", split="ssl4mis", workers=os.cpu_count() or 1)
    return PreparedDataset.open(OUT / "acdc")


def acdc_validation_masks() -> list[np.ndarray]:
    """Reference masks of its validation volumes; none where there are no real data."""
    dataset = prepared_acdc()
    if dataset is None:
        return []
    return [dataset.read_label(c.id) for c in dataset.cases(dataset.split.val) if c.has_label]
