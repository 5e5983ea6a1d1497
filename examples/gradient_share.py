"""How much the contrast moves the networks: its weighted gradient beside that of the co-training, at a checkpoint.

    python examples/gradient_share.py runs/acdc-dacl-3labeled-seed0

For a few batches of the run's own training data, at the weight of the last step (the schedule's highest): the norm of
each gradient over the networks' weights, their ratio, and the cosine between them.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from dacl.methods import Batch, Method
from dacl.training.checkpoint import load_trained, open_data
from dacl.training.feed import Feed


def gradient(method: Method, batch: Batch, step: int) -> torch.Tensor:
    """Gradient of the total over the networks' weights, flat; dropout draws the same each time."""
    torch.manual_seed(step)
    method.zero_grad(set_to_none=True)
    method.losses(batch, step).total.backward()
    return torch.cat([weight.grad.flatten() for weight in method.networks.parameters()])


def main() -> None:
    """Read the command line and print one line per batch and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    cpu = torch.device("cpu")
    trained = load_trained(given.run, cpu, "latest")
    method, config = trained.method.train(), trained.config
    dataset = open_data(trained.meta, trained.path, given.data)
    feed = Feed(config, dataset, cpu, unlabeled=method.uses_unlabeled)
    alone = config.model_copy(
        update={"contrast": config.contrast.model_copy(update={"weight": 0.0})}
    )

    rows = []
    for number in range(given.batches):
        batch, step = feed.batch(number), config.optim.steps - 1
        method.config = config
        both = gradient(method, batch, step)
        method.config = alone
        co_training = gradient(method, batch, step)
        contrast = both - co_training
        ratio = contrast.norm() / co_training.norm()
        cosine = torch.nn.functional.cosine_similarity(contrast, co_training, dim=0)
        rows.append(
            (co_training.norm().item(), contrast.norm().item(), ratio.item(), cosine.item())
        )
        print(
            f"batch {number}: co-training {rows[-1][0]:.4f}  weighted contrast {rows[-1][1]:.4f}  "
            f"ratio {ratio:.3f}  cosine {cosine:+.3f}"
        )
    _, _, ratio, cosine = np.median(rows, axis=0)
    print(f"{given.run.name}: median ratio {ratio:.3f}, median cosine {cosine:+.3f}")


if __name__ == "__main__":
    main()
