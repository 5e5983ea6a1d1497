"""Eq. 6-8: which units are drawn, which are anchors, which are keys, their centre, and the negatives."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from dacl.contrast import shapes


class Chosen(NamedTuple):
    """Positions per class; where `valid` is false the index is padding."""

    index_CM: Int[Tensor, "C M"]
    valid_CM: Bool[Tensor, "C M"]


def random_members(member_CP: Bool[Tensor, "C P"], cap: int, score_P: Float[Tensor, "P"]) -> Chosen:
    """At most `cap` of each row's members, those of highest score, in the order of their scores, members in front.

    Scores uniform in [0, 1) make it a draw without replacement in random order.
    """
    if shapes.can_look(member_CP):  # pad to the fullest class instead of to the cap
        cap = min(cap, max(1, int(member_CP.sum(dim=1).max())))
    return _highest(torch.where(member_CP, score_P, -1.0), cap)


class Group(NamedTuple):
    """Arguments of `random_members`."""

    member_CP: Bool[Tensor, "C P"]
    cap: int
    score_P: Float[Tensor, "P"]


def random_members_of_each(*groups: Group) -> list[Chosen]:
    """`random_members` of groups of the same positions.

    A GPU, where shapes are fixed, seeks them all at once: the search takes as long for eight rows as for one.
    """
    if shapes.can_look(groups[0].member_CP):
        return [random_members(*group) for group in groups]
    score_CP = torch.cat([torch.where(g.member_CP, g.score_P, -1.0) for g in groups])
    found = _highest(score_CP, max(group.cap for group in groups))
    rows = [len(group.member_CP) for group in groups]
    return [
        Chosen(index_CM[:, : group.cap], valid_CM[:, : group.cap])
        for group, index_CM, valid_CM in zip(
            groups, found.index_CM.split(rows), found.valid_CM.split(rows), strict=True
        )
    ]


def _highest(score_CP: Float[Tensor, "C P"], cap: int) -> Chosen:
    """The `cap` highest scores of every row, highest first; those below 0 are padding."""
    top = score_CP.topk(min(cap, score_CP.shape[1]), dim=1, sorted=True)
    return Chosen(top.indices, top.values >= 0)


def ascending(
    density_CM: Float[Tensor, "C M"], valid_CM: Bool[Tensor, "C M"]
) -> Int[Tensor, "C M"]:
    """The units of every class from the sparsest to the densest, equal ones as they stand, padding last."""
    return density_CM.masked_fill(~valid_CM, torch.inf).argsort(dim=1, stable=True)


def end_size(
    reliable_C: Int[Tensor, "C"], drawn_C: Int[Tensor, "C"], max_fraction: float
) -> Int[Tensor, "C"]:
    """How many pixels the sparse end of a class holds, and the dense end as many, before their caps.

    Both ends stay small against the class: with few pixels the caps alone would call half of them sparse.

    Args:
        reliable_C: reliable pixels of every class.
        drawn_C: those of them that were drawn as units.
        max_fraction: share of the reliable ones, from 0 to 1; two are taken at least, half of the drawn at most.
    """
    share_C = (reliable_C * max_fraction).long().clamp(min=2)
    return torch.minimum(share_C, drawn_C // 2)


def sparse_end(
    order_CM: Int[Tensor, "C M"],
    valid_CM: Bool[Tensor, "C M"],
    count_C: Int[Tensor, "C"],
    cap: int,
) -> Chosen:
    """Eq. 6: the first `count_C` units of every class in the order of `ascending`, at most `cap`, sparsest first."""
    rank_Q = torch.arange(min(cap, order_CM.shape[1]), device=order_CM.device)
    available_C1 = torch.minimum(count_C, valid_CM.sum(dim=1)).unsqueeze(1)
    return Chosen(order_CM[:, : len(rank_Q)], rank_Q < available_C1)


def dense_end(
    order_CM: Int[Tensor, "C M"],
    valid_CM: Bool[Tensor, "C M"],
    count_C: Int[Tensor, "C"],
    cap: int,
) -> Chosen:
    """Eq. 7: the last `count_C` valid units of every class in the order of `ascending`, at most `cap`, densest first.

    Disjoint from `sparse_end` wherever the two counts together do not exceed the valid units.
    """
    rank_S = torch.arange(min(cap, order_CM.shape[1]), device=order_CM.device)
    valid_C1 = valid_CM.sum(dim=1, keepdim=True)
    from_top_CS = (valid_C1 - 1 - rank_S).clamp(min=0)
    return Chosen(
        order_CM.gather(1, from_top_CS), rank_S < torch.minimum(count_C.unsqueeze(1), valid_C1)
    )


def take(
    values_CMD: Float[Tensor, "C M D"], index_CQ: Int[Tensor, "C Q"]
) -> Float[Tensor, "C Q D"]:
    """Rows of every class by their position."""
    return values_CMD.gather(1, index_CQ.unsqueeze(-1).expand(-1, -1, values_CMD.shape[2]))


def class_centre(
    keys_CSD: Float[Tensor, "C S D"], key_valid_CS: Bool[Tensor, "C S"]
) -> Float[Tensor, "C D"]:
    """Eq. 8 on the sphere: the normalised mean of the normalised keys, detached; zero for a class without keys."""
    weights_CS1 = key_valid_CS.unsqueeze(-1).to(keys_CSD.dtype)
    return F.normalize((keys_CSD.detach() * weights_CS1).sum(dim=1), dim=-1)


class Negatives(NamedTuple):
    """Out-of-class features of every class, detached."""

    features_CRD: Float[Tensor, "C R D"]
    valid_CR: Bool[Tensor, "C R"]


def negatives_from_anchors(
    anchors_CQD: Float[Tensor, "C Q D"],
    anchor_valid_CQ: Bool[Tensor, "C Q"],
    background_GD: Float[Tensor, "G D"],
    background_valid_G: Bool[Tensor, "G"],
    count: int,
    anchor_score_CQ: Float[Tensor, "C Q"],
    background_score_G: Float[Tensor, "G"],
) -> Negatives:
    """N_p- members of the other classes' anchors and of reliable background, which has no anchors.

    Those of highest score are taken.
    """
    classes, queries, dim = anchors_CQD.shape
    device = anchors_CQD.device
    owner_T = torch.cat([
        torch.arange(classes, device=device).repeat_interleave(queries),
        torch.full((len(background_GD),), classes, device=device),
    ])  # fmt: skip
    valid_T = torch.cat([anchor_valid_CQ.reshape(-1), background_valid_G])
    pool_TD = torch.cat([anchors_CQD.reshape(-1, dim), background_GD]).detach()
    out_of_class_CT = valid_T & (owner_T != torch.arange(classes, device=device).unsqueeze(1))
    score_T = torch.cat([anchor_score_CQ.reshape(-1), background_score_G])
    chosen = random_members(out_of_class_CT, count, score_T)
    return Negatives(pool_TD[chosen.index_CM], chosen.valid_CM)
