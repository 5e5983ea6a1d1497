"""Several methods over several seeds on one prepared dataset: runs, evaluations, one table, paired differences.

A finished run is not trained again and an interrupted one goes on, so the same command may be started over. A run of
other settings that lies under the same name is refused, and an evaluation of an earlier checkpoint is made anew.

    python examples/several_seeds.py --data data/acdc --labeled 3 --steps 1500 --out results/acdc
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from dacl.config import merge, resolve
from dacl.config_text import parse_assignments
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.experiments.ablation import Row
from dacl.experiments.case_scores import read_scores
from dacl.experiments.cells import Cell, look
from dacl.experiments.claims import left_out_line, points
from dacl.experiments.paired import Difference, difference_of_runs
from dacl.experiments.tables import comparison_table
from dacl.training.device import default_preset, pick_device


def run(*arguments: object) -> None:
    """Print a `dacl` command, then run it; its failure ends everything with the same exit code."""
    words = [str(argument) for argument in arguments]
    print(f"$ dacl {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "dacl_cli", *words], check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)


def cell_of(given: argparse.Namespace, out: Path, row: Row, seed: int) -> Cell:
    """What `dacl train` would do with these options."""
    settings = merge(parse_assignments(given.set), {**row.settings, "seed": seed})
    if given.steps is not None:
        settings = merge(settings, {"optim": {"steps": given.steps}})
    preset = given.preset or default_preset(pick_device(settings.get("device", "auto")))
    config = resolve(preset, settings)
    return Cell(row=row, seed=seed, config=config, run_dir=out, data=given.data)


def evaluated(given: argparse.Namespace, cell: Cell) -> Path:
    """Train and evaluate what is not there yet; the folder of the evaluation.

    Raises:
        DaclError: the folder holds a run of other settings or data, or a damaged one.
    """
    data = ("--data", cell.data)
    threads = () if given.threads is None else ("--threads", given.threads)
    status = look(cell)
    if status.state == "damaged":
        raise DaclError(status.why, f"move {cell.run_dir} away to train it again")
    if status.state == "interrupted":
        run("train", "--resume", cell.run_dir, *data, *threads)
    elif status.state == "not run":
        who = {**cell.row.settings, "seed": cell.seed, "steps": given.steps, "preset": given.preset}
        words = [w for name, x in who.items() if x is not None for w in (f"--{name}", x)]
        words += [word for assignment in given.set for word in ("--set", assignment)]
        again = ("--overwrite",) if status.leftover else ()
        run("train", *words, *data, "--out", cell.run_dir, *again, *threads)
    if status.state != "done":
        run("evaluate", cell.run_dir, *data)
    return cell.evaluation


def nearby(word: str) -> str:
    """A path, or `--option=path`, relative to the current folder: results say nothing of the machine's folders."""
    before, equals, path = word.rpartition("=")
    return f"{before}{equals}{os.path.relpath(path)}" if Path(path).is_absolute() else word


def folder(word: str) -> Path:
    """A folder of the command line."""
    return Path(nearby(word))


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


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=folder, required=True)
    parser.add_argument("--labeled", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["supervised", "cps", "dacl"])
    parser.add_argument(
        "--upper-bound", action="store_true", help="supervised with every label too"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--preset")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--threads", type=int, help="CPU threads of the trainings")
    parser.add_argument("--runs", type=folder, default=Path("runs"), help="where the runs are")
    parser.add_argument(
        "--out", type=folder, required=True, help="folder for the table and the numbers"
    )
    return parser.parse_args()


def compare(given: argparse.Namespace) -> None:
    """Run what is missing, and write what was found."""
    dataset = PreparedDataset.open(given.data)

    rows = [(method, given.labeled) for method in given.methods]
    if given.upper_bound:
        rows.append(("supervised", len(dataset.split.train)))
    summaries, dice = [], {}
    for method, labeled in rows:
        row = Row(
            key=method,
            title=f"{method}, {labeled} labelled",
            settings={"method": method, "labeled": labeled},
        )
        for seed in given.seeds:
            name = f"{dataset.name}-{method}-{labeled}labeled-seed{seed}"
            found = evaluated(given, cell_of(given, given.runs / name, row, seed))
            summaries.append(json.loads((found / "summary.json").read_text(encoding="utf-8")))
            dice.setdefault(row.title, []).append(read_scores(found / "cases.csv"))
            kept = given.out / name
            kept.mkdir(parents=True, exist_ok=True)
            for file in ("summary.json", "cases.csv", "table.md"):
                shutil.copyfile(found / file, kept / file)

    names = list(dice)
    pairs = [(b, a) for i, a in enumerate(names) for b in names[i + 1 :]]
    differences, cells = {}, {}
    for pair in pairs:
        differences[pair], cells[pair] = difference_of_runs(*(dice[name] for name in pair))
        if differences[pair] is None:
            raise DaclError(
                f"no patient has a Dice in every run of {' and '.join(pair)}",
                "see the cases of the evaluations: without foreground in reference and prediction there is none",
            )
    text = comparison_table(summaries, axis="training").markdown() + "\n"
    text += "Paired differences, network a:\n\n"
    for pair, difference in differences.items():
        text += sentence(*pair, difference) + "\n"
        left = cells[pair]
        if left.undefined:
            who = " minus ".join(pair)
            text += f"  - {left_out_line(who, left.undefined, left.contested, difference.charged, points)}\n"
    command = shlex.join(["python", "examples/several_seeds.py", *map(nearby, sys.argv[1:])])
    text += f"\nWritten by `{command}`.\n"
    (given.out / "table.md").write_text(text, encoding="utf-8")
    (given.out / "differences.json").write_text(
        json.dumps(
            {
                f"{a} minus {b}": {**asdict(found), "std_over_seeds": found.std_over_seeds}
                for (a, b), found in differences.items()
            },
            indent=1,
        )
        + "\n",
        encoding="utf-8",
    )
    print(f"\n{text}")


def main() -> None:
    """Read the command line and compare."""
    try:
        compare(arguments())
    except DaclError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
