"""Small configurations and batches that the tests of the methods share."""

import torch

from dacl.config import Config, resolve
from dacl.methods import METHODS, Batch, Method

N = 4
SIDE = 32


def config(method: str = "dacl", *, labeled_batch: int = 2, seed: int = 0, **contrast) -> Config:
    values = {
        "method": method,
        "seed": seed,
        "precision": "fp32",
        "image": {"patch_size": SIDE},
        "network": {"width": 4},
        "optim": {"steps": 30, "batch_labeled": labeled_batch},
        # a low phi: an untrained network is sure of nothing
        "contrast": {"phi": 0.3, "projection_dim": 6, "scales": [2, 5], "bank_size": 40} | contrast,
    }
    return resolve("paper", values)


def build(settings: Config) -> Method:
    return METHODS[settings.method](settings, 1, N)


def batch(seed: int = 0, *, labeled: int = 2, unlabeled: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        torch.randn(labeled + unlabeled, 1, SIDE, SIDE, generator=generator),
        torch.randint(0, N, (labeled, SIDE, SIDE), generator=generator),
    )


def train(method: Method, steps: int, *, first: int = 0) -> list[dict[str, float]]:
    """Optimiser steps as the loop takes them, dropout seeded by the step; the parts of each."""
    optimizer = torch.optim.SGD(method.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    history = []
    for step in range(first, first + steps):
        torch.manual_seed(step)
        terms = method.losses(batch(step), step)
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        optimizer.step()
        method.after_step(step)
        history.append({name: part.item() for name, part in terms.parts.items()})
    return history


def network_weights(method: Method) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in method.networks.state_dict().items()}
