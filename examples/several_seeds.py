"""Several methods over several seeds on one prepared dataset: runs, evaluations, one table, paired differences.

A finished run is not trained again and an interrupted one goes on, so the same command may be started over.

    python examples/several_seeds.py --data data/acdc --labeled 3 --steps 1500 --out results/acdc
"""

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from dacl.data.prepared import PreparedDataset
from dacl.experiments.paired import Difference, paired_difference, patient_dice
from dacl.experiments.tables import comparison_table
from dacl.training.checkpoint import load


def run(*arguments: object) -> None:
    """Print a `dacl` command, then run it."""
    words = [str(argument) for argument in arguments]
    print(f"$ dacl {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "dacl_cli", *words], check=True)


def evaluated(
    out: Path, method: str, labeled: int, seed: int, data: Path, training: list[str]
) -> Path:
    """Train and evaluate what is not there yet; the folder of the evaluation."""
    latest = out / "latest.pt"
    if not latest.is_file():
        who = ("--method", method, "--labeled", labeled, "--seed", seed)
        run("train", *who, "--data", data, "--out", out, *training)
    else:
        state = load(latest)
        if state["step"] < state["config"]["optim"]["steps"]:
            run("train", "--resume", out, "--data", data)
    evaluation = out / "evaluation" / "test-best"
    if not (evaluation / "summary.json").is_file():
        run("evaluate", out, "--data", data)
    return evaluation


def sentence(first: str, second: str, difference: Difference) -> str:
    """One line: the difference and its two spreads, in points of Dice."""
    low, high = (100 * bound for bound in difference.ci95_over_patients)
    spread = difference.std_over_seeds
    seeds = ", ".join(f"{100 * gain:+.2f}" for gain in difference.by_seed)
    return (
        f"- {first} minus {second}: {100 * difference.mean:+.2f} points of Dice; 95 % interval over patients "
        f"[{low:+.2f}, {high:+.2f}]; "
        + (
            f"standard deviation over seeds {100 * spread:.2f}; "
            if spread is not None
            else "one seed; "
        )
        + f"by seed {seeds}; better for {difference.better_patients} of {difference.patients} patients"
    )


def main() -> None:
    """Read the command line, run, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labeled", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["supervised", "cps", "dacl"])
    parser.add_argument(
        "--upper-bound", action="store_true", help="supervised with every label too"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--preset")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the runs are")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the table and the numbers"
    )
    given = parser.parse_args()
    dataset = PreparedDataset.open(given.data)
    training = [
        word
        for name in ("steps", "preset")
        if (value := getattr(given, name)) is not None
        for word in (f"--{name}", str(value))
    ]

    rows = [(method, given.labeled) for method in given.methods]
    if given.upper_bound:
        rows.append(("supervised", len(dataset.split.train)))
    summaries, dice = [], {}
    for method, labeled in rows:
        for seed in given.seeds:
            name = f"{dataset.name}-{method}-{labeled}labeled-seed{seed}"
            found = evaluated(given.runs / name, method, labeled, seed, given.data, training)
            summaries.append(json.loads((found / "summary.json").read_text(encoding="utf-8")))
            dice.setdefault(f"{method}, {labeled} labelled", []).append(
                patient_dice(found / "cases.csv")
            )
            kept = given.out / name
            kept.mkdir(parents=True, exist_ok=True)
            for file in ("summary.json", "cases.csv", "table.md"):
                shutil.copyfile(found / file, kept / file)

    names = list(dice)
    pairs = [(b, a) for i, a in enumerate(names) for b in names[i + 1 :]]
    differences = {pair: paired_difference(dice[pair[0]], dice[pair[1]]) for pair in pairs}
    text = comparison_table(summaries, axis="training").markdown() + "\n"
    text += "Paired differences, network a:\n\n"
    text += "".join(sentence(*pair, difference) + "\n" for pair, difference in differences.items())
    command = " ".join(["python", "examples/several_seeds.py", *sys.argv[1:]])
    text += f"\nWritten by `{command}`.\n"
    (given.out / "table.md").write_text(text, encoding="utf-8")
    (given.out / "differences.json").write_text(
        json.dumps(
            {f"{a} minus {b}": asdict(found) for (a, b), found in differences.items()}, indent=1
        )
        + "\n",
        encoding="utf-8",
    )
    print(f"\n{text}")


if __name__ == "__main__":
    main()
