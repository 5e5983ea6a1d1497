"""Our U-Net, losses and labelled-only training beside those of a clone of SSL4MIS, whose code much of the field runs.

    git clone https://github.com/HiLab-git/SSL4MIS
    python examples/beside_ssl4mis.py SSL4MIS
    python examples/beside_ssl4mis.py SSL4MIS --data data/acdc-dev --labeled 50 --side 128 --steps 1500 --seed 0

Without --data it compares numbers: the outputs of both networks with the same weights, and both losses on the same
logits. With --data it also trains SSL4MIS's network on one thread, with its loss, its augmentation and its learning
rates, on the labelled slices of a prepared dataset, and prints the validation Dice of whole volumes, to be held beside

    dacl train --method supervised --labeled 50 --preset paper --patch-size 128 --batch-labeled 8 --steps 1500 --seed 0
        --precision fp32 --threads 1 --data data/acdc-dev
"""

import argparse
import ast
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from dacl.config import resolve
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.losses.consistency import cross_pseudo_supervision
from dacl.losses.supervised import supervised_loss
from dacl.networks.unet import UNet

CLASSES = 4
BATCH = 8
LR = 0.01
VALIDATIONS = 3


class Theirs:
    """What is taken from a clone: its network, its Dice loss and its augmentation."""

    def __init__(self, clone: Path) -> None:
        sys.path.insert(0, str(clone / "code"))
        from networks.unet import UNet as theirs  # of the clone

        self.network: type[nn.Module] = theirs
        losses = definitions(clone / "code/utils/losses.py", ("DiceLoss",))
        self.dice_loss = losses["DiceLoss"](CLASSES)
        # The module's own imports ask for OpenCV and torchvision, which nothing of this needs.
        wanted = ("random_rot_flip", "random_rotate", "RandomGenerator")
        self.augmentation = definitions(clone / "code/dataloaders/dataset.py", wanted)[wanted[-1]]

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Half of cross entropy and Dice, as its scripts add them up."""
        cross_entropy = nn.functional.cross_entropy(logits, labels.long())
        return 0.5 * (cross_entropy + self.dice_loss(logits.softmax(dim=1), labels.unsqueeze(1)))


def definitions(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Functions and classes of a Python file, without running the rest of it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if getattr(node, "name", "") in names]
    scope = {
        "np": np, "random": random, "torch": torch, "nn": nn, "ndimage": ndimage, "zoom": ndimage.zoom,
    }  # fmt: skip
    exec(compile(tree, path, "exec"), scope)
    return scope


def compare(theirs: Theirs) -> None:
    """Print how far outputs and losses differ."""
    dropout = resolve("paper", {}).network.dropout
    own, other = UNet(1, CLASSES, 16, dropout), theirs.network(1, CLASSES)
    for weight, given in zip(own.parameters(), other.parameters(), strict=True):
        weight.data.copy_(given.data)
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        difference = (own.eval()(images).logits - other.eval()(images)).abs().max().item()
    count = sum(weight.numel() for weight in own.parameters())
    print(f"U-Net, {count:,} parameters: largest difference of the outputs {difference:g}")

    first, second = torch.randn(2, 4, CLASSES, 32, 32, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (4, 32, 32))
    print(f"CE + Dice: {supervised_loss(first, labels):.6f}, {theirs.loss(first, labels):.6f}")
    crossed = nn.functional.cross_entropy(first, second.argmax(dim=1))
    crossed = crossed + nn.functional.cross_entropy(second, first.argmax(dim=1))
    print(f"cross pseudo supervision: {cross_pseudo_supervision(first, second):.6f}, {crossed:.6f}")


def batches(count: int) -> Iterator[np.ndarray]:
    """Every slice once in each pass, in random order; what does not fill a batch is left out."""
    size = min(BATCH, count)
    while True:
        order = np.random.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def train(
    theirs: Theirs, dataset: PreparedDataset, *, labeled: int, side: int, steps: int, seed: int
) -> None:
    """SSL4MIS's labelled-only training, and its validation Dice by class and in the mean."""
    slices = [
        (image_HW, label_HW)
        for case in dataset.cases(dataset.labeled(labeled))
        for image_HW, label_HW in zip(
            dataset.read_image(case.id)[0], dataset.read_label(case.id), strict=True
        )
    ]
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    augment = theirs.augmentation([side, side])
    network = theirs.network(1, CLASSES)
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9, weight_decay=1e-4)
    for step, chosen in zip(range(1, steps + 1), batches(len(slices)), strict=False):
        drawn = [augment({"image": slices[i][0], "label": slices[i][1]}) for i in chosen]
        images, labels = (torch.stack([each[key] for each in drawn]) for key in ("image", "label"))
        optimizer.zero_grad()
        theirs.loss(network(images), labels).backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = LR * (1 - step / steps) ** 0.9
        if step * VALIDATIONS % steps == 0:
            dice_C = validate(network, dataset, dataset.cases(dataset.split.val), side)
            shown = "  ".join(f"{100 * dice:.1f}" for dice in dice_C)
            print(f"step {step}  validation Dice %  mean {100 * dice_C.mean():.1f}  ({shown})")


@torch.no_grad()
def validate(
    network: nn.Module, dataset: PreparedDataset, cases: Sequence[CaseInfo], side: int
) -> np.ndarray:
    """Dice of every foreground class, mean over volumes; slices are resized there and back without interpolation."""
    network.eval()
    found = []
    for case in cases:
        image_ZHW, label_ZHW = dataset.read_image(case.id)[0], dataset.read_label(case.id)
        mask_ZHW = np.zeros_like(label_ZHW)
        height, width = label_ZHW.shape[1:]
        for z, image_HW in enumerate(image_ZHW):
            resized = ndimage.zoom(image_HW, (side / height, side / width), order=0)
            classes = network(torch.from_numpy(resized)[None, None]).argmax(dim=1)[0]
            mask_ZHW[z] = ndimage.zoom(classes.numpy(), (height / side, width / side), order=0)
        both = [
            ((mask_ZHW == c) & (label_ZHW == c)).sum() * 2
            / max((mask_ZHW == c).sum() + (label_ZHW == c).sum(), 1)
            if (mask_ZHW == c).any() or (label_ZHW == c).any() else np.nan
            for c in range(1, CLASSES)
        ]  # fmt: skip
        found.append(both)
    network.train()
    return np.nanmean(np.array(found), axis=0)


def main() -> None:
    """Read the command line, compare, and train where there is data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clone", type=Path, help="folder of SSL4MIS")
    parser.add_argument("--data", type=Path, help="prepared dataset of four classes")
    parser.add_argument("--labeled", type=int, default=50)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    theirs = Theirs(given.clone)
    compare(theirs)
    if given.data:
        train(
            theirs, PreparedDataset.open(given.data),
            labeled=given.labeled, side=given.side, steps=given.steps, seed=given.seed,
        )  # fmt: skip


if __name__ == "__main__":
    main()
