"""A checked case without its voxels: what the dataset's index and the report need of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from dacl.data.case import Case, SpacingMm, label_counts
from dacl.data.slabs import slabs
from dacl.errors import DaclError


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A checked case without its voxels; ``class_voxels`` is by class, empty if unlabeled."""

    patient: str
    phase: str
    source: dict[str, str]
    shape_ZHW: tuple[int, ...]
    spacing_mm: SpacingMm | None
    class_voxels: tuple[int, ...]
    dtype: str
    unit_affine: bool
    image_sha256: str
    label_sha256: str
    remarks: tuple[str, ...] = ()
    lowest: float = 0.0
    """The smallest intensity."""

    @property
    def labeled(self) -> bool:
        """Whether the case has a mask."""
        return bool(self.class_voxels)


def entry_of(case: Case, n_classes: int) -> Entry:
    """Keep of a case what the dataset's index and the report need.

    Raises:
        DaclError: its mask is not what a reader has to give.
    """
    image_CZHW, label_ZHW = case.image_CZHW, case.label_ZHW
    image_sha256, extremes = _hash_and_range(image_CZHW)
    counts: list[int] = []
    if label_ZHW is not None:
        counts = _class_voxels(case.id, label_ZHW, n_classes)
    return Entry(
        patient=case.patient,
        phase=case.phase,
        source=case.source,
        shape_ZHW=image_CZHW.shape[1:],
        spacing_mm=case.spacing_mm,
        class_voxels=tuple(counts),
        dtype=str(image_CZHW.dtype),
        unit_affine=np.allclose(np.linalg.norm(case.affine[:3, :3], axis=0), 1),
        image_sha256=image_sha256,
        label_sha256="" if label_ZHW is None else _hash_and_range([label_ZHW])[0],
        remarks=case.remarks,
        lowest=min(stored * case.slope + case.inter for stored in extremes),
    )


def with_source(case: Case) -> Case:
    """The case; if its reader names no file, with hashes of its voxels as source: something must change with them."""
    if case.source:
        return case
    source = {"image": _hash_and_range(case.image_CZHW)[0]}
    if case.label_ZHW is not None:
        source["mask"] = _hash_and_range([case.label_ZHW])[0]
    return replace(case, source=source)


def _class_voxels(case_id: str, label_ZHW: np.ndarray, n_classes: int) -> list[int]:
    fix = f"the reader has to give class indices 0 to {n_classes - 1} as uint8"
    if label_ZHW.dtype != np.uint8:
        raise DaclError(f"case {case_id}: its mask is {label_ZHW.dtype}, not uint8", fix)
    counts = label_counts(label_ZHW)
    if counts[n_classes:].any():
        raise DaclError(f"case {case_id}: its mask has the value {counts.nonzero()[0].max()}", fix)
    return list(map(int, counts[:n_classes]))


def _hash_and_range(volumes_ZHW: Iterable[np.ndarray]) -> tuple[str, tuple[float, float]]:
    """Return the sha256 of the voxels, and the smallest and the largest."""
    digest = sha256()
    low, high = np.inf, -np.inf
    for volume_ZHW in volumes_ZHW:
        for part in slabs(volume_ZHW):
            digest.update(part.data)
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    return digest.hexdigest(), (low, high)
