"""A raw ACDC folder of a few tiny patients, headers as in the real one."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

SPACING_XYZ = (1.25, 1.5, 10.0)


def save_nifti(path, array_XYZ, spacing_XYZ=SPACING_XYZ, sform=(-1, -1, 1), scale=(1, 0)):
    """Write the bytes ourselves: nibabel would mend the faults that the tests are about."""
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype(array_XYZ.dtype)
    header.set_data_shape(array_XYZ.shape)
    header.set_sform(np.diag([*sform, 1]), code=2)
    header.set_slope_inter(*scale)
    header["pixdim"][1:4] = spacing_XYZ
    header["vox_offset"] = 352
    native = array_XYZ.astype(array_XYZ.dtype.newbyteorder("="))
    content = header.binaryblock + bytes(4) + native.tobytes(order="F")
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def volume(seed, shape_XYZ=(12, 10, 3), dtype=np.int16):
    return np.random.default_rng(seed).integers(0, 200, shape_XYZ).astype(dtype)


def mask(shape_XYZ=(12, 10, 3)):
    label = np.zeros(shape_XYZ, np.uint8)
    label[2:5, 2:5], label[5:8, 2:5], label[5:8, 5:8] = 1, 2, 3
    return label


@pytest.fixture
def raw_acdc(tmp_path):
    """Make RAW with patients as asked; returns a function that adds one, with `.raw` the folder."""

    class Raw:
        raw = tmp_path / "raw"

        def add(self, number, *, level="training", es=9, dtype=np.int16, masks=True) -> Path:
            patient = f"patient{number:03d}"
            folder = self.raw / level / patient
            folder.mkdir(parents=True)
            (folder / "Info.cfg").write_text(f"ED: 1\nES: {es}\nGroup: NOR\nNbFrame: 30\n")
            for frame in (1, es):
                stem = f"{patient}_frame{frame:02d}"
                image = volume(100 * number + frame, dtype=dtype)
                save_nifti(folder / f"{stem}.nii.gz", image)
                if masks:
                    save_nifti(folder / f"{stem}_gt.nii.gz", mask())
            return folder

        save = staticmethod(save_nifti)
        volume = staticmethod(volume)
        mask = staticmethod(mask)

    return Raw()


@pytest.fixture
def real_synapse() -> Path:
    """The folder of real Synapse volumes named by DACL_REAL_DATA; skips without it."""
    root = os.environ.get("DACL_REAL_DATA", "")
    folder = Path(root) / "synapse"
    if not root or not (folder / "Training" / "img").is_dir():
        pytest.skip("DACL_REAL_DATA names no folder with synapse/Training/img")
    return folder
