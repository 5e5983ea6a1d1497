"""Eq. 10: pull sparse anchors to the centre of their class, away from other classes, under each reading of w_i.

With a_i = cos(m_i, centre) / tau and Z_i the sum of e^(m_i.q/tau) over the negatives, the loss of an anchor is

    with the positive     l_i = -log( e^a_i / (e^a_i + Z_i) )
    decoupled             l_i = -log( e^a_i / Z_i )            as printed: the pull is constant and never saturates

and w_i of Eq. 9 acts

    none                  l_i
    outside               w_i l_i, w_i constant                the default
    inside_attached       l_i - log w_i                        as printed; were w_i constant, it would have no gradient
    inside_denominator    a_i + log w_i in the place of a_i, w_i constant
    claim1                -w_i log softmax over the anchors of a_i, w_i constant: the loss that Claim 1 is true for

docs/positiveness.md shows what each does to the gradient.
"""

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

Reading = Literal["none", "outside", "inside_attached", "inside_denominator", "claim1"]

# Logit of what does not exist. Finite, because the gradient of log-sum-exp over -inf alone is nan.
ABSENT = -1e4


def log_negative_mass(
    anchors_CQD: Float[Tensor, "C Q D"],
    negatives_CRD: Float[Tensor, "C R D"],
    negative_valid_CR: Bool[Tensor, "C R"],
    tau: float,
) -> Float[Tensor, "C Q"]:
    """The log Z_i of every anchor."""
    against_CQR = anchors_CQD @ negatives_CRD.transpose(1, 2) / tau
    return against_CQR.masked_fill(~negative_valid_CR.unsqueeze(1), ABSENT).logsumexp(dim=2)


def anchor_losses(
    logit_CQ: Float[Tensor, "C Q"],
    log_mass_CQ: Float[Tensor, "C Q"],
    log_w_CQ: Float[Tensor, "C Q"],
    valid_CQ: Bool[Tensor, "C Q"],
    reading: Reading = "none",
    *,
    decoupled: bool = False,
) -> tuple[Float[Tensor, "C Q"], Float[Tensor, "C Q"]]:
    """The loss of every anchor and its weight in the sum, 0 for padding.

    Args:
        logit_CQ: a_i, with gradient.
        log_mass_CQ: log Z_i, with gradient.
        log_w_CQ: `log_positiveness`, with gradient.
        valid_CQ: which anchors exist.
        reading: where w_i acts.
        decoupled: leave the positive out of the denominator (`claim1` has no negatives: no difference).
    """
    weights_CQ = valid_CQ.to(logit_CQ.dtype)
    if reading in ("outside", "claim1"):
        weights_CQ = weights_CQ * log_w_CQ.detach().exp()
    if reading == "claim1":
        among_CQ = logit_CQ.masked_fill(~valid_CQ, ABSENT)
        return among_CQ.logsumexp(dim=1, keepdim=True) - logit_CQ, weights_CQ
    if reading == "inside_denominator":
        logit_CQ = logit_CQ + log_w_CQ.detach()
    # softplus(log Z - a) is the first line above, and neither overflows nor cancels
    margin_CQ = log_mass_CQ - logit_CQ
    losses_CQ = margin_CQ if decoupled else F.softplus(margin_CQ)
    return (losses_CQ - log_w_CQ if reading == "inside_attached" else losses_CQ), weights_CQ


def contrastive_loss(
    losses_CQ: Float[Tensor, "C Q"],
    weights_CQ: Float[Tensor, "C Q"],
    active_C: Bool[Tensor, "C"],
    reduction: Literal["mean", "sum"] = "mean",
) -> Float[Tensor, ""]:
    """Weighted mean over the anchors of a class, then mean over the active classes; 0 with a graph if none is.

    `sum` is the double sum of Eq. 10: about 768 times larger on ACDC, where lambda_CL = 0.1 then means 77.
    """
    active_C = active_C.to(losses_CQ.dtype)
    per_class_C = (weights_CQ * losses_CQ).sum(dim=1)
    if reduction == "sum":
        return (per_class_C * active_C).sum()
    per_class_C = per_class_C / weights_CQ.sum(dim=1).clamp(min=1e-12)
    return (per_class_C * active_C).sum() / active_C.sum().clamp(min=1.0)
