"""Scans of ACDC's sizes and about its noise, where no real ones are given: raw NIfTI, or a prepared dataset."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from benchmarks import masks
from dacl.data.case import Case, label_counts
from dacl.data.casefile import case_path, write_case
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.data.splits import Split

SIZES = (
    (216, 256),
    (256, 216),
    (232, 256),
    (256, 208),
    (256, 248),
    (224, 154),
    (256, 256),
    (288, 264),
)
"""Rows and columns of most of its volumes."""
SLICES = (8, 9, 10, 10)
SPACING_MM = (10.0, 1.5, 1.5)
ACDC_SLICES, ACDC_VOLUMES = 1312, 140
"""Of its 70 training patients in SSL4MIS's split."""


class Scan(NamedTuple):
    """A volume and its reference mask, both (Z, H, W)."""

    id: str
    image: np.ndarray
    label: np.ndarray


def scans(count: int, *, small: bool = False) -> Iterator[Scan]:
    """Volumes of two frames a patient, the same ones every time; `small` ones are a quarter as wide."""
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = SIZES[number // 2 % len(SIZES)]
        size = (height // 4, width // 4) if small else (height, width)
        shape = (SLICES[number // 2 % len(SLICES)], *size)
        label = masks.heart(rng, shape)
        tissue = np.array([0.0, 60.0, 20.0, 80.0])[label]  # blood is bright, muscle dark
        coarse = rng.uniform(20, 120, (shape[0], 9, 9))
        zoom = [1, *(n / 9 for n in shape[1:])]
        clean = ndimage.zoom(coarse, zoom, order=1) + tissue
        noisy = np.hypot(
            clean + rng.normal(0, 9, shape), rng.normal(0, 9, shape)
        )  # as a magnitude image has it
        yield Scan(
            f"patient{number // 2 + 1:03}_frame{number % 2 * 11 + 1:02}",
            noisy.astype(np.int16),
            label,
        )


def write_raw(root: Path, count: int, *, small: bool = False) -> Path:
    """Write volumes as ACDC lays them out, and return the folder."""
    import nibabel

    for scan in scans(count, small=small):
        patient = root / "training" / scan.id.partition("_")[0]
        patient.mkdir(parents=True, exist_ok=True)
        (patient / "Info.cfg").write_text(
            "ED: 1\nES: 12\nGroup: NOR\nHeight: 175\nNbFrame: 24\nWeight: 75\n"
        )
        for name, volume in ((scan.id, scan.image), (f"{scan.id}_gt", scan.label)):
            nifti = nibabel.Nifti1Image(volume.T, np.diag([1.5, 1.5, 10.0, 1.0]))
            nibabel.save(nifti, patient / f"{name}.nii.gz")
    return root


def write_prepared(
    root: Path, count: int, *, n_val: int | None = None, small: bool = False
) -> PreparedDataset:
    """Write volumes as case files: `n_val` patients, or a tenth, for validation, the others for training."""
    infos = {}
    for scan in scans(count, small=small):
        patient = scan.id.partition("_")[0]
        case = Case(
            id=scan.id,
            patient=patient,
            image_CZHW=scan.image[None],
            label_ZHW=scan.label,
            spacing_mm=SPACING_MM,
        )
        write_case(case_path(root, scan.id), case)
        infos[scan.id] = CaseInfo(
            id=scan.id,
            patient=patient,
            shape_ZHW=(scan.label.shape[0], scan.label.shape[1], scan.label.shape[2]),
            spacing_mm=SPACING_MM,
            has_label=True,
            class_voxels=tuple(label_counts(scan.label)[:4].tolist()),
            source={},
        )
    patients = tuple(dict.fromkeys(info.patient for info in infos.values()))
    n_val = n_val or max(1, len(patients) // 10)
    return PreparedDataset(
        root=root,
        name="made",
        class_names=masks.HEART_CLASSES,
        modality="MR",
        intensity="minmax",
        synthetic=True,
        fingerprint="",
        split=Split("own", patients[n_val:], patients[:n_val], ()),
        prepare_command="",
        infos=infos,
        channels=("MR",),
    )
