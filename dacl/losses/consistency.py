"""L_cross: two networks supervise each other with their hard pseudo-labels (Chen et al., CVPR 2021)."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from dacl.label_map import label_map


def cross_pseudo_supervision(
    logits_a: Float[Tensor, "B N *S"], logits_b: Float[Tensor, "B N *S"]
) -> Float[Tensor, ""]:
    """CE(a, argmax b) + CE(b, argmax a), means over pixels; no gradient reaches a target."""
    # contiguous, as both the softmax and the argmax want them
    a, b = (logits.float().contiguous() for logits in (logits_a, logits_b))
    return F.cross_entropy(a, label_map(b)) + F.cross_entropy(b, label_map(a))
