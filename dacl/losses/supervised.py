"""L_sup: half cross entropy, half Dice (facts: SSL4MIS; the paper leaves L_sup to its appendix).

B images, C classes with background, H and W pixels.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

SMOOTH = 1e-5


def dice_loss(
    probs_BCHW: Float[Tensor, "B C H W"], labels_BHW: Int[Tensor, "B H W"]
) -> Float[Tensor, ""]:
    """Mean over all C classes of 1 - (2 sum pq + s) / (sum p^2 + sum q^2 + s), sums over the whole batch.

    Range [0, 1]. The squared denominator and s = 1e-5 are SSL4MIS's; other repositories differ (methods 1.3).
    """
    classes = probs_BCHW.shape[1]
    truth_BCHW = F.one_hot(labels_BHW, classes).movedim(-1, 1).to(probs_BCHW.dtype)
    overlap_C = (probs_BCHW * truth_BCHW).sum(dim=(0, 2, 3))
    # a one-hot map equals its square
    total_C = probs_BCHW.square().sum(dim=(0, 2, 3)) + truth_BCHW.sum(dim=(0, 2, 3))
    return (1 - (2 * overlap_C + SMOOTH) / (total_C + SMOOTH)).mean()


def supervised_loss(
    logits_BCHW: Float[Tensor, "B C H W"], labels_BHW: Int[Tensor, "B H W"]
) -> Float[Tensor, ""]:
    """0.5 (CE + Dice) of one network on labelled images."""
    log_probs_BCHW = torch.log_softmax(logits_BCHW.float(), dim=1)
    cross_entropy = F.nll_loss(log_probs_BCHW, labels_BHW)
    return 0.5 * (cross_entropy + dice_loss(log_probs_BCHW.exp(), labels_BHW))
