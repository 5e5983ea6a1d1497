"""Are the sparse features the wrong ones? Errors of reliable pseudo-labels by their density, on validation slices.

    python examples/anchor_errors.py runs/acdc-dacl-3labeled-seed0 ... --out anchor_errors.png

The contrast pulls the sparsest reliable features of a class towards its dense centre. On unlabelled scans what is
reliable is a guess: where the guess is wrong, the pull teaches the mistake. For validation patients, whose annotation
no training sees, this ranks each class's reliable pixels by density, as a training step would, and counts how many of
them belong to the class in truth.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn.functional import normalize

from dacl.contrast.density import multiscale_density
from dacl.contrast.prototypes import reliable_classes
from dacl.data.augment import draw_placements
from dacl.data.pool import SlicePool
from dacl.palette import class_ink
from dacl.training.checkpoint import load_trained, open_data

BINS = 10
SLICES = 8  # as many as a step of preset `small` shows


@torch.no_grad()
def errors_by_density(run: Path, batches: int, data: Path | None) -> np.ndarray:
    """(classes, BINS + 1): share of wrong pseudo-labels by decile of density, sparsest first; last the anchors'."""
    cpu = torch.device("cpu")
    trained = load_trained(run, cpu, "latest")
    method, config = trained.method, trained.config.contrast
    dataset = open_data(trained.meta, trained.path, data)
    cases = [case for case in dataset.cases(dataset.split.val) if case.has_label]
    pool = SlicePool(dataset, cases, trained.config.image, labels=True, device=cpu)
    nothing = torch.zeros(0, 1, 1, dtype=torch.long)
    wrong = np.zeros((method.classes - 1, BINS + 1))
    seen = np.zeros_like(wrong)
    for number in range(batches):
        draw = torch.Generator().manual_seed(number)
        index = torch.randperm(len(pool), generator=draw)[:SLICES]
        images, labels = pool.patches(index, draw_placements(SLICES, "anchor errors", number))
        outputs = method.forward_networks(images)
        for name, partner in ("ab", "ba"):
            probs = outputs[partner].logits_BCHW[..., ::2, ::2].softmax(dim=1)
            called = reliable_classes(nothing.expand(0, *probs.shape[2:]), probs, config.phi)
            contrast = method.contrast[name]
            features_PF = outputs[name].features.movedim(1, -1).flatten(0, 2)
            for n in range(1, method.classes):
                mine = (called == n).flatten()
                if mine.sum() < 2 * BINS:
                    continue
                units = normalize(contrast.head(features_PF[mine]), dim=-1)[None]
                candidates = torch.cat([contrast.bank.features_CLD[n - 1][None], units], dim=1)
                exist = torch.cat(
                    [contrast.bank.valid_CL[n - 1], torch.ones(units.shape[1], dtype=torch.bool)]
                )
                density = multiscale_density(
                    units, candidates, exist[None], config.scales, self_offset=contrast.bank.length
                )[0]
                miss = (labels[..., ::2, ::2].flatten()[mine] != n)[density.argsort()].numpy()
                for place, part in enumerate(np.array_split(miss, BINS)):
                    wrong[n - 1, place] += part.sum()
                    seen[n - 1, place] += len(part)
                anchors = miss[: max(2, int(config.max_fraction * len(miss)))]
                wrong[n - 1, BINS] += anchors.sum()
                seen[n - 1, BINS] += len(anchors)
    return np.divide(wrong, seen, out=np.full_like(wrong, np.nan), where=seen > 0)


def draw(path: Path, runs_CB: np.ndarray, names: tuple[str, ...]) -> None:
    """Error by decile of density, a line per class, runs as a band from lowest to highest."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    place = np.arange(1, BINS + 1)
    for number, name in enumerate(names):
        values = 100 * runs_CB[:, number, :BINS]
        colour = class_ink(number + 1)
        axis.plot(place, values.mean(axis=0), "o-", color=colour, label=name, markersize=4)
        axis.fill_between(place, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15)
    axis.set(
        xlabel="decile of density (1: sparsest, where the anchors are)",
        ylabel="wrong pseudo-labels, % of the reliable pixels",
        ylim=(0, None), xticks=place,
    )  # fmt: skip
    axis.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = np.stack([errors_by_density(run, given.batches, given.data) for run in given.runs])
    names = load_trained(given.runs[0], torch.device("cpu"), "latest").meta.class_names[1:]
    print(
        "| class | wrong among the anchors % | all reliable % | sparsest tenth % | densest tenth % |"
    )
    print("|---|---:|---:|---:|---:|")
    for number, name in enumerate(names):
        mean = 100 * found[:, number].mean(axis=0)
        cells = (mean[BINS], mean[:BINS].mean(), mean[0], mean[BINS - 1])
        print(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    if given.out:
        draw(given.out, found, names)
        print(f"\nwrote {given.out}")


if __name__ == "__main__":
    main()
