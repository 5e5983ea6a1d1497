"""Eq. 2: which pixels can be trusted, and the average of a class over them."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dacl.ranks import ALONE, Ranks

UNRELIABLE = -1


def at_stride(values: Tensor, stride: int, axes: int) -> Tensor:
    """Every `stride`-th pixel along the last `axes` axes: what stands for a cell of a decoder map."""
    for axis in range(-axes, 0):
        values = values[(*[slice(None)] * (values.ndim + axis), slice(None, None, stride))]
    return values


def reliable_classes(
    labels: Int[Tensor, "A *S"], probs: Float[Tensor, "B N *S"], phi: float
) -> Int[Tensor, "B *S"]:
    """Class of every pixel, or UNRELIABLE: the mask T_n = 1(M_n > phi) of all classes in one map.

    The first A of the B images are labelled and use their annotation; the others use the argmax of `probs`, the
    partner network's softmax, where it exceeds phi (paper: whose pseudo-label is not stated).
    """
    confidence, pseudo = probs[labels.shape[0] :].max(dim=1)
    return torch.cat([labels, pseudo.masked_fill(confidence <= phi, UNRELIABLE)])


def certain_classes(
    labels: Int[Tensor, "A *S"],
    probs: Float[Tensor, "B N *S"],
    dropped: float,
    ranks: Ranks = ALONE,
) -> Int[Tensor, "B *S"]:
    """As `reliable_classes`, but of the unlabelled pixels the share `dropped` of highest entropy is left out (DGCL).

    The share is that of the pixels of all `ranks`.
    """
    probs = probs[labels.shape[0] :]
    if not len(probs):
        return labels
    entropy = torch.special.entr(probs).sum(dim=1)
    of_all = ranks.gather(entropy)
    kept = int((1 - dropped) * of_all.numel())
    # the pixels as uncertain as the last one kept go with it: nothing decides between them
    limit = of_all.flatten().kthvalue(max(kept, 1)).values
    return torch.cat([labels, probs.argmax(dim=1).masked_fill(entropy > limit, UNRELIABLE)])


def dropped_share(progress: float) -> float:
    """DGCL's schedule of `certain_classes`: 80 % of the pixels at the start of the run, 10 % from seven eighths on."""
    return max(0.8 * (1 - progress), 0.1)


def masked_average_pool(
    features: Float[Tensor, "B D *S"], classes: Int[Tensor, "B *S"], n_classes: int
) -> tuple[Float[Tensor, "N B D"], Bool[Tensor, "N B"]]:
    """v_n of every image (Eq. 2) and whether the image holds reliable pixels of class n.

    The paper's denominator lacks the class index; it is the class's own pixel count, plus 1e-6.
    """
    mask_BNp = torch.stack([classes.flatten(1) == n for n in range(n_classes)], dim=1)
    pixels_BN = mask_BNp.sum(dim=2)
    sums_NBD = torch.einsum("bnp,bdp->nbd", mask_BNp.to(features.dtype), features.flatten(2))
    return sums_NBD / (pixels_BN.T.unsqueeze(-1) + 1e-6), pixels_BN.T > 0
