"""The whole way in Python, without a command: data, two runs, evaluations, what may be said of them, a new scan.

On the built-in synthetic heart, short: it shows the calls, and says nothing about methods. docs/extending.md explains
them, and how to add a method, a network or a reader of data.

    python examples/from_python.py --out runs/from-python
"""

import argparse
from pathlib import Path

from dacl import DaclError, Predictor
from dacl.config import resolve
from dacl.data.prepare import prepare
from dacl.data.prepared import PreparedDataset
from dacl.data.readers.acdc import Acdc
from dacl.data.readers.phantom import write_raw
from dacl.experiments.comparison.compared import compare_sides
from dacl.experiments.comparison.sides import read_sides
from dacl.experiments.evaluation import Request, evaluate
from dacl.experiments.folders import Place
from dacl.training.loop import Trainer

SETTINGS = {
    "labeled": 2,
    "optim": {"steps": 30, "lr": 0.03},
    "image": {"patch_size": 96, "spacing_mm": 2.0},
}


def data(out: Path) -> PreparedDataset:
    """Simulated hearts in ACDC's layout (train, val, test), checked and prepared."""
    write_raw(out / "raw", n_train=4, n_val=1, n_test=2)
    prepare(Acdc(), out / "raw", out / "data")
    return PreparedDataset.open(out / "data")


def trained(out: Path, dataset: PreparedDataset, method: str) -> Path:
    """A run of the method; its folder."""
    config = resolve("small", SETTINGS, {"method": method})
    trainer = Trainer(config, dataset, out / method)
    summary = trainer.run()
    print(f"{method}: {summary.step} steps, best validation {summary.best}")
    return summary.run_dir


def main() -> None:
    """Read the command line, and go the whole way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/from-python"))
    out = parser.parse_args().out
    dataset = data(out)
    runs = [trained(out, dataset, method) for method in ("supervised", "dacl")]
    evaluations = [evaluate(run, Request(pictures=False)) for run in runs]
    for evaluation in evaluations:
        print(evaluation.table.markdown())

    sides = read_sides([evaluation.out for evaluation in evaluations], Place(), "a")
    [difference] = compare_sides(sides, sides[0]).differences
    foreground = difference.rows[-1]
    if foreground.difference is None:
        raise DaclError("no class of any test patient has a Dice", "prepare other patients")
    low, high = foreground.difference.ci95_over_patients
    claim = "claimed" if foreground.claim else "not claimed, from one seed and so few patients"
    print(
        f"dacl - supervised: {foreground.difference.mean:+.3f} [{low:+.3f}, {high:+.3f}], {claim}"
    )

    scan = next((out / "raw").rglob("*_frame01.nii.gz"))
    prediction = Predictor.load(runs[1]).predict(scan)
    prediction.save(out / "masks" / scan.name)
    print(f"mask of {scan.name}: {out / 'masks' / scan.name}")


if __name__ == "__main__":
    main()
