"""The 3D augmentation of the Synapse literature (facts: DHC): a random patch of the volume, mirrored in plane.

Each of the two in-plane axes is mirrored with probability 0.5. No quarter turns and no rotations, unlike in 2D: the
cardiac slices of `augment` lie at any angle to the patient, volumes are held in one orientation, and no scan arrives
on its side. No mirror along z: head and feet do not change places. Intensities stay as they are.

Where there are labels, a share of the patches is centred on a foreground voxel: first a class is drawn among those that
the volume has, then a voxel of it, so that small organs are met as often as large ones.
"""

from typing import NamedTuple

import torch

from dacl.seeding import stream


class Crop(NamedTuple):
    """How one patch lies on its volume, in draws from [0, 1) that serve a volume of any size."""

    centred: float
    """Below the foreground's share: on a foreground voxel."""
    of_class: float
    """Which of the volume's foreground classes."""
    at_voxel: float
    """Which of that class's voxels."""
    shift: tuple[float, float, float]
    """Else: where between its extreme positions the patch lies, along z, y and x."""
    mirrored: tuple[bool, bool]
    """Along y and x."""


def draw_crops(count: int, *key: int | str, mirror: bool = True) -> list[Crop]:
    """Random crops of one batch, from the stream of `key`; each consumes the same number of draws."""
    # float64: float32 could not tell the voxels of a large organ apart
    draws = torch.rand((count, 8), dtype=torch.float64, generator=stream(*key)).tolist()
    return [
        Crop(
            centred,
            of_class,
            at_voxel,
            (z, y, x),
            (mirror and flip_y < 0.5, mirror and flip_x < 0.5),
        )
        for centred, of_class, at_voxel, z, y, x, flip_y, flip_x in draws
    ]


def first_voxel(extent: int, patch: int, shift: float, centre: int | None = None) -> int:
    """Where the patch begins along one axis, from `-patch` to `extent`.

    A volume smaller than the patch slides inside it; a larger one holds all of the patch, around `centre` if it can.
    """
    room = extent - patch
    if room < 0:
        return -int(shift * (1 - room))
    return int(shift * (room + 1)) if centre is None else min(max(centre - patch // 2, 0), room)
