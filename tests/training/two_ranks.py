"""What every rank does in the tests of several: under torchrun it writes what it found, imported it is the reference.

Dropout is 0 and the networks' batch statistics are frozen, so that one process with the whole batch and two with halves
of it compute the same; in float64, so that they do to the last digits.
"""

import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import tiny
import torch
from torch import nn

from dacl.config import Config, resolve
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.methods import METHODS, Batch
from dacl.ranks import ALONE, Ranks
from dacl.training.distributed import (
    SaidByFirst,
    any_of,
    average_gradients,
    joined,
    on_first,
    require_same,
    share_running_statistics,
)
from dacl.training.folder import sole_writer
from dacl.training.loop import Trainer
from dacl.training.validation import Validation, validate

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
    """Gradients, losses, diagnostics and buffers of two steps, the second against the bank that the first began."""
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


def trained(data: Path, out: Path, ranks: Ranks) -> None:
    """A run left alone, and one that the second rank alone asks to stop, once, and that goes on; with dropout."""
    settings = tiny.config("dacl", optim={"steps": 7})
    dataset = PreparedDataset.open(data)
    Trainer(settings, dataset, out / "alone", ranks).run(tiny.Quiet())

    def asked() -> bool:
        return ranks.rank == 1 and trainer.step == 5

    trainer = Trainer(settings, dataset, out / "stopped", ranks)
    summary = trainer.run(tiny.Quiet(), asked)
    assert (summary.step, summary.finished) == (5, False)
    weights = torch.cat([p.detach().flatten() for p in trainer.method.parameters()])
    first, second = ranks.gather(weights[None])
    assert torch.equal(first, second), "the ranks walk apart"
    on_first(ranks, lambda: shutil.copytree(out / "stopped", out / "half"))
    assert Trainer.resume(out / "stopped", ranks=ranks).run(tiny.Quiet()).finished


def validated(data: Path, ranks: Ranks) -> Validation:
    """Five volumes, of which the ranks take three and two, judged with the running statistics of the first rank."""
    dataset = PreparedDataset.open(data)
    settings = tiny.config("cps")
    method = METHODS["cps"](settings, 1, len(dataset.class_names)).eval()
    for name, buffer in method.named_buffers():
        if "running_mean" in name:
            buffer += 0.1 + ranks.rank
    method.ranks = ranks
    share_running_statistics(ranks, method)
    cases = dataset.cases(dataset.split.train)[:5]
    return validate(method, dataset, cases, torch.device("cpu"), ranks)


def complaints(ranks: Ranks) -> dict[str, str]:
    """What a rank is told when one of them fails or differs."""

    def fail() -> None:
        raise DaclError("the disk is full", "make room")

    told = {}
    for name, work in {
        "first": lambda: on_first(ranks, fail),
        "same": lambda: require_same(ranks, data=1, configuration=2),
        "other": lambda: require_same(ranks, data=1, configuration=ranks.rank),
    }.items():
        try:
            work()
        except DaclError as error:
            told[name] = error.message
    return told


def refused(run_dir: Path, ranks: Ranks) -> str:
    """What a rank is told of a run that somebody else trains."""
    with sole_writer(run_dir) if ranks.rank == 0 else nullcontext():
        try:
            Trainer.resume(run_dir, ranks=ranks).run(tiny.Quiet())
        except DaclError as error:
            return error.message
    return ""


def main() -> None:
    data, out = map(Path, sys.argv[1:])
    found: dict = {}
    try:
        with tiny.no_pictures(), joined() as ranks:
            found |= {
                "rank": ranks.rank,
                "outcomes": outcomes(ranks),
                "complaints": complaints(ranks),
                "any": [any_of(ranks, ranks.rank == 1), any_of(ranks, False)],
            }
            found["validation"] = validated(data, ranks)._asdict()
            trained(data, out, ranks)
            found["refused"] = refused(out / "half", ranks)
            raise DaclError("all ranks find the same")
    except DaclError as error:
        found["told"] = not isinstance(error, SaidByFirst)
    torch.save(found, out / f"rank{found['rank']}.pt")


if __name__ == "__main__":
    main()
