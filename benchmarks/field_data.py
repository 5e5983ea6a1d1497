"""How the field prepares and loads slices, written by us after what its training codes do.

Preparing: nibabel's `get_fdata`, intensities by the volume's minimum and maximum, one gzip-compressed HDF5 file per
slice and one per volume. Loading: the file of a slice is opened for every sample; half of the samples are turned by
quarters and flipped, the others rotated by scipy; then scipy zooms image and label to the patch, all of it order 0.
"""

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor


def prepare_case(image: Path, label: Path, out: Path) -> None:
    """Write the slices and the volume of one NIfTI image with its mask."""
    import nibabel

    image_XYZ, label_XYZ = (
        nibabel.Nifti1Image.from_filename(p).get_fdata() for p in (image, label)
    )
    low, high = image_XYZ.min(), image_XYZ.max()
    image_ZHW = ((image_XYZ - low) / (high - low)).astype(np.float32).T
    label_ZHW = label_XYZ.astype(np.uint8).T
    name = image.name.removesuffix(".nii.gz")
    write_slices(name, image_ZHW, label_ZHW, out / "slices")
    (out / "volumes").mkdir(parents=True, exist_ok=True)
    _write(out / "volumes" / f"{name}.h5", image_ZHW, label_ZHW)


def write_slices(name: str, image_ZHW: np.ndarray, label_ZHW: np.ndarray, out: Path) -> list[Path]:
    """A file per slice."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}_slice_{z}.h5" for z in range(len(image_ZHW))]
    for path, image_HW, label_HW in zip(paths, image_ZHW, label_ZHW, strict=True):
        _write(path, image_HW, label_HW)
    return paths


def _write(path: Path, image: np.ndarray, label: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=image, compression="gzip")
        file.create_dataset("label", data=label, compression="gzip")


def sample(
    path: Path, quarter_turns: int, axis: int, degrees: int, side: int
) -> tuple[Tensor, Tensor]:
    """An augmented slice: image (1, side, side) float32, label (side, side) int64. An axis of -1 means: rotate."""
    with h5py.File(path) as file:
        image, label = file["image"][:], file["label"][:]
    if axis >= 0:
        image, label = (
            np.flip(np.rot90(each, quarter_turns), axis).copy() for each in (image, label)
        )
    else:
        image, label = (
            ndimage.rotate(each, degrees, order=0, reshape=False) for each in (image, label)
        )
    zoom = (side / image.shape[0], side / image.shape[1])
    image, label = (ndimage.zoom(each, zoom, order=0) for each in (image, label))
    return torch.from_numpy(image.astype(np.float32))[None], torch.from_numpy(
        label.astype(np.int64)
    )


def batch(samples: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Samples stacked, as a loader collates them."""
    images, labels = zip(*samples, strict=True)
    return torch.stack(images), torch.stack(labels)
