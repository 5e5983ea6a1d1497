"""The 2D augmentation of SSL4MIS, batched: one table of source pixels per slice, one lookup for image and label.

With probability 0.5 a quarter turn (k of 0..3) and a flip, otherwise a rotation by -20..19 whole degrees; order 0 for
both. Every output pixel is traced back through crop or zoom, flip, turn and rotation to the stored pixel it shows, so
slices of different sizes share a batch and nothing is interpolated twice.

Legend: B slices, S side of the patch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dacl.config import ImageConfig
from dacl.seeding import stream

KEPT_LOOKUPS = 1024
"""Of whole slices, on the CPU. ACDC has 24 sizes and so about 1,150 of them; 1,024 are 270 MB at 256 x 256."""


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
        # non_blocking: what waits for the copy is the device, not the loop that feeds it
        moved = (getattr(self, field.name).to(device, non_blocking=True) for field in fields(self))
        return Placement(*moved)


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


class _Lines(NamedTuple):
    """A patch traced back to its slice: row r and column c show `rows[:, r] + columns[:, c] + middle`, (y, x).

    That is all there is to an affine map: what a row and a column contribute is known before any pixel is looked at.
    """

    rows_B2S: Float[Tensor, "B 2 S"]
    columns_B2S: Float[Tensor, "B 2 S"]
    last_B2: Float[Tensor, "B 2"]
    """The last row and column of the slice; `middle` is half of it."""


def _source_lines(placement: Placement, size_B2: Tensor, image: ImageConfig) -> _Lines:
    """Trace the rows and columns of each patch back through crop or zoom, flip, turn and rotation, in that order."""
    quarter_B1 = placement.quarter_turns_B[:, None]
    crosswise_B1 = quarter_B1 % 2 == 1
    seen_B2 = torch.where(crosswise_B1, size_B2.flip(1), size_B2)
    down_BS, right_BS = (_along(axis, seen_B2[:, axis], placement, image) for axis in (0, 1))

    # A quarter turn lets the slice's rows run along the patch's columns, and one or both of them backwards.
    last_B2 = size_B2 - 1
    y_BS = torch.where(crosswise_B1, right_BS, down_BS)
    x_BS = torch.where(crosswise_B1, down_BS, right_BS)
    y_BS = torch.where(quarter_B1 >= 2, last_B2[:, :1] - y_BS, y_BS)
    x_BS = torch.where((quarter_B1 == 1) | (quarter_B1 == 2), last_B2[:, 1:] - x_BS, x_BS)

    last_B2 = last_B2.double()
    angle_B1 = torch.deg2rad(placement.degrees_B.double())[:, None]
    y_BS, x_BS = y_BS - last_B2[:, :1] / 2, x_BS - last_B2[:, 1:] / 2  # from the centre
    by_y_B2S = torch.stack([angle_B1.cos() * y_BS, -angle_B1.sin() * y_BS], dim=1)
    by_x_B2S = torch.stack([angle_B1.sin() * x_BS, angle_B1.cos() * x_BS], dim=1)
    crosswise_B11 = crosswise_B1.unsqueeze(2)
    return _Lines(
        rows_B2S=torch.where(crosswise_B11, by_x_B2S, by_y_B2S),
        columns_B2S=torch.where(crosswise_B11, by_y_B2S, by_x_B2S),
        last_B2=last_B2,
    )


def source_pixels(
    placement: Placement, size_B2: Int[Tensor, "B 2"], image: ImageConfig
) -> Int[Tensor, "B S S"]:
    """Which pixel of the stored slice each pixel of the patch shows, int32: 1 + row * width + column, or 0 for none.

    Args:
        placement: of B patches.
        size_B2: stored height and width of the B slices.
        image: geometry and patch size S.
    """
    lines = _source_lines(placement, size_B2, image)
    (y, on_rows), (x, on_columns) = (_nearest(lines, axis) for axis in (0, 1))
    return (y * size_B2[:, 1, None, None].int() + x + 1) * (on_rows & on_columns)


def _nearest(lines: _Lines, axis: int) -> tuple[Tensor, Tensor]:
    """The row (axis 0) or column that each pixel of the patch shows, and whether the slice has it."""
    at_BSS = lines.rows_B2S[:, axis, :, None] + lines.columns_B2S[:, axis, None, :]
    last_B11 = lines.last_B2[:, axis, None, None]
    at_BSS += last_B11 / 2
    inside = (at_BSS >= 0) & (at_BSS <= last_B11)
    return at_BSS.add_(0.5).int(), inside  # halves go up, as in scipy


def lookups(
    placement: Placement, size_B2: Int[Tensor, "B 2"], image: ImageConfig
) -> Iterator[Int[Tensor, "P"]]:
    """`source_pixels` patch by patch, each flat.

    Under `resize` they are kept: the same few turns meet the same few sizes again.
    """
    if image.geometry != "resize":
        yield from source_pixels(placement, size_B2, image).flatten(1)
        return
    turns = (placement.quarter_turns_B, placement.flip_axis_B, placement.degrees_B)
    for *turn, size in zip(*(part.tolist() for part in (*turns, size_B2)), strict=True):
        yield _lookup_of_whole(*turn, *size, image)


@lru_cache(KEPT_LOOKUPS)
def _lookup_of_whole(
    quarter_turns: int, flip_axis: int, degrees: float, height: int, width: int, image: ImageConfig
) -> Tensor:
    one = Placement(
        torch.tensor([quarter_turns]),
        torch.tensor([flip_axis]),
        torch.tensor([degrees]),
        torch.zeros(1, 2),
    )
    return source_pixels(one, torch.tensor([[height, width]]), image).flatten()


def _along(axis: int, extent_B: Tensor, placement: Placement, image: ImageConfig) -> Tensor:
    """Where the patch's pixels along one axis lie on the turned slice: all of it zoomed, or a crop; or mirrored."""
    side = torch.arange(image.patch_size, device=extent_B.device)
    if image.geometry == "resize":
        step_B1 = (extent_B[:, None] - 1).double() / (image.patch_size - 1)
        along_BS = (side * step_B1 + 0.5).floor().long()
    else:
        # a slice smaller than the patch slides inside it, surrounded by 0
        room_B, shift_B = extent_B - image.patch_size, placement.shift_B2[:, axis]
        first_B = torch.where(
            room_B >= 0,
            (shift_B * (room_B + 1)).floor(),
            -(shift_B * (1 - room_B)).floor(),
        ).long()
        along_BS = first_B[:, None] + side
    flipped_B1 = placement.flip_axis_B[:, None] == axis
    return torch.where(flipped_B1, extent_B[:, None] - 1 - along_BS, along_BS)
