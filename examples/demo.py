"""The whole path on the built-in synthetic heart: raw volumes, training, evaluation, a table.

Two runs of the same length, one that sees the labelled patients only and one that learns from the
unlabelled ones too. Each command is printed before it runs, so that you can type it yourself.
What it shows is that everything works; a synthetic heart and a short run say little about methods.

    make demo        or        python examples/demo.py
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from dacl.experiments.tables import comparison_table

LABELED = 3
METHODS = ("supervised", "dacl")
# Both runs get the same: the preset for a CPU, coarser and faster, cut to what two cores do in the time a demo has.
TRAINING = {
    "preset": "small",
    "steps": 500,
    "lr": 0.03,
    "patch_size": 96,
    "set": "image.spacing_mm=2.0",
}


def run(*arguments: object) -> None:
    """Print a `dacl` command, then run it; its failure ends the demo with the same exit code."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ dacl {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "dacl_cli", *words], check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)


def options(training: dict[str, object]) -> list[str]:
    """`{"batch_labeled": 4}` -> `["--batch-labeled", "4"]`."""
    return [
        word
        for name, value in training.items()
        for word in ("--" + name.replace("_", "-"), str(value))
    ]


def demo(folder: Path, patients: tuple[int, int, int] | None, training: dict[str, object]) -> None:
    """Run everything under `folder`; replaces an earlier demo there."""
    start = time.monotonic()
    raw, data = folder / "raw", folder / "data"
    chosen = () if patients is None else ("--patients", *patients)
    run("preprocess", "phantom", "--raw-only", "--raw", raw, *chosen)
    run("preprocess", "acdc", raw, data)

    summaries, pictures = [], []
    for method in METHODS:
        out = folder / method
        where = ("--data", data, "--out", out, "--overwrite")
        run("train", "--labeled", LABELED, "--method", method, *options(training), *where)
        run("evaluate", out)
        found = out / "evaluation" / "test-best"
        summaries.append(json.loads((found / "summary.json").read_text(encoding="utf-8")))
        pictures += [out / "progress.png", *sorted(found.glob("*.png"))]

    print(f"\n{comparison_table(summaries).markdown()}")
    print(
        "A few hundred steps on made images show that the path works, not which method is better."
    )
    print("Pictures:")
    for picture in pictures:
        print(f"  {picture}")
    print(f"Done in {time.monotonic() - start:.0f} s.")


def main() -> None:
    """Read the command line and run the demo."""
    parser = argparse.ArgumentParser(description="Run the whole path on a synthetic dataset.")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="default: runs/demo")
    parser.add_argument("--patients", type=int, nargs=3, metavar=("TRAIN", "VAL", "TEST"))
    parser.add_argument("--steps", type=int, help=f"default: {TRAINING['steps']}")
    given = parser.parse_args()
    training = dict(TRAINING)
    if given.steps is not None:
        training["steps"] = given.steps
    demo(given.out, tuple(given.patients) if given.patients else None, training)


if __name__ == "__main__":
    main()
