"""Are the sparse features the wrong ones? Errors of reliable pseudo-labels by their density, on validation slices.

    python examples/anchor_errors.py runs/acdc-dacl-3labeled-seed0 ... --out anchor_errors.png
    python examples/anchor_errors.py runs/acdc-dacl-3labeled-seed0 ... --pseudo-label mean --phi 0.95

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
from dacl.data.augment import draw_placements
from dacl.data.pool import SlicePool
from dacl.methods import Batch
from dacl.methods.dacl import DensityContrast
from dacl.palette import class_ink
from dacl.training.checkpoint import Trained, load_trained, open_data

BINS = 10
SLICES = 8  # as many as a step of preset `small` shows


def load(run: Path, given: argparse.Namespace) -> Trained:
    """A run of DACL at its last step, its contrast set to what is asked about."""
    trained = load_trained(run, torch.device("cpu"), "latest")
    if trained.config.method != "dacl":
        raise SystemExit(f"{run} is a run of {trained.config.method}: it has no contrast")
    asked = {"pseudo_label": given.pseudo_label, "phi": given.phi}
    contrast = trained.config.contrast.model_copy(
        update={key: value for key, value in asked.items() if value is not None}
    )
    trained.method.config = trained.config.model_copy(update={"contrast": contrast})
    return trained


def by_density(contrast: DensityContrast, features_PF: torch.Tensor, n: int) -> torch.Tensor:
    """Order of these pixels of class n from the sparsest to the densest, among themselves and the bank."""
    bank = contrast.bank
    units_CMD = normalize(contrast.head(features_PF), dim=-1)[None]
    density_CM = multiscale_density(
        units_CMD,
        torch.cat([bank.features_CLD[None, n - 1], units_CMD], dim=1),
        torch.cat([bank.valid_CL[None, n - 1], torch.ones(units_CMD.shape[:2]).bool()], dim=1),
        contrast.config.scales,
        self_offset=bank.length,
    )
    return density_CM[0].argsort()


@torch.no_grad()
def errors(trained: Trained, batches: int, data: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Wrong and all reliable pixels, each (classes, BINS + 1): deciles of density, sparsest first, then the anchors."""
    method, config = trained.method, trained.method.config
    dataset = open_data(trained.meta, trained.path, data)
    cases = [case for case in dataset.cases(dataset.split.val) if case.has_label]
    pool = SlicePool(dataset, cases, config.image, labels=True, device=torch.device("cpu"))
    side = config.image.patch_size
    wrong, seen = np.zeros((2, method.classes - 1, BINS + 1))
    for number in range(batches):
        shuffle = torch.Generator().manual_seed(number)
        index = torch.randperm(len(pool), generator=shuffle)[:SLICES]
        placement = draw_placements(len(index), "anchor errors", number)
        images, labels = pool.patches(index, placement)
        batch = Batch(images, torch.zeros(0, side, side, dtype=torch.long))
        outputs = method.forward_networks(images)
        for name in method.network_names:
            called_P = method.reliable(name, outputs, batch, config.optim.steps - 1).flatten()
            features = outputs[name].features
            stride = side // features.shape[-1]
            truth_P = labels[:, ::stride, ::stride].flatten()
            for n in range(1, method.classes):
                mine_P = called_P == n
                if mine_P.sum() < 2 * BINS:
                    continue
                features_PF = features.movedim(1, -1).flatten(0, 2)[mine_P]
                order = by_density(method.contrast[name], features_PF, n)
                miss = (truth_P[mine_P] != n)[order].numpy()
                anchors = miss[: max(2, int(config.contrast.max_fraction * len(miss)))]
                for place, part in enumerate([*np.array_split(miss, BINS), anchors]):
                    wrong[n - 1, place] += part.sum()
                    seen[n - 1, place] += len(part)
    return wrong, seen


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
    parser.add_argument("--pseudo-label", choices=["partner", "own", "mean"], help="[the run's]")
    parser.add_argument("--phi", type=float, help="[the run's]")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    counts, shares = [], []
    for run in given.runs:
        trained = load(run, given)
        wrong, seen = errors(trained, given.batches, given.data)
        counts.append(seen[:, :BINS].sum(axis=1))
        shares.append(np.divide(wrong, seen, out=np.full_like(wrong, np.nan), where=seen > 0))
    names = trained.meta.class_names[1:]
    print(
        "| class | reliable pixels | wrong % | of the anchors % | sparsest tenth % | densest tenth % |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for number, name in enumerate(names):
        mean = 100 * np.mean([share[number] for share in shares], axis=0)
        cells = (mean[:BINS].mean(), mean[BINS], mean[0], mean[BINS - 1])
        pixels = np.mean([count[number] for count in counts])
        print(f"| {name} | {pixels:.0f} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    if given.out:
        draw(given.out, np.stack(shares), names)
        print(f"\nwrote {given.out}")


if __name__ == "__main__":
    main()
