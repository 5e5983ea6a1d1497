"""Two folders of tiny NIfTI files, as a user might have them."""

from pathlib import Path

import numpy as np
import pytest

from dacl.data.prepare import BadCases, prepare
from dacl.data.readers.folder import Folder

SHAPE_XYZ = (10, 8, 4)
LPS = np.diag([-1.5, -1.25, 3.0, 1.0])
"""Spacing 1.5, 1.25 and 3 mm, stored as LPS: nothing to turn."""


def save(path: Path, array_XYZ: np.ndarray, affine: np.ndarray = LPS) -> Path:
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array_XYZ, affine), path)
    return path


def image(seed: int, dtype=np.int16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 500, SHAPE_XYZ).astype(dtype)


def mask(*values: int, dtype=np.uint8) -> np.ndarray:
    """Blocks of these values along x, the rest is background."""
    label_XYZ = np.zeros(SHAPE_XYZ, dtype)
    for i, value in enumerate(values):
        label_XYZ[2 * i + 1 : 2 * i + 3, 2:6, 1:3] = value
    return label_XYZ


def flipped(array_XYZ: np.ndarray, axis: int, affine: np.ndarray = LPS):
    """Return array and affine of the same anatomy with one axis the other way round."""
    turn = np.eye(4)
    turn[axis, axis], turn[axis, 3] = -1, array_XYZ.shape[axis] - 1
    return np.flip(array_XYZ, axis), affine @ turn


def stack_along(
    normal: tuple[float, float, float], spacing: tuple[float, float, float] = (1.5, 1.5, 10.0)
) -> np.ndarray:
    """The affine of slices across a direction."""
    z = np.asarray(normal, float) / np.linalg.norm(normal)
    x = np.cross((0.3, 1, 0.2), z)
    x /= np.linalg.norm(x)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1) * spacing
    return affine


def write(folder: Path, n: int = 5, *, unlabeled: int = 1, values=(1, 2), suffix="") -> Path:
    """Write ``images`` c1 to cn and ``labels`` of all but the last few."""
    for i in range(1, n + 1):
        save(folder / f"images/c{i}{suffix}.nii.gz", image(i))
        if i <= n - unlabeled:
            save(folder / f"labels/c{i}.nii.gz", mask(*values))
    return folder


def discover(raw, **options):
    return Folder(raw / "labels", **options).discover(raw / "images")


def run(raw, out, split=None, skip_bad=False, **options):
    reader = Folder(raw / "labels", **options)
    return prepare(reader, raw / "images", out, split=split, skip_bad=skip_bad)


def problems(raw, **options):
    with pytest.raises(BadCases) as caught:
        run(raw, None, **options)
    return caught.value.findings
