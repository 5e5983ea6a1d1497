"""What every rank does in the tests of several: run under torchrun it writes what it found, imported it is the reference.

Dropout is 0 and the networks' batch statistics are frozen, so that one process with the whole batch and two with halves
of it compute the same; in float64, so that they do to the last digits.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from dacl.config import Config, resolve
from dacl.methods import METHODS, Batch
from dacl.ranks import ALONE, Ranks
from dacl.training.distributed import average_gradients, joined

N = 4
CASES: dict[str, dict] = {
    "supervised": {"method": "supervised"},
    "cps": {"method": "cps"},
    "cps, unlabelled alone": {"method": "cps", "cross": {"samples": "unlabeled"}},
    "dacl": {"method": "dacl"},
    "dacl in its warm-up": {"method": "dacl", "contrast": {"warmup_fraction": 1.0}},
    "class vectors": {"method": "dacl", "contrast": {"unit": "class", "pseudo_label": "mean"}},
    "by entropy": {
        "method": "dacl",
        "contrast": {"reliability": "entropy", "negatives_from": "pixels", "bank": "shared"},
    },
    "plain contrast": {"method": "dacl", "contrast": {"sampling": "random"}},
    "dacl, volumes": {"method": "dacl", "image": {"dims": 3, "patch_depth": 16}},
}
LABELED, UNLABELED = 2, 4  # unequal, so that the order of the images matters
STEP = 20


def config(name: str) -> Config:
    values = {
        "device": "cpu",
        "precision": "fp32",
        "image": {"patch_size": 32},
        "network": {"width": 4, "dropout": (0.0,) * 5, "vnet_dropout": 0.0},
        "optim": {"steps": 30, "batch_labeled": LABELED, "batch_unlabeled": UNLABELED},
        "journal": {"log_every": 1},
        # an untrained network is sure of nothing; a weight that is felt
        "contrast": {
            "phi": 0.3, "projection_dim": 6, "scales": [2, 5], "bank_size": 200, "bank_insert": 70,
            "sample_cap": 64, "weight": 5.0, "warmup_fraction": 0.0,
        },
    }  # fmt: skip
    return resolve("paper", values, CASES[name])


def batch(name: str, number: int, ranks: Ranks = ALONE) -> Batch:
    """The batch of all ranks, or the share of one."""
    sides = (16, 32, 32) if "volumes" in name else (32, 32)
    unlabeled = 0 if name == "supervised" else UNLABELED
    draw = torch.Generator().manual_seed(number)
    images = torch.randn(LABELED + unlabeled, 1, *sides, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, N, (LABELED, *sides), generator=draw)
    # every image at its own scale: a mean of means would not do for their sums
    images *= torch.arange(1, len(images) + 1).view(-1, *[1] * len(sides), 1)
    images[:LABELED] += labels.unsqueeze(1)
    parts = [images[:LABELED][ranks.share(LABELED)]]
    if unlabeled:
        parts.append(images[LABELED:][ranks.share(unlabeled)])
    return Batch(torch.cat(parts), labels[ranks.share(LABELED)])


def outcome(name: str, ranks: Ranks) -> dict:
    """Gradients, losses, diagnostics and buffers of two steps, the second against a bank that the first began to fill."""
    method = METHODS[config(name).method](config(name), 1, N).double().train()
    method.ranks = ranks
    frozen = method if name == "class vectors" else method.networks  # others see one sample
    for module in frozen.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.01)
    found = {}
    for number in range(2):
        terms = method.losses(batch(name, number, ranks), STEP + number)
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        average_gradients(ranks, method.parameters())
        optimizer.step()
        method.after_step(STEP + number)
        found |= {
            f"gradient {number} {key}": p.grad
            for key, p in method.named_parameters()
            if p.grad is not None
        }
        parts = {"total": terms.total.detach()} | terms.parts
        found |= {f"loss {number} {key}": ranks.mean(part) for key, part in parts.items()}
        found |= {f"diagnostic {number} {key}": v for key, v in terms.diagnostics.items()}
    return found | {f"state {key}": value for key, value in method.state_dict().items()}


def outcomes(ranks: Ranks) -> dict[str, dict]:
    # The losses are computed in fp32, whatever the networks compute in.
    before, torch.Tensor.float = torch.Tensor.float, torch.Tensor.double
    try:
        return {name: outcome(name, ranks) for name in CASES}
    finally:
        torch.Tensor.float = before


def main() -> None:
    out = Path(sys.argv[1])
    with joined() as ranks:
        torch.save(outcomes(ranks), out / f"rank{ranks.rank}.pt")


if __name__ == "__main__":
    main()
