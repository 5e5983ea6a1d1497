"""A dataset written to draw patches from: any volumes, at one spacing."""

from pathlib import Path

import numpy as np

from dacl.data.case import Case
from dacl.data.casefile import case_path, write_case
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.data.splits import Split


def write_dataset(
    root: Path,
    volumes: dict[str, tuple[np.ndarray, np.ndarray]],
    *,
    spacing_mm: tuple[float, float, float],
    channels: tuple[str, ...] = ("MR",),
) -> PreparedDataset:
    """Write image (C, Z, H, W) and label of each case; a case's patient are the first two letters of its id."""
    infos = {}
    for case_id, (image_CZHW, label_ZHW) in volumes.items():
        case = Case(
            id=case_id,
            patient=case_id[:2],
            image_CZHW=image_CZHW,
            label_ZHW=label_ZHW,
            spacing_mm=spacing_mm,
            source={},
        )
        write_case(case_path(root, case_id), case)
        infos[case_id] = CaseInfo(
            id=case_id,
            patient=case.patient,
            shape_ZHW=label_ZHW.shape,
            spacing_mm=spacing_mm,
            has_label=True,
            class_voxels=(1, 1, 1, 1),
        )
    return PreparedDataset(
        root=root,
        name="tiny",
        class_names=("background", "x", "y", "z"),
        modality="MR",
        intensity="minmax",
        synthetic=True,
        fingerprint="",
        split=Split("own", ("p1", "p2"), (), ()),
        prepare_command="",
        infos=infos,
        channels=channels,
    )
