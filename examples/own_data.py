"""Data nobody prepared for: from a folder in nnU-Net's layout to masks of new scans.

The folder is made from the built-in synthetic heart, and is untidy as data of one's own is: the left ventricle has
the value 7, one patient has no masks, one volume lies flipped in its file, and so does one of the new scans. Each
command is printed before it runs, so that you can type it yourself. Short and synthetic: it shows that everything
works, and says little about methods.

    python examples/own_data.py
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np

TRAINING = {
    "preset": "small",
    "steps": 300,
    "lr": 0.03,
    "patch_size": 96,
    "set": "image.spacing_mm=2.0",
}
LEFT_VENTRICLE = 3, 7
UNMASKED, FLIPPED, NEW = "phantom008", "phantom002_ED", "phantom009"


def run(*arguments: object) -> None:
    """Print a `dacl` command, then run it; its failure ends the example with the same exit code."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ dacl {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "dacl_cli", *words], check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read voxels and affine; the phantom, as ACDC, has its spacing in the header alone."""
    volume = nibabel.load(path)
    affine = volume.affine @ np.diag([*volume.header.get_zooms()[:3], 1])
    return np.asarray(volume.dataobj), affine


def flip(array_XYZ: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Store the same anatomy with the first axis the other way round."""
    turn = np.diag([-1.0, 1, 1, 1])
    turn[0, 3] = len(array_XYZ) - 1
    return array_XYZ[::-1], affine @ turn


def save(path: Path, array_XYZ: np.ndarray, affine: np.ndarray) -> None:
    """Write a NIfTI file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array_XYZ, affine), path)


def write_dataset(phantom: Path, dataset: Path, scans: Path) -> None:
    """Turn the phantom's raw folder into nnU-Net's layout; the last patient's scans are the new ones."""
    for folder in (dataset, scans):
        shutil.rmtree(folder, ignore_errors=True)
    for patient in sorted((phantom / "training").iterdir()):
        images = sorted(p for p in patient.glob("*.nii.gz") if "_gt" not in p.name)
        for path, phase in zip(images, ("ED", "ES"), strict=True):
            case = f"{patient.name}_{phase}"
            image = load(path)
            if patient.name == NEW:
                save(scans / f"{case}.nii.gz", *image)
                save(scans / f"{case}_flipped.nii.gz", *flip(*image))
                continue
            label_XYZ, affine = load(path.with_name(path.name.replace(".nii", "_gt.nii")))
            before, after = LEFT_VENTRICLE
            mask = np.where(label_XYZ == before, after, label_XYZ).astype(np.uint8), affine
            if case == FLIPPED:
                image, mask = flip(*image), flip(*mask)
            save(dataset / f"imagesTr/{case}_0000.nii.gz", *image)
            if patient.name != UNMASKED:
                save(dataset / f"labelsTr/{case}.nii.gz", *mask)
    content = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "RV": 1, "Myo": 2, "LV": LEFT_VENTRICLE[1]},
        "numTraining": len(list(dataset.glob("labelsTr/*"))),
        "file_ending": ".nii.gz",
    }
    (dataset / "dataset.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def check_masks(scans: Path, masks: Path) -> None:
    """Say whether each mask lies on its scan's grid, and whether the flipped scan has the same anatomy."""
    for path in sorted(scans.glob("*_flipped.nii.gz")):
        straight = path.name.replace("_flipped", "")
        for name in (straight, path.name):
            scan, mask = nibabel.load(scans / name), nibabel.load(masks / name)
            same = scan.shape == mask.shape and np.allclose(scan.affine, mask.affine)
            print(f"{name}: mask {'on' if same else 'NOT on'} the grid of the scan")
        one, two = (
            np.asarray(nibabel.load(masks / name).dataobj) for name in (straight, path.name)
        )
        print(f"{path.name}: {100 * (one == two[::-1]).mean():.2f} % of voxels as in the other")


def example(folder: Path, training: dict[str, object]) -> None:
    """Run everything under `folder`; replaces an earlier run there."""
    start = time.monotonic()
    dataset, scans = folder / "Dataset001_Heart", folder / "scans"
    data, out, masks = folder / "data", folder / "run", folder / "masks"
    run("preprocess", "phantom", "--raw-only", "--raw", folder / "raw", "--patients", 7, 1, 1)
    write_dataset(folder / "raw", dataset, scans)
    run("preprocess", "nnunet", dataset, data, "--patient-pattern", r"(phantom\d+)")
    options = [word for name, v in training.items() for word in ("--" + name.replace("_", "-"), v)]
    run("train", "--data", data, "--labeled", 3, *options, "--out", out, "--overwrite")
    run("evaluate", out)
    run("predict", out, scans, "-o", masks, "--overwrite")
    print()
    check_masks(scans, masks)
    print(f"Done in {time.monotonic() - start:.0f} s.")


def main() -> None:
    """Read the command line and run the example."""
    parser = argparse.ArgumentParser(description="From a folder of one's own to masks.")
    parser.add_argument("--out", type=Path, default=Path("runs/own"), help="default: runs/own")
    parser.add_argument("--steps", type=int, help=f"default: {TRAINING['steps']}")
    given = parser.parse_args()
    training = dict(TRAINING)
    if given.steps is not None:
        training["steps"] = given.steps
    example(given.out, training)


if __name__ == "__main__":
    main()
