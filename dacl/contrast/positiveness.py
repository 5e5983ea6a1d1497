"""Eq. 9: how much an anchor belongs to the centre it is pulled to."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def positiveness(
    cosine_CQ: Float[Tensor, "C Q"], valid_CQ: Bool[Tensor, "C Q"], tau_w: float
) -> Float[Tensor, "C Q"]:
    """w_i = Q * softmax over the class's anchors of cos(m_i, centre) / tau_w, detached; 0 for padding.

    The softmax axis is the anchors because Claim 1 normalises over them; gamma_i = 1/Q makes the mean of w 1, so
    that switching w on does not rescale the loss. The identity maps l_1 and l_2 of the paper drop out.
    """
    logits_CQ = (cosine_CQ.detach() / tau_w).masked_fill(~valid_CQ, -torch.inf)
    share_CQ = torch.softmax(logits_CQ, dim=1).nan_to_num(
        0.0
    )  # a class without anchors is all -inf
    return share_CQ * valid_CQ.sum(dim=1, keepdim=True)
