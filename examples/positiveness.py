"""What each reading of w_i in Eq. 10 does to the pull on each anchor: the figure and the table of docs/positiveness.md.

    python examples/positiveness.py --out docs/images/positiveness.png

One class with the paper's numbers: 256 anchors around a centre and 512 negatives around three others, D = 64,
tau = 0.4, tau_w = 0.4 or, where Eq. 9 is taken as printed, 1. The pull on an anchor is -dL/du_i, the derivative of the
loss by its cosine u_i to the centre. Its share is given in units of the mean pull without w: 1 is what an anchor gets
when all are pulled alike.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn.functional import normalize

from dacl.contrast.loss import anchor_losses, contrastive_loss, log_negative_mass
from dacl.contrast.positiveness import log_positiveness

ANCHORS, NEGATIVES, WIDTH, TAU = 256, 512, 64, 0.4
# Okabe and Ito's colours, as everywhere in dacl, and a line style each for print.
STYLES = {
    "none": ("w = 1 (row V)", "black", "-", TAU),
    "outside": ("outside, detached (default)", "#0072B2", "-", TAU),
    "inside_detached": ("inside, detached (as printed)", "#E69F00", ":", 1.0),
    "inside_attached": ("inside, with gradient (as printed)", "#D55E00", "--", 1.0),
    "inside_attached_sharp": ("the same at tau_w = tau", "#D55E00", "-.", TAU),
    "inside_denominator": ("inside and in the denominator", "#009E73", "--", TAU),
    "claim1": ("Claim 1's loss, tau_w = tau", "#CC79A7", "-", TAU),
    "claim1_sharp": ("Claim 1's loss, tau_w = tau / 2", "#CC79A7", "--", TAU / 2),
}


def cosines_and_mass(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines of the anchors to their centre, nearest first, and log Z of each."""
    draw = torch.Generator().manual_seed(seed)
    centres = normalize(torch.randn(4, WIDTH, generator=draw), dim=1)
    spread = torch.rand(ANCHORS, 1, generator=draw) * 0.25 + 0.05  # a fringe, not a shell
    noise = torch.randn(ANCHORS, WIDTH, generator=draw)
    anchors = normalize(centres[0] + spread * noise, dim=1)
    others = centres[1 + torch.arange(NEGATIVES) % 3]
    noise = torch.randn(NEGATIVES, WIDTH, generator=draw)
    negatives = normalize(others + 0.15 * noise, dim=1)
    cosine, order = (anchors @ centres[0]).sort(descending=True)
    exist = torch.ones(1, NEGATIVES, dtype=torch.bool)
    return cosine[None], log_negative_mass(anchors[None, order], negatives[None], exist, TAU)


def pull(
    reading: str, tau_w: float, cosine: torch.Tensor, mass: torch.Tensor, *, decoupled: bool
) -> np.ndarray:
    """-dL/du_i, (ANCHORS,)."""
    cosine = cosine.clone().requires_grad_()
    valid = torch.ones_like(cosine, dtype=torch.bool)
    log_w = log_positiveness(cosine, valid, tau_w)
    if reading == "inside_detached":
        reading, log_w = "inside_attached", log_w.detach()
    losses, weights = anchor_losses(
        cosine / TAU, mass, log_w, valid, reading.removesuffix("_sharp"), decoupled=decoupled
    )
    contrastive_loss(losses, weights, torch.ones(1, dtype=torch.bool)).backward()
    return -cosine.grad[0].numpy()


def draw(path: Path, cosine: np.ndarray, pulls: dict[bool, dict[str, np.ndarray]]) -> None:
    """Pull against cosine, with the positive in the denominator and without."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    titles = {False: "positive in the denominator (default)", True: "decoupled, as printed"}
    for axis, (decoupled, by_reading) in zip(axes, pulls.items(), strict=True):
        for reading, values in by_reading.items():
            label, colour, style, _ = STYLES[reading]
            wide = 4 if reading == "inside_detached" else 1.6  # it lies exactly on w = 1
            axis.plot(cosine, values, style, color=colour, label=label, linewidth=wide)
        axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axis.set(title=titles[decoupled], xlabel="cosine of the anchor to its centre, u")
    axes[0].set_ylabel("gradient share of the anchor (1: all alike)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Draw the picture and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("positiveness.png"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    cosine, mass = cosines_and_mass(given.seed)
    pulls = {
        decoupled: {
            reading: pull(reading, tau_w, cosine, mass, decoupled=decoupled)
            for reading, (_, _, _, tau_w) in STYLES.items()
        }
        for decoupled in (False, True)
    }
    for by_reading in pulls.values():
        alike = by_reading["none"].mean()
        for reading in by_reading:
            by_reading[reading] = by_reading[reading] / alike
    draw(given.out, cosine[0].numpy(), pulls)

    w = log_positiveness(cosine, torch.ones_like(cosine, dtype=torch.bool), TAU).exp()
    print(
        f"cosines {cosine.min():.2f} to {cosine.max():.2f}; w from {w.min():.2f} to {w.max():.2f}\n"
    )
    print(
        "| reading | mean share | of the nearest tenth | of the farthest tenth | nearer half of all |"
    )
    print("|---|---:|---:|---:|---:|")
    tenth = ANCHORS // 10
    for reading, values in pulls[False].items():
        size = np.abs(values)
        share = size[: ANCHORS // 2].sum() / size.sum() if size.max() > 1e-5 else np.nan
        cells = (values.mean(), values[:tenth].mean(), values[-tenth:].mean())
        numbers = " | ".join(f"{x + 0.0:.2f}" for x in np.round(cells, 2))
        print(
            f"| {STYLES[reading][0]} | {numbers} | {'-' if np.isnan(share) else f'{share:.2f}'} |"
        )
    print(f"\nwrote {given.out}")


if __name__ == "__main__":
    main()
