"""L_sup: half cross entropy, half Dice (facts: SSL4MIS; the paper leaves L_sup to its appendix).

B images, N classes with background, *S the spatial axes (H W or D H W).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from dacl.ranks import ALONE, Ranks

SMOOTH = 1e-5


def dice_loss(
    probs: Float[Tensor, "B N *S"], labels: Int[Tensor, "B *S"], ranks: Ranks = ALONE
) -> Float[Tensor, ""]:
    """Mean over all N classes of 1 - (2 sum pq + s) / (sum p^2 + sum q^2 + s), sums over the whole batch.

    Range [0, 1]. The squared denominator and s = 1e-5 are SSL4MIS's; other repositories differ.
    """
    space = tuple(range(2, probs.ndim))
    truth = F.one_hot(labels, probs.shape[1]).movedim(-1, 1).to(probs.dtype)
    overlap_BN = (probs * truth).sum(dim=space)
    # a one-hot map equals its square
    total_BN = probs.square().sum(dim=space) + truth.sum(dim=space)
    # a ratio of sums is no mean over images
    overlap_N, total_N = ranks.sum(overlap_BN.sum(dim=0), total_BN.sum(dim=0))
    return (1 - (2 * overlap_N + SMOOTH) / (total_N + SMOOTH)).mean()


def supervised_loss(
    logits: Float[Tensor, "B N *S"], labels: Int[Tensor, "B *S"], ranks: Ranks = ALONE
) -> Float[Tensor, ""]:
    """0.5 (CE + Dice) of one network on labelled images, which may be `ranks`' share of them."""
    log_probs = torch.log_softmax(logits.float(), dim=1)
    cross_entropy = F.nll_loss(log_probs, labels)
    return 0.5 * (cross_entropy + dice_loss(log_probs.exp(), labels, ranks))
