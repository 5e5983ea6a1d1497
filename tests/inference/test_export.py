"""A written prediction lies where the scan lies."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dacl.data.prepared import Geometry
from dacl.inference import export

SHAPE_ZHW = (3, 5, 7)
MASK_ZHW = np.arange(105, dtype=np.uint8).reshape(SHAPE_ZHW) % 4
# Where a NIfTI-1 header describes values: datatype, bitpix; scl_slope, scl_inter; cal_max, cal_min.
VALUE_BYTES = [*range(70, 74), *range(112, 120), *range(124, 132)]
N_HEADER = 348


def acdc_like(path: Path, endian: str = "<") -> bytes:
    """A scan with a unit-scale sform and the true spacing in pixdim only, as ACDC's are."""
    header = nib.Nifti1Header(endianness=endian)
    header.set_data_shape(SHAPE_ZHW[::-1])
    header.set_data_dtype(np.int16)
    header["pixdim"][1:4] = (1.5625, 1.25, 10.0)
    header["sform_code"] = 1
    header["srow_x"], header["srow_y"], header["srow_z"] = (
        (-1, 0, 0, 4),
        (0, -1, 0, 5),
        (0, 0, 1, 6),
    )
    header["descrip"] = b"a scanner"
    header["cal_max"] = 812
    header["scl_slope"], header["scl_inter"] = 2.0, 1.0
    header["magic"], header["vox_offset"] = b"n+1", 352
    raw = header.binaryblock + b"\0" * 4 + np.zeros(SHAPE_ZHW, np.int16).tobytes()
    path.write_bytes(gzip.compress(raw))
    return header.binaryblock


@pytest.mark.parametrize("endian", ["<", ">"])
def test_the_sources_header_is_kept_byte_for_byte_but_for_the_values(
    tmp_path: Path, endian: str
) -> None:
    source = acdc_like(tmp_path / "scan.nii.gz", endian)
    geometry = Geometry(spacing_mm=(10.0, 1.25, 1.5625), affine=np.eye(4), header=source)
    export.write_nifti(tmp_path / "out" / "mask.nii.gz", MASK_ZHW, geometry)
    written = gzip.decompress((tmp_path / "out" / "mask.nii.gz").read_bytes())[:N_HEADER]
    changed = {i for i in range(N_HEADER) if written[i] != source[i]}
    assert changed <= set(VALUE_BYTES)

    scan, mask = nib.load(tmp_path / "scan.nii.gz"), nib.load(tmp_path / "out" / "mask.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, scan.affine)
    np.testing.assert_array_equal(mask.header["pixdim"], scan.header["pixdim"])
    np.testing.assert_array_equal(np.asarray(mask.dataobj), MASK_ZHW.transpose(2, 1, 0))


def test_without_a_header_affine_and_spacing_are_written(tmp_path: Path) -> None:
    affine = np.diag([2.0, 2.0, 8.0, 1.0])
    affine[:3, 3] = (-30, 12, 7)
    geometry = Geometry(spacing_mm=(8.0, 2.0, 2.0), affine=affine, header=b"")
    export.write_nifti(tmp_path / "mask.nii.gz", MASK_ZHW, geometry)
    mask = nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_allclose(mask.affine, affine)
    assert mask.header.get_zooms() == (2.0, 2.0, 8.0)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), MASK_ZHW.transpose(2, 1, 0))


def test_unknown_spacing_is_written_too(tmp_path: Path) -> None:
    geometry = Geometry(spacing_mm=None, affine=np.eye(4), header=b"")
    export.write_nifti(tmp_path / "mask.nii.gz", MASK_ZHW, geometry)
    assert nib.load(tmp_path / "mask.nii.gz").shape == SHAPE_ZHW[::-1]


def test_nothing_partial_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_image: object, filename: Path) -> None:
        filename.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(nib, "save", fail)
    geometry = Geometry(spacing_mm=None, affine=np.eye(4), header=b"")
    with pytest.raises(OSError, match="No space"):
        export.write_nifti(tmp_path / "mask.nii.gz", MASK_ZHW, geometry)
    assert list(tmp_path.iterdir()) == []


def test_the_absence_of_nibabel_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert export.why_no_nifti() is None
    monkeypatch.setattr(export, "find_spec", lambda _name: None)
    assert "nibabel is not installed" in (export.why_no_nifti() or "")
