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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dacl.config import Config, merge, parse_assignments, resolve
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.experiments.paired import Difference, paired_difference, patient_dice
from dacl.experiments.tables import comparison_table
from dacl.training.checkpoint import load, open_data, read_meta
from dacl.training.device import default_preset, pick_device


def run(*arguments: object) -> None:
    """Print a `dacl` command, then run it; its failure ends everything with the same exit code."""
    words = [str(argument) for argument in arguments]
    print(f"$ dacl {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "dacl_cli", *words], check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One run: its folder, what it is trained on, and its configuration."""

    out: Path
    data: Path
    options: tuple[str, ...]
    """Of `dacl train`, those that decide the configuration."""
    config: Config
    """What they come to."""
    threads: tuple[str, ...]


def request_of(
    given: argparse.Namespace, out: Path, method: str, labeled: int, seed: int
) -> Request:
    """What `dacl train` would do with these options."""
    who = {"method": method, "labeled": labeled, "seed": seed}
    options = {**who, "steps": given.steps, "preset": given.preset}
    words = [w for name, x in options.items() if x is not None for w in (f"--{name}", str(x))]
    words += [word for assignment in given.set for word in ("--set", assignment)]
    settings = merge(parse_assignments(given.set), who)
    if given.steps is not None:
        settings = merge(settings, {"optim": {"steps": given.steps}})
    device = pick_device(settings.get("device", "auto"))
    return Request(
        out=out,
        data=given.data,
        options=tuple(words),
        config=resolve(given.preset or default_preset(device), settings),
        threads=() if given.threads is None else ("--threads", str(given.threads)),
    )


def settings_of(config: Config) -> dict[str, object]:
    """`{"optim.steps": 1500, ...}`: what decides the numbers, without the machine and the journal."""
    values = config.model_dump(mode="json", exclude={"device", "precision", "compile", "journal"})
    flat: dict[str, object] = {}
    for key, value in values.items():
        inner = value if isinstance(value, dict) else {"": value}
        flat |= {f"{key}.{leaf}".rstrip("."): x for leaf, x in inner.items()}
    return flat


def check_same(request: Request, checkpoint: Path, state: dict[str, Any]) -> None:
    """Refuse a run of other settings or of other data under the name of the one that is asked for."""
    stored = settings_of(resolve(state["config"]["preset"], state["config"]))
    wanted = settings_of(request.config)
    other = [
        f"{key} {stored[key]}, not {wanted[key]}" for key in wanted if stored[key] != wanted[key]
    ]
    if other:
        raise DaclError(
            f"{request.out} is a run of other settings: {'; '.join(other)}",
            "ask for its settings, or name another folder with --runs",
        )
    open_data(read_meta(state), checkpoint, request.data)


def evaluated(request: Request) -> Path:
    """Train and evaluate what is not there yet; the folder of the evaluation.

    Raises:
        DaclError: the folder holds a run of other settings or data.
    """
    out, data = request.out, ("--data", request.data)
    held = [path for which in ("latest", "best") if (path := out / f"{which}.pt").is_file()]
    if not held:
        run("train", *request.options, *data, "--out", out, *request.threads)
    else:
        state = load(held[0])
        check_same(request, held[0], state)
        if state["step"] < request.config.optim.steps:
            run("train", "--resume", out, *data, *request.threads)
    evaluation = out / "evaluation" / "test-best"
    if not is_of(evaluation / "summary.json", out / "best.pt"):
        run("evaluate", out, *data)
    return evaluation


def is_of(summary: Path, checkpoint: Path) -> bool:
    """Whether a finished evaluation judged the checkpoint that lies there now."""
    if not (summary.is_file() and checkpoint.is_file()):
        return False
    judged = json.loads(summary.read_text(encoding="utf-8"))["provenance"]
    now = (checkpoint.name, load(checkpoint)["step"])
    return (judged["checkpoint"], judged["checkpoint_step"]) == now


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
        for seed in given.seeds:
            name = f"{dataset.name}-{method}-{labeled}labeled-seed{seed}"
            found = evaluated(request_of(given, given.runs / name, method, labeled, seed))
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
