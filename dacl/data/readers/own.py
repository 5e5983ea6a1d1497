"""Reading the user's own cases: what `folder` and `nnunet` do with the files that `pairs` has matched."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from dacl.cores import usable_cores
from dacl.data.case import Case
from dacl.data.readers import WHOLE_DATASET, CaseSource, Finding, relative
from dacl.data.readers.classes import Classes, in_order
from dacl.data.readers.nifti import Unreadable, load
from dacl.data.readers.scan import LabelValues, distinct, read_scan
from dacl.data.slabs import slabs
from dacl.errors import DaclError

Modality = Literal["CT", "MR", "other"]

INTENSITY: dict[str, str] = {
    # A soft-tissue window of the abdomen, centre 40 and width 400; lungs or bones want their own.
    "CT": "hu:-160:240",
    # Units of a scanner's own, with a few voxels (vessels, artefacts) far above the rest.
    "MR": "percentile",
    "other": "percentile",
}
"""The default rule, by modality."""


def read_case(
    source: CaseSource, classes: Classes, reading: str
) -> tuple[Case | None, list[Finding]]:
    """Read one case, turned to LPS; a mask of background alone is a sound one."""
    values = LabelValues(classes.index, classes.fix)
    n_classes = len(classes.names)
    return read_scan(source, n_classes, label_values=values, reading=reading, empty_mask=True)


def discovered_classes(sources: Sequence[CaseSource]) -> tuple[Classes, list[Finding]]:
    """Look for the values of all masks: classes class1 to classK, with a finding unless the values are 1 to K.

    DaclError if no mask has a value besides 0. Where that is for masks that cannot be read, a finding: those of their
    cases say why, once they are read.
    """
    masks = [path for source in sources for path in source.labels]
    with ThreadPoolExecutor(min(8, usable_cores())) as pool:  # unpacking leaves Python's lock
        held = [*pool.map(_values_of, masks)]
    values = set().union(*(each or () for each in held)) - {0}
    folder = relative(masks[0].parent, sources[0].raw)
    if not values and None in held:
        problem = (
            f"no mask says what the classes are: {held.count(None)} of {len(masks)} are unreadable "
            "or not of integers"
        )
        finding = Finding(case=WHOLE_DATASET, file=folder, problem=problem, fix="mend those masks")
        return in_order([1]), [finding]
    if not values:
        raise DaclError(
            f"none of the {len(masks)} masks has a voxel that is not 0",
            "a class is a value in the masks: 1, 2, ...",
        )
    try:
        classes = in_order(values)
    except DaclError as error:
        message = f"the masks hold {len(values)} values: {_shown(values)}"
        hint = "are these masks? Several values can be one class: --classes NAME=VALUE+VALUE,..."
        raise DaclError(message, hint) from error
    if sorted(values) == list(range(1, len(values) + 1)):
        return classes, []
    finding = Finding(
        case=WHOLE_DATASET,
        file=folder,
        problem=f"the masks hold the values {_shown(values)}, not 1 to {len(values)}",
        fix=f"say what they mean: --classes {classes.option}",
    )
    return classes, [finding]


def _values_of(path: Path) -> set[int] | None:
    """Return the values of a mask, None if it is unreadable or has values that are not integers."""
    try:
        volume = load(path)
        stored = volume.integer_type()
    except Unreadable:
        return None  # a finding of the case, when it is read
    if stored is None:
        return None
    return {
        value for part in slabs(volume.raw_XYZ.T)
        for value in distinct(volume.scaled(part).astype(stored))
    }  # fmt: skip


def _shown(values: set[int]) -> str:
    listed = ", ".join(map(str, sorted(values)[:8]))
    return listed + (", ..." if len(values) > 8 else "")
