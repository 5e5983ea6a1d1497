"""Does a run fail on dim scans? Dice of every evaluated volume beside the brightness that the intensity rule gave it.

    python examples/dim_scans.py runs/acdc-cps-3labeled-seed0 runs/acdc-dacl-3labeled-seed0 ...

`minmax`, the published rule, maps the brightest voxel of a volume to 1: one bright vessel or artefact, and the heart is
left in the dark. Brightness here is the 99th percentile of the volume as the network sees it; no label enters it. Dice
is the foreground mean of network a, mean over the runs, which must be of one dataset.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from dacl.training.checkpoint import load_trained, open_data


def dice_by_case(run: Path, split: str) -> dict[str, float]:
    """Foreground mean of network a of every case; what is undefined is left out."""
    found: dict[str, list[float]] = {}
    path = run / "evaluation" / f"{split}-best" / "cases.csv"
    if not path.is_file():
        raise SystemExit(f"no {path}: run `dacl evaluate {run} --split {split}` first")
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["network"] == "a" and row["dice"]:
                found.setdefault(row["case"], []).append(float(row["dice"]))
    return {case: float(np.mean(values)) for case, values in found.items()}


def main() -> None:
    """Print the volumes from the dimmest to the brightest, and the rank correlation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", choices=["val", "test"], default="test")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--dim", type=float, default=0.45, help="a dim volume is below [0.45]")
    given = parser.parse_args()
    trained = load_trained(given.runs[0], torch.device("cpu"))
    dataset = open_data(trained.meta, trained.path, given.data)
    runs = [dice_by_case(run, given.split) for run in given.runs]
    cases = [case for case in runs[0] if all(case in run for run in runs)]
    brightness = {case: float(np.percentile(dataset.read_image(case)[0], 99)) for case in cases}
    dice = {case: float(np.mean([run[case] for run in runs])) for case in cases}
    print(f"{dataset.name}, intensity rule {dataset.intensity}, {len(cases)} volumes\n")
    print("| case | 99th percentile | Dice % |")
    print("|---|---:|---:|")
    for case in sorted(cases, key=brightness.__getitem__):
        print(f"| {case} | {brightness[case]:.2f} | {100 * dice[case]:.1f} |")
    print()
    for what, chosen in (
        (f"below {given.dim:g}", [case for case in cases if brightness[case] < given.dim]),
        ("the others", [case for case in cases if brightness[case] >= given.dim]),
    ):
        if chosen:
            average = 100 * np.mean([dice[case] for case in chosen])
            print(f"{what}: {len(chosen)} volumes, mean Dice {average:.1f} %")
    rho = spearmanr([brightness[case] for case in cases], [dice[case] for case in cases]).statistic
    print(
        f"Spearman's rank correlation {rho:+.2f}; mean Dice {100 * np.mean(list(dice.values())):.1f} %"
    )


if __name__ == "__main__":
    main()
