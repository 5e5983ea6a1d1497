"""Eq. 9: how much an anchor belongs to the centre it is pulled to."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def log_positiveness(
    cosine_CQ: Float[Tensor, "C Q"], valid_CQ: Bool[Tensor, "C Q"], tau_w: float
) -> Float[Tensor, "C Q"]:
    """The log of w_i = Q softmax over the class's anchors of cos(m_i, centre) / tau_w; 0 for padding, with gradient.

    The softmax axis is the anchors because Claim 1 normalises over them; gamma_i = 1/Q makes the mean of w 1, so
    that switching w on does not rescale the loss. The identity maps l_1 and l_2 of the paper drop out.
    """
    # finite, because the log-softmax of a class without anchors, all -inf, is nan
    logits_CQ = (cosine_CQ / tau_w).masked_fill(~valid_CQ, -1e9)
    log_count_C1 = valid_CQ.sum(dim=1, keepdim=True).clamp(min=1).to(logits_CQ.dtype).log()
    return (torch.log_softmax(logits_CQ, dim=1) + log_count_C1).masked_fill(~valid_CQ, 0.0)
