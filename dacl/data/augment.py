"""The 2D augmentation of SSL4MIS, batched: one table of source pixels per slice, one lookup for image and label.

With probability 0.5 a quarter turn (k of 0..3) and a flip, otherwise a rotation by -20..19 whole degrees; order 0 for
both. Every output pixel is traced back through crop or zoom, flip, turn and rotation to the stored pixel it shows, so
slices of different sizes share a batch and nothing is interpolated twice.

Legend: B slices, S side of the patch.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dacl.config import ImageConfig
from dacl.seeding import stream


@dataclass(frozen=True, slots=True)
class Placement:
    """How each patch of a batch lies on its slice; one number per slice."""

    quarter_turns_B: Int[Tensor, "B"]
    flip_axis_B: Int[Tensor, "B"]
    """0 flips rows, 1 columns, -1 neither."""
    degrees_B: Float[Tensor, "B"]
    shift_B2: Float[Tensor, "B 2"]
    """Where a crop lies between its extreme positions, (row, column) in [0, 1)."""

    def to(self, device: torch.device) -> "Placement":
        """The same placement on another device."""
        return Placement(*(getattr(self, field.name).to(device) for field in fields(self)))


def draw_placements(count: int, *key: int | str, mirror: bool = True) -> Placement:
    """Random placements of one batch, from the stream of `key`; each slice consumes the same number of draws.

    Without `mirror` there are no turns and flips, and every slice is rotated.
    """
    draws = torch.rand((count, 6), generator=stream(*key))
    turned = (draws[:, 0] < 0.5) & mirror
    return Placement(
        quarter_turns_B=torch.where(turned, (draws[:, 1] * 4).long(), 0),
        flip_axis_B=torch.where(turned, (draws[:, 2] * 2).long(), -1),
        degrees_B=torch.where(turned, 0.0, (draws[:, 3] * 40).floor() - 20),
        shift_B2=draws[:, 4:6],
    )


def source_pixels(
    placement: Placement, size_B2: Int[Tensor, "B 2"], image: ImageConfig
) -> tuple[Int[Tensor, "B S S"], Int[Tensor, "B S S"], Bool[Tensor, "B S S"]]:
    """Row and column of the stored slice that each pixel of the patch shows, and whether it lies on the slice.

    Args:
        placement: of B patches.
        size_B2: stored height and width of the B slices.
        image: geometry and patch size S.
    """
    quarter = placement.quarter_turns_B
    seen_B2 = torch.where((quarter % 2 == 1).unsqueeze(1), size_B2.flip(1), size_B2)
    rows_BS, columns_BS = (
        _along(seen_B2[:, axis], placement.shift_B2[:, axis], image) for axis in (0, 1)
    )
    height, width = (seen_B2[:, axis, None] for axis in (0, 1))
    rows_BS = torch.where(placement.flip_axis_B[:, None] == 0, height - 1 - rows_BS, rows_BS)
    columns_BS = torch.where(
        placement.flip_axis_B[:, None] == 1, width - 1 - columns_BS, columns_BS
    )
    y, x = torch.broadcast_tensors(rows_BS[:, :, None], columns_BS[:, None, :])

    last_y, last_x = (size_B2[:, axis, None, None] - 1 for axis in (0, 1))
    k = quarter[:, None, None]
    y, x = (
        torch.where(k == 0, y, torch.where(k == 1, x, torch.where(k == 2, last_y - y, last_y - x))),
        torch.where(k == 0, x, torch.where(k == 1, last_x - y, torch.where(k == 2, last_x - x, y))),
    )

    angle = torch.deg2rad(placement.degrees_B.double())[:, None, None]
    down, right = y - last_y / 2, x - last_x / 2  # from the centre of the slice
    turned_y = angle.cos() * down + angle.sin() * right + last_y / 2
    turned_x = -angle.sin() * down + angle.cos() * right + last_x / 2
    inside = (turned_y >= 0) & (turned_y <= last_y) & (turned_x >= 0) & (turned_x <= last_x)
    return (turned_y + 0.5).floor().long(), (turned_x + 0.5).floor().long(), inside


def _along(extent_B: Tensor, shift_B: Tensor, image: ImageConfig) -> Tensor:
    """Source coordinates of the patch along one axis: the whole extent zoomed, or a crop of it."""
    side = torch.arange(image.patch_size, device=extent_B.device)
    if image.geometry == "resize":
        step_B1 = (extent_B[:, None] - 1).double() / (image.patch_size - 1)
        return (side * step_B1 + 0.5).floor().long()
    # a slice smaller than the patch slides inside it, surrounded by 0
    room_B = extent_B - image.patch_size
    first_B = torch.where(
        room_B >= 0,
        (shift_B * (room_B + 1)).floor(),
        -(shift_B * (1 - room_B)).floor(),
    ).long()
    return first_B[:, None] + side
