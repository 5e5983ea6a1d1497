"""A scan that is unlike those of training is predicted, and said to be unlike them."""

from pathlib import Path

import made_scans as made
import nibabel
import numpy as np
import pytest
from made_folders import stack_along

from dacl import Predictor

UNKNOWN = {"spacing_low_mm": None, "spacing_high_mm": None}


def warnings(tmp_path: Path, scan: Path, image: dict = made.RESAMPLE, **meta: object) -> list[str]:
    run = made.write_model(tmp_path / "run", image, **meta)
    return list(Predictor.load(run, device="cpu").predict(scan).warnings)


@pytest.mark.parametrize(
    ("image", "spacing_mm", "said"),
    [
        (made.RESAMPLE, made.SPACING_MM, None),
        (made.RESAMPLE, (10.0, 2.0, 1.75), None),
        (made.RESAMPLE, (13.0, 1.5, 1.25), "z 13 (training 8) mm; far outside"),
        (made.RESAMPLE, (8.0, 0.5, 0.5), "y 0.5 (training 1.5), x 0.5 (training 1.25) mm; far"),
        (made.RESIZE, made.SPACING_MM, None),
        (made.RESIZE, (8.0, 2.0, 1.25), "y 2 (training 1.5) mm; it resizes"),
    ],
)
def test_spacing(
    tmp_path: Path, image: dict, spacing_mm: tuple[float, float, float], said: str | None
) -> None:
    scan = made.write_scan(tmp_path / "scan.nii.gz", spacing_mm=spacing_mm)
    found = warnings(tmp_path, scan, image)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_the_axes_of_the_spacing_are_those_of_the_turned_scan(tmp_path: Path) -> None:
    scan = made.write_scan(tmp_path / "s.nii.gz", codes="SLA", spacing_mm=(20.0, 1.5, 1.25))
    (found,) = warnings(tmp_path, scan)
    assert "z 20 (training 8) mm" in found


def test_a_range_of_training_spacings_is_shown_as_one(tmp_path: Path) -> None:
    scan = made.write_scan(tmp_path / "scan.nii.gz")
    low, high = (3.0, 1.5, 1.25), (5.0, 1.5, 1.25)
    (found,) = warnings(tmp_path, scan, spacing_low_mm=low, spacing_high_mm=high)
    assert "z 8 (training 3 to 5) mm" in found


def test_unknown_training_spacings_matter_where_scans_are_resized(tmp_path: Path) -> None:
    scan = made.write_scan(tmp_path / "scan.nii.gz")
    (found,) = warnings(tmp_path, scan, made.RESIZE, **UNKNOWN)
    assert "spacing of the training scans is not known" in found
    assert warnings(tmp_path, scan, made.RESAMPLE, **UNKNOWN) == []


def test_orientation(tmp_path: Path) -> None:
    unplaced = made.write_scan(tmp_path / "unplaced.nii.gz", placed=False)
    (found,) = warnings(tmp_path, unplaced)
    assert "neither sform nor qform" in found
    oblique = made.write_scan(tmp_path / "oblique.nii.gz")
    affine = stack_along((-0.60, 0.51, -0.62), made.SPACING_MM[::-1])
    nibabel.save(nibabel.Nifti1Image(nibabel.load(oblique).dataobj, affine), oblique)
    (found,) = warnings(tmp_path, oblique)
    assert "oblique to every axis of the body: the scan was taken as it is stored" in found
    placed = made.write_scan(tmp_path / "placed.nii.gz", codes="RAS")
    (found,) = warnings(tmp_path, placed, orientation="")
    assert "orientation of the training volumes is unknown" in found
    run = made.write_model(tmp_path / "run", orientation="")
    result = Predictor.load(run, device="cpu").predict(placed)
    assert result.geometry.orientation == ""
    np.testing.assert_array_equal(result.mask_XYZ, result.mask_ZHW.T)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (made.volume() - 500, None),
        (np.clip(made.volume(), 0, None), "values from 0 to"),
        ((made.volume() - made.volume().min()) / 1000.0, "hardly Hounsfield units"),
    ],
)
def test_values_that_are_no_hounsfield_units(
    tmp_path: Path, values: np.ndarray, said: str | None
) -> None:
    scan = made.write_scan(tmp_path / "scan.nii.gz", values.astype(np.float32))
    found = warnings(tmp_path, scan, intensity="hu:-75:275", modality="CT")
    assert len(found) == (said is not None)
    assert said is None or said in found[0]
    assert warnings(tmp_path, scan) == []


def test_stored_upside_down_hounsfield_units_are_some(tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii.gz"
    stored = (500 - made.volume()).T.astype(np.int16)
    image = nibabel.Nifti1Image(stored, np.diag([*made.SPACING_MM[::-1], 1.0]))
    image.header.set_slope_inter(-1.0, 0.0)
    nibabel.save(image, scan)
    assert np.asarray(nibabel.load(scan).dataobj).min() < 0
    assert stored.min() < 0  # the highest value
    found = warnings(tmp_path, scan, intensity="hu:-75:275", modality="CT")
    assert not [line for line in found if "Hounsfield" in line]


def test_what_the_model_is_not(tmp_path: Path) -> None:
    scan = made.write_scan(tmp_path / "scan.nii.gz")
    (found,) = warnings(tmp_path, scan, synthetic=True)
    assert "has seen no real scan" in found
