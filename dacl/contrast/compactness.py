"""How tightly a class lies around its centre, in the space of any features: what the contrast is meant to change.

    compactness_n = | mean over v in V_n of v / |v| |

is the mean cosine of the class's features to their own mean direction (the mean resultant length of directional
statistics, Mardia and Jupp 2000, section 2.3): 1 when all point one way, near 0 when they point everywhere.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from dacl.contrast.density import multiscale_density
from dacl.contrast.prototypes import at_stride
from dacl.contrast.selection import random_members


@torch.no_grad()
def compactness(
    units_CMD: Float[Tensor, "C M D"], valid_CM: Bool[Tensor, "C M"]
) -> Float[Tensor, "C"]:
    """Mean cosine of every class's unit vectors to their mean direction, in [0, 1]; nan for a class without any."""
    weights_CM1 = valid_CM.unsqueeze(-1).to(units_CMD.dtype)
    return ((units_CMD * weights_CM1).sum(dim=1) / weights_CM1.sum(dim=1)).norm(dim=-1)


@torch.no_grad()
def labeled_compactness_and_density(
    features: Float[Tensor, "A F *s"],
    labels: Int[Tensor, "A *S"],
    score_P: Float[Tensor, "P"],
    *,
    n_classes: int,
    cap: int,
    scales: tuple[int, ...],
) -> tuple[Float[Tensor, "C"], Float[Tensor, "C"]]:
    """Compactness and mean density of the annotated pixels of every foreground class in a decoder map.

    No projection, no bank and no pseudo-label: a number that every method has, so that methods can be held against
    each other.

    Args:
        features: decoder map of labelled images, at a stride of the labels' grid.
        labels: class indices.
        score_P: of every pixel of the labelled maps, uniform in [0, 1): those of highest score are looked at.
        n_classes: N, background included.
        cap: pixels per class at most.
        scales: neighbours of the density (Eq. 3-5), sought among the pixels drawn.

    Returns:
        Both (C,) for the C = N - 1 foreground classes; nan for a class without pixels, and the density of one alone.
    """
    stride = labels.shape[-1] // features.shape[-1]
    classes_P = at_stride(labels, stride, features.ndim - 2).flatten()
    features_PF = features.movedim(1, -1).flatten(0, -2)
    member_CP = classes_P == torch.arange(1, n_classes, device=classes_P.device).unsqueeze(1)
    drawn = random_members(member_CP, cap, score_P)
    units_CMD = F.normalize(features_PF[drawn.index_CM].float(), dim=-1)
    density_CM = multiscale_density(
        units_CMD, units_CMD, drawn.valid_CM, scales, self_offset=0, valid_CM=drawn.valid_CM
    )
    count_C = drawn.valid_CM.sum(dim=1)
    mean_C = (density_CM * drawn.valid_CM).sum(dim=1) / count_C
    return compactness(units_CMD, drawn.valid_CM), mean_C.where(count_C > 1, torch.nan)
