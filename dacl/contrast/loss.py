"""Eq. 10: pull sparse anchors to the centre of their class, away from other classes."""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

# Logit of a negative that does not exist. Finite, because the gradient of log-sum-exp over -inf alone is nan.
ABSENT = -1e4


def anchor_losses(
    cosine_CQ: Float[Tensor, "C Q"],
    anchors_CQD: Float[Tensor, "C Q D"],
    negatives_CRD: Float[Tensor, "C R D"],
    negative_valid_CR: Bool[Tensor, "C R"],
    tau: float,
) -> Float[Tensor, "C Q"]:
    """l_i = -log( e^a_i / (e^a_i + sum_neg e^(m_i.q/tau)) ), a_i = cos(m_i, centre)/tau.

    Printed Eq. 10 leaves the positive out of the denominator; then the pull never saturates. Computed as
    softplus(logsumexp(negatives) - a), which neither overflows nor cancels.
    """
    against_CQR = anchors_CQD @ negatives_CRD.transpose(1, 2) / tau
    against_CQR = against_CQR.masked_fill(~negative_valid_CR.unsqueeze(1), ABSENT)
    return F.softplus(against_CQR.logsumexp(dim=2) - cosine_CQ / tau)


def contrastive_loss(
    losses_CQ: Float[Tensor, "C Q"], weights_CQ: Float[Tensor, "C Q"], active_C: Bool[Tensor, "C"]
) -> Float[Tensor, ""]:
    """Weighted mean over the anchors of a class, then mean over the active classes; 0 with a graph if none is.

    The paper sums over both; a sum is about 768 times larger on ACDC and lambda_CL = 0.1 would then mean 77. The
    weights stand outside the logarithm: inside it, detached, they are constants without a gradient (methods 4.9).
    """
    per_class_C = (weights_CQ * losses_CQ).sum(dim=1) / weights_CQ.sum(dim=1).clamp(min=1e-12)
    active_C = active_C.to(per_class_C.dtype)
    return (per_class_C * active_C).sum() / active_C.sum().clamp(min=1.0)
