"""What the contrast treats as one feature: a reliable pixel, or the masked average of a class over an image (Eq. 2)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from dacl.contrast import shapes
from dacl.contrast.draws import Draws
from dacl.contrast.prototypes import masked_average_pool
from dacl.contrast.selection import Chosen, Group, random_members_of_each
from dacl.contrast.shares import WHOLE, Shares

Head = Callable[[Tensor, Tensor | None], Tensor]
"""The projection z: (P, F) -> (P, D), and which of the rows exist (None: all)."""


class Units(NamedTuple):
    """What is compared: unit vectors of every foreground class, and of the pool of negatives."""

    units_CMD: Float[Tensor, "C M D"]
    valid_CM: Bool[Tensor, "C M"]
    reliable_C: Int[Tensor, "C"]
    """How many reliable units the class had before `cap` cut them."""
    others_XRD: Float[Tensor, "X R D"]
    """Out-of-class units of every class (X = C), or background units for all (X = 1); detached."""
    other_valid_XR: Bool[Tensor, "X R"]


def pixel_units(
    head: Head,
    features: Float[Tensor, "B F *S"],
    classes: Int[Tensor, "I *S"],
    draws: Draws,
    shares: Shares = WHOLE,
    *,
    dim: int,
    n_classes: int,
    cap: int,
    others: int,
    out_of_class: bool,
) -> Units:
    """Reliable pixels in random order, drawn first and projected after: the head never sees the whole map.

    Args:
        head: the projection z.
        features: decoder map of this rank's images.
        classes: class of every pixel of all ranks' images, or UNRELIABLE.
        draws: scores of the pixels.
        shares: which images are this rank's; by default all.
        dim: D.
        n_classes: N.
        cap: units per foreground class at most.
        others: pixels of the pool of negatives at most, per class where they differ by class.
        out_of_class: the pool is each class's out-of-class pixels; otherwise background, for all.
    """
    classes_P = classes.flatten()
    member_NP = classes_P == torch.arange(n_classes, device=classes_P.device).unsqueeze(1)
    pool = (classes_P >= 0) & ~member_NP[1:] if out_of_class else member_NP[:1]
    own, other = random_members_of_each(
        Group(member_NP[1:], cap, draws.pixel_P), Group(pool, others, draws.other_P)
    )
    valid_T = torch.cat([own.valid_CM.flatten(), other.valid_CM.flatten()])
    enough = valid_T.sum() >= 2  # batch statistics need two
    own, other = (Chosen(c.index_CM, c.valid_CM & enough) for c in (own, other))

    index_T = torch.cat([own.index_CM.flatten(), other.index_CM.flatten()])
    drawn_TF = shares.pixels(features, index_T)
    units_TD = _projected(head, drawn_TF, valid_T & enough, dim)
    own_TD, other_TD = units_TD.split([own.index_CM.numel(), other.index_CM.numel()])
    # image by image, which a compiled GPU step counts faster
    reliable_CI = member_NP[1:].unflatten(1, (len(classes), -1)).sum(dim=2)
    return Units(
        own_TD.unflatten(0, own.index_CM.shape),
        own.valid_CM,
        reliable_CI.sum(dim=1),
        other_TD.unflatten(0, other.index_CM.shape).detach(),
        other.valid_CM,
    )


def _projected(
    head: Head, features_TF: Float[Tensor, "T F"], valid_T: Bool[Tensor, "T"], dim: int
) -> Float[Tensor, "T D"]:
    """Unit vectors of the valid rows, 0 for the others."""
    if not shapes.can_look(features_TF):
        units_TD = F.normalize(head(features_TF, valid_T), dim=-1)
        return units_TD.masked_fill(~valid_T.unsqueeze(1), 0.0)
    rows = valid_T.nonzero().squeeze(1)
    if not len(rows):
        nothing_TD = features_TF.new_zeros((len(features_TF), dim), dtype=torch.float32)
        return nothing_TD + features_TF[:0].sum()  # with a graph
    units_rD = F.normalize(head(features_TF.index_select(0, rows), None), dim=-1)
    return units_rD.new_zeros(len(features_TF), dim).index_copy(0, rows, units_rD)


def class_units(
    head: Head,
    features: Float[Tensor, "B F *S"],
    classes: Int[Tensor, "I *S"],
    shares: Shares = WHOLE,
    *,
    n_classes: int,
    out_of_class: bool,
) -> Units:
    """One vector per image and class (Eq. 2), of the projected map as the paper has it; arguments as `pixel_units`."""
    features_PF = features.movedim(1, -1).flatten(0, -2)
    own = shares.of_own(classes)
    projected = head(features_PF, None).unflatten(0, own.shape).movedim(-1, 1)
    pooled_NBD, present_NB = masked_average_pool(projected, own, n_classes)
    pooled_NBD = shares.of_all(pooled_NBD.transpose(0, 1)).transpose(0, 1)
    present_NB = shares.of_all(present_NB.T).T
    units_NBD = F.normalize(pooled_NBD, dim=-1)
    if out_of_class:
        others, other_valid = _of_other_classes(units_NBD), _of_other_classes(present_NB)
    else:
        others, other_valid = units_NBD[:1], present_NB[:1]
    return Units(
        units_NBD[1:], present_NB[1:], present_NB[1:].sum(dim=1), others.detach(), other_valid
    )


def _of_other_classes(values_NBV: Shaped[Tensor, "N B *V"]) -> Shaped[Tensor, "C R *V"]:
    """For each foreground class what all images hold of the N - 1 others, by slices, for which no device waits."""
    return torch.stack([
        torch.cat([values_NBV[:own], values_NBV[own + 1 :]]).flatten(0, 1)
        for own in range(1, len(values_NBV))
    ])  # fmt: skip
