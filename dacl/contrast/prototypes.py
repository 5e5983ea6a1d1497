"""Eq. 2: which pixels can be trusted, and the average of a class over them."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

UNRELIABLE = -1


def reliable_classes(
    labels_AHW: Int[Tensor, "A H W"], probs_BNHW: Float[Tensor, "B N H W"], phi: float
) -> Int[Tensor, "B H W"]:
    """Class of every pixel, or UNRELIABLE: the mask T_n = 1(M_n > phi) of all classes in one map.

    The first A of the B images are labelled and use their annotation; the others use the argmax of `probs`, the
    partner network's softmax, where it exceeds phi (paper: whose pseudo-label is not stated).
    """
    unlabeled = probs_BNHW[labels_AHW.shape[0] :]
    confidence, pseudo = unlabeled.max(dim=1)
    return torch.cat([labels_AHW, pseudo.masked_fill(confidence <= phi, UNRELIABLE)])


def masked_average_pool(
    map_BDHW: Float[Tensor, "B D H W"], classes_BHW: Int[Tensor, "B H W"], n_classes: int
) -> tuple[Float[Tensor, "N B D"], Bool[Tensor, "N B"]]:
    """v_n of every image (Eq. 2) and whether the image holds reliable pixels of class n.

    The paper's denominator lacks the class index; it is the class's own pixel count, plus 1e-6.
    """
    masks_BNHW = torch.stack([classes_BHW == n for n in range(n_classes)], dim=1)
    pixels_BN = masks_BNHW.sum(dim=(2, 3))
    sums_NBD = torch.einsum("bnhw,bdhw->nbd", masks_BNHW.to(map_BDHW.dtype), map_BDHW)
    return sums_NBD / (pixels_BN.T.unsqueeze(-1) + 1e-6), pixels_BN.T > 0
