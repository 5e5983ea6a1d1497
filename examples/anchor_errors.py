"""Are the sparse features the wrong ones? Errors of what the contrast takes for a class, by density.

    python examples/anchor_errors.py runs/acdc-dacl-3labeled-seed0 ... --out anchor_errors.png
    python examples/anchor_errors.py runs/acdc-dacl-3labeled-seed0 ... --pseudo-label mean --phi 0.95

The contrast pulls the sparsest reliable features of a class towards its dense centre. On unlabelled scans what is
reliable is a guess: where the guess is wrong, the pull teaches the mistake. This composes batches as a training step
does, of labelled slices and others; the others are of validation patients, whose annotation no training sees. It ranks
each class's reliable pixels by density and counts how many do not belong to the class in truth, and how many of the
anchors are of labelled slices. `--unlabeled-only` leaves the labelled slices out: the pseudo-labels by themselves.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn.functional import normalize

from dacl.contrast.density import multiscale_density
from dacl.data.augment import draw_placements
from dacl.data.pool import SlicePool
from dacl.data.prepared import PreparedDataset
from dacl.methods import Batch
from dacl.methods.density_contrast import DensityContrast
from dacl.palette import class_ink
from dacl.training.checkpoint import Trained, load_trained, open_data

BINS = 10


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


class Counts(NamedTuple):
    """Pixels, each (classes, BINS + 1): the deciles of density, sparsest first, and last the anchors."""

    wrong: np.ndarray
    labeled: np.ndarray
    """Of labelled slices."""
    seen: np.ndarray


def slices(trained: Trained, dataset: PreparedDataset, patients: tuple[str, ...]) -> SlicePool:
    """The annotated slices of these patients."""
    cases = [case for case in dataset.cases(patients) if case.has_label]
    image = trained.config.image
    return SlicePool(dataset, cases, image, labels=True, device=torch.device("cpu"))


@torch.no_grad()
def count(trained: Trained, batches: int, data: Path | None, *, mixed: bool) -> Counts:
    """Count over batches that are composed as the run's own, or of validation slices alone."""
    method, config = trained.method, trained.method.config
    dataset = open_data(trained.meta, trained.path, data)
    pools = {"unlabeled": slices(trained, dataset, dataset.split.val)}
    sizes = {"unlabeled": config.optim.batch_unlabeled}
    if mixed:
        pools = {"labeled": slices(trained, dataset, trained.meta.labeled_patients), **pools}
        sizes["labeled"] = config.optim.batch_labeled
    counts = Counts(*np.zeros((3, method.classes - 1, BINS + 1)))
    for number in range(batches):
        parts = []
        for name, pool in pools.items():
            shuffle = torch.Generator().manual_seed(number)
            index = torch.randperm(len(pool), generator=shuffle)[: sizes[name]]
            placement = draw_placements(len(index), "anchor errors", name, number)
            parts.append(pool.patches(index, placement))
        images_BCHW = torch.cat([part.images_BCHW for part in parts])
        truth_BHW = torch.cat([part.labels_BHW for part in parts])
        n_labeled = len(parts[0].images_BCHW) if mixed else 0
        batch = Batch(images_BCHW, truth_BHW[:n_labeled])
        outputs = method.forward_networks(images_BCHW)
        for name in method.network_names:
            features = outputs[name].features
            stride = truth_BHW.shape[-1] // features.shape[-1]
            truth = truth_BHW[:, ::stride, ::stride]
            known = torch.zeros_like(truth, dtype=torch.bool)
            known[:n_labeled] = True
            called = method.reliable(name, outputs, batch, config.optim.steps - 1)
            for n in range(1, method.classes):
                mine = called == n
                if mine.sum() < 2 * BINS:
                    continue
                order = by_density(method.contrast[name], features.movedim(1, -1)[mine], n)
                miss, own = (x[mine][order].numpy() for x in (truth != n, known))
                ends = max(2, int(config.contrast.max_fraction * len(miss)))
                places = [*np.array_split(np.arange(len(miss)), BINS), np.arange(ends)]
                for place, part in enumerate(places):
                    counts.wrong[n - 1, place] += miss[part].sum()
                    counts.labeled[n - 1, place] += own[part].sum()
                    counts.seen[n - 1, place] += len(part)
    return counts


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
        ylabel="wrong, % of the reliable pixels",
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
    parser.add_argument("--unlabeled-only", action="store_true", help="no labelled slices")
    parser.add_argument("--pseudo-label", choices=["partner", "own", "mean"], help="[the run's]")
    parser.add_argument("--phi", type=float, help="[the run's]")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    every = []
    for run in given.runs:
        trained = load(run, given)
        every.append(count(trained, given.batches, given.data, mixed=not given.unlabeled_only))
    names = trained.meta.class_names[1:]
    wrong, labeled, seen = (sum(counts) for counts in zip(*every, strict=True))
    print(
        "| class | pixels a batch | labelled % | wrong % | anchors labelled % | anchors wrong % |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for number, name in enumerate(names):
        pixels = seen[number, :BINS].sum()
        shares = [x[number, :BINS].sum() / max(pixels, 1) for x in (labeled, wrong)]
        shares += [x[number, BINS] / max(seen[number, BINS], 1) for x in (labeled, wrong)]
        a_batch = pixels / (2 * given.batches * len(given.runs))
        print(f"| {name} | {a_batch:.0f} | " + " | ".join(f"{100 * x:.1f}" for x in shares) + " |")
    if given.out:
        shares = [
            np.divide(x.wrong, x.seen, out=np.full_like(x.wrong, np.nan), where=x.seen > 0)
            for x in every
        ]
        draw(given.out, np.stack(shares), names)
        print(f"\nwrote {given.out}")


if __name__ == "__main__":
    main()
