"""What is exported of a model: its networks as one function from an image to class probabilities.

Legend: B images, C channels, N classes; *S the spatial axes, H W of slices or D H W of patches.
"""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dacl.prediction.model import Model
from dacl.prediction.portable import names_of, public_meta

SIDES = 16
"""Sides of an input must be multiples of it: the networks pool four times."""


class Exported(nn.Module):
    """The softmax of one network, or the mean of all networks' softmaxes; fp32, in evaluation mode, on the CPU.

    Args:
        model: left as it is.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        networks = model.method.networks
        self.networks = nn.ModuleList(
            copy.deepcopy(networks[name]).cpu().eval().requires_grad_(False)
            for name in names_of(model.method, model.network)
        )

    def forward(self, image: Float[Tensor, "B C *S"]) -> Float[Tensor, "B N *S"]:
        """Class probabilities of images under the model's intensity rule."""
        probs = [network(image).logits.softmax(dim=1) for network in self.networks]
        return probs[0] if len(probs) == 1 else torch.stack(probs).mean(dim=0)


def random_image(model: Model, batch: int, sides: tuple[int, ...], seed: int) -> Tensor:
    """Noise in [0, 1) of the shape that the network takes; as many of the last `sides` as it has spatial axes."""
    shape = (batch, model.meta.channels, *sides[-model.config.image.dims :])
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def facts_of(model: Model) -> dict[str, Any]:
    """What an exported file says of itself, beside its weights; patients are counted, not named."""
    about = {key: value for key, value in model.about.items() if key not in ("file", "sha256")}
    source = {"file": model.about["file"], "sha256": model.about["sha256"]}
    return {
        "config": {**model.config.model_dump(mode="json"), "labeled_cases": []},
        "meta": public_meta(model.meta),
        "network": model.network,
        "about": {**about, "source": source},
    }
