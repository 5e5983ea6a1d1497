"""The built-in phantom: a synthetic beating heart as raw NIfTI in ACDC's own layout.

It is made so that every step of the main job can be run without any download: same folders, file
names, `Info.cfg`, label values, mixed data types and odd headers as the real thing, and
`phantom.json` beside them, which says that it is synthetic and how it is split. A patient depends on
the seed and on its own number alone, so asking for more patients never changes the ones there were.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dacl.data.readers import phantom_anatomy as anatomy
from dacl.data.readers import phantom_scanner
from dacl.data.readers import phantom_scene as scene
from dacl.errors import DaclError

MARKER = "phantom.json"
# Raised whenever the same seed would give other voxels.
GENERATOR_VERSION = 1
MAX_PATIENTS = 999


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One phase of one patient: its number in the sequence, image and labels (Z, H, W)."""

    number: int
    image_ZHW: NDArray[np.int16]
    label_ZHW: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One simulated patient."""

    name: str
    group: str
    height_cm: float
    weight_kg: float
    n_frames: int
    spacing_mm: tuple[float, float, float]
    dtype: str
    end_diastole: Frame
    end_systole: Frame


def simulate(index: int, *, seed: int = 0) -> Patient:
    """Simulate patient number `index` (from 1): the same for the same seed and number, always."""

    def stream(part: int) -> np.random.Generator:
        # A stream for each part: a change in how the noise is drawn leaves every anatomy as it was.
        return np.random.default_rng([seed, index, part])

    group = _group(index, seed)
    rng = stream(0)
    portrait = bool(rng.random() < 0.4)
    orientation = rng.uniform(-1.1, -0.35) if portrait else rng.uniform(-0.45, 0.3)
    heart = anatomy.draw_heart(rng, group, orientation)
    grid = _draw_grid(rng, heart, portrait=portrait)
    tissues, chest = scene.draw_tissues(stream(1)), scene.draw_chest(stream(2), orientation)
    scanner = phantom_scanner.draw_scanner(stream(3))
    chest_image, skin_mm = scene.paint_chest(stream(4), chest, tissues, heart, grid)

    n_frames = int(rng.integers(15, 36))
    numbers = (1, max(2, round(n_frames * rng.uniform(0.3, 0.42))))
    phases = (anatomy.end_diastole(heart), anatomy.end_systole(heart))
    frames = []
    for number, phase, part in zip(numbers, phases, (5, 6), strict=True):
        borders = anatomy.trace(heart, phase, grid)
        image = chest_image.copy()
        scene.paint_heart(stream(part), image, chest, tissues, borders, grid)
        stored = phantom_scanner.scan(stream(part + 2), image, skin_mm, scanner, grid)
        frames.append(Frame(number=number, image_ZHW=stored, label_ZHW=borders.labels()))

    height = rng.normal(170, 9)
    mass_index = 20 + 0.5 * chest.fat_mm + rng.normal(0, 1.5)
    integers = ("int16", "uint8") if scanner.peak <= np.iinfo(np.uint8).max else ("int16", "int16")
    return Patient(
        name=patient_name(index),
        group=group,
        height_cm=round(height),
        weight_kg=round(mass_index * (height / 100) ** 2),
        n_frames=n_frames,
        spacing_mm=grid.spacing_mm,
        dtype=str(rng.choice(["float32", *integers], p=[0.6, 0.3, 0.1])),
        end_diastole=frames[0],
        end_systole=frames[1],
    )


def patient_name(index: int) -> str:
    """Return the id of patient number `index`, for example "phantom007"."""
    return f"phantom{index:03d}"


def write_raw(
    out: Path,
    *,
    n_train: int = 16,
    n_val: int = 4,
    n_test: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a phantom dataset to `out`: `out/training/phantomNNN/...` and `out/phantom.json`.

    An earlier phantom in `out` is replaced. The marker is written last, so a folder that has it is
    complete.

    Args:
        out: raw folder; created, and refused if it holds anything but an earlier phantom.
        n_train: patients to train on, at least 1; they are numbered first, validation and test follow.
        n_val: patients to validate on.
        n_test: patients to test on.
        seed: another seed, another set of patients; 0 or more.
        progress: called after every patient with (patients written, patients in all).

    Raises:
        DaclError: the counts or the seed are out of range, or `out` holds something else.
    """
    total = n_train + n_val + n_test
    if n_train < 1 or min(n_val, n_test) < 0 or total > MAX_PATIENTS:
        raise DaclError(
            f"a phantom of {n_train} training, {n_val} validation and {n_test} test patients cannot be made",
            f"ask for at least 1 training patient and at most {MAX_PATIENTS} patients in all",
        )
    if seed < 0:
        raise DaclError(f"the phantom's seed is {seed}", "give a seed of 0 or more")
    _clear(out)
    names = [patient_name(index) for index in range(1, total + 1)]
    for index in range(1, total + 1):
        _write_patient(out / "training", simulate(index, seed=seed))
        if progress is not None:
            progress(index, total)
    marker = {
        "synthetic": True,
        "name": "phantom",
        "generator_version": GENERATOR_VERSION,
        "seed": seed,
        "split": {
            "train": names[:n_train],
            "val": names[n_train : n_train + n_val],
            "test": names[n_train + n_val :],
        },
    }
    (out / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")


def _group(index: int, seed: int) -> str:
    """Return the patient's group: every five patients hold each group once, in an order of their own."""
    block, place = divmod(index - 1, len(anatomy.GROUPS))
    order = np.random.default_rng([seed, block, 0, 1]).permutation(len(anatomy.GROUPS))
    return list(anatomy.GROUPS)[order[place]]


def _draw_grid(rng: np.random.Generator, heart: anatomy.Heart, *, portrait: bool) -> anatomy.Grid:
    """Plan the stack as a radiographer would: the whole heart from base to apex, in 6 to 11 slices."""
    pixel = rng.uniform(1.3, 1.9)
    short_mm = rng.uniform(210, 260)
    short, long = (
        2 * round(side / pixel / 2) for side in (short_mm, short_mm * rng.uniform(1.1, 1.3))
    )
    reach = heart.base_mm + heart.length_mm + heart.wall_mm
    # The largest hearts lose their apex, as in some of ACDC's stacks, rather than thicken the slice.
    planned = float(rng.choice([7.0, 8.5, 10.0], p=[0.1, 0.2, 0.7]))
    thickness = min(max(planned, float(np.ceil(reach / 11))), 10.0)
    slices = int(np.clip(round(reach / thickness + rng.uniform(-0.8, 0.6)), 6, 11))
    size = (long, short) if portrait else (short, long)
    return anatomy.Grid(shape_ZHW=(slices, *size), spacing_mm=(thickness, pixel, pixel))


def _clear(out: Path) -> None:
    """Make `out` ready, taking away an earlier phantom and nothing else."""
    training = out / "training"
    if out.exists():
        found = [path for path in out.iterdir() if path.name not in (MARKER, training.name)]
        if training.exists():
            found += [path for path in training.iterdir() if not path.name.startswith("phantom")]
        if found:
            raise DaclError(
                f"{out} holds something that is not a phantom: {found[0]}",
                "name a new or empty folder for the phantom",
            )
        (out / MARKER).unlink(missing_ok=True)
        for patient in training.glob("phantom*"):
            shutil.rmtree(patient)
    training.mkdir(parents=True, exist_ok=True)


def _write_patient(training: Path, patient: Patient) -> None:
    """Write one patient's folder."""
    folder = training / patient.name
    folder.mkdir()
    for frame in (patient.end_diastole, patient.end_systole):
        stem = folder / f"{patient.name}_frame{frame.number:02d}"
        image = frame.image_ZHW.astype(patient.dtype)
        _write_nifti(Path(f"{stem}.nii.gz"), image, patient.spacing_mm)
        _write_nifti(Path(f"{stem}_gt.nii.gz"), frame.label_ZHW, patient.spacing_mm)
    (folder / "Info.cfg").write_text(
        f"ED: {patient.end_diastole.number}\nES: {patient.end_systole.number}\n"
        f"Group: {patient.group}\nHeight: {patient.height_cm:.1f}\n"
        f"NbFrame: {patient.n_frames}\nWeight: {patient.weight_kg:.1f}\n",
        encoding="utf-8",
    )


def _write_nifti(
    path: Path, array_ZHW: NDArray[np.generic], spacing_mm: tuple[float, float, float]
) -> None:
    """Write a volume with ACDC's header: unit-scale sform, no qform, true spacing in pixdim only."""
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_dtype(array_ZHW.dtype)
    header.set_data_shape(array_ZHW.shape[::-1])
    header.set_zooms(spacing_mm[::-1])
    header.set_sform(np.diag([-1.0, -1.0, 1.0, 1.0]), code="aligned")
    # With an affine of its own nibabel would write the spacing into both sform and pixdim.
    nib.save(nib.Nifti1Image(array_ZHW.T, None, header), path)
