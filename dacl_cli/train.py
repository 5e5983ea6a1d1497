"""`dacl train`: one training run, fresh or resumed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dacl.errors import DaclError
from dacl_cli import console, recipe
from dacl_cli.datasets import choose_dataset
from dacl_cli.recipe import MACHINE, RUN
from dacl_cli.stopping import stop_on_signal

if TYPE_CHECKING:
    from dacl.config import Config
    from dacl.data.prepared import PreparedDataset
    from dacl.ranks import Ranks
    from dacl.training.loop import Trainer
    from dacl.training.report import RunSummary

STOPPING = "stopping after this step; once more to stop at once without saving"
TORCHRUN = "torchrun ... -m dacl_cli"


def train(
    labeled: recipe.Labeled = None,
    labeled_cases: recipe.LabeledCases = None,
    labeled_order: recipe.LabeledOrder = None,
    method: Annotated[
        Literal["supervised", "cps", "dacl"] | None,
        typer.Option(help="Training method. [default: dacl]", rich_help_panel=RUN),
    ] = None,
    data: recipe.Data = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder. [default: `runs/<dataset>-<method>[-3d]-<N>labeled-seed<S>`]",
            rich_help_panel=RUN,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of everything random. [default: 0]", rich_help_panel=RUN),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Go on with this run folder. Its configuration stands, but for what the machine does: "
            "--device, --precision, --compile, --set cuda_graph.",
            rich_help_panel=RUN,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a run of the same name.", rich_help_panel=RUN),
    ] = False,
    preset: recipe.Preset = None,
    config: recipe.File = None,
    set_: recipe.Assignments = None,
    dims: recipe.Dims = None,
    steps: recipe.Steps = None,
    batch_labeled: recipe.BatchLabeled = None,
    batch_unlabeled: recipe.BatchUnlabeled = None,
    patch_size: recipe.PatchSize = None,
    lr: recipe.Lr = None,
    device: recipe.Device = None,
    precision: recipe.Precision = None,
    compile_: recipe.Compile = False,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads. [default: all cores]", rich_help_panel=MACHINE),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard", help="Write TensorBoard events too.", rich_help_panel=MACHINE
        ),
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON.", rich_help_panel=MACHINE)
    ] = False,
) -> None:
    """Train on few labelled and many unlabelled scans.

    dacl train --labeled 3

    dacl train --labeled 4 --dims 3

    dacl train --resume runs/acdc-dacl-3labeled-seed0

    torchrun --nproc-per-node 4 -m dacl_cli train --labeled 3
    """
    given = recipe.layer(
        labeled=labeled, labeled_cases=labeled_cases, labeled_order=labeled_order, dims=dims,
        method=method, seed=seed, steps=steps, batch_labeled=batch_labeled,
        batch_unlabeled=batch_unlabeled, patch_size=patch_size, lr=lr, device=device,
        precision=precision, compile_=compile_, journal={"tensorboard": tensorboard or None},
    )  # fmt: skip
    machine = recipe.of_machine(given, set_)
    if resume is not None and (machine is None or config or preset or out or overwrite):
        raise DaclError(
            "--resume goes on with the run's own configuration, but for --device, --precision, --compile and "
            "--set cuda_graph=...",
            "leave the other options away, or start a new run with them",
        )
    from dacl.training.device import cpu_threads, keep_freed_memory
    from dacl.training.distributed import SaidByFirst, joined
    from dacl.training.loop import Finished, Trainer

    try:
        with cpu_threads(threads), joined() as ranks:
            if resume is None:
                resolved = recipe.configuration(given, preset, config, set_)
                trainer = _fresh(resolved, data, out, overwrite, ranks)
            else:
                trainer = Trainer.resume(resume, data, ranks, machine)
            if trainer.device.type == "cpu":
                keep_freed_memory()
            summary = _run(trainer, shown=ranks.rank == 0)
            if ranks.rank == 0:
                _tell(summary, json_, threads, program="dacl" if ranks.world == 1 else TORCHRUN)
    except SaidByFirst as error:
        raise typer.Exit(0 if isinstance(error.__cause__, Finished) else 1) from error
    except Finished as finished:
        # What was asked for is there: a script that resumes until it succeeds ends.
        if json_:
            console.emit_json({"run_dir": resume, "finished": True})
        else:
            console.say(finished.message)
            console.say(finished.hint)
        return
    if not summary.finished:
        raise typer.Exit(130)


def _fresh(
    config: Config, data: Path | None, out: Path | None, overwrite: bool, ranks: Ranks
) -> Trainer:
    from dacl.data.prepared import PreparedDataset
    from dacl.training.distributed import on_first
    from dacl.training.loop import Trainer

    dataset = PreparedDataset.open(choose_dataset(data))
    three_d = "-3d" if config.image.dims == 3 else ""
    run_dir = (
        out
        or Path("runs")
        / f"{dataset.name}-{config.method}{three_d}-{config.labeled}labeled-seed{config.seed}"
    )
    if not overwrite:
        on_first(ranks, lambda: _require_free(run_dir, dataset))
    trainer = Trainer(config, dataset, run_dir, ranks)
    if overwrite:
        on_first(ranks, lambda: _remove_run(run_dir))  # only now that the new one can start
    return trainer


def _occupied(run_dir: Path) -> bool:
    return run_dir.exists() and any(not path.name.startswith(".") for path in run_dir.iterdir())


def _require_free(run_dir: Path, dataset: PreparedDataset) -> None:
    if not _occupied(run_dir):
        return
    other = _other_data(run_dir, dataset)
    if other:
        raise DaclError(
            f"{run_dir} exists already, trained on other data: {other}",
            "name another --out, or replace it with --overwrite",
        )
    raise DaclError(
        f"{run_dir} exists already",
        f"go on with `dacl train --resume {shlex.quote(str(run_dir))}`, replace it with --overwrite, "
        "or name another --out",
    )


def _other_data(run_dir: Path, dataset: PreparedDataset) -> str:
    """The data or split of a run where it is not this one, which its name need not show; else, or unread, empty."""
    try:
        then = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["data"]
        if (then["dataset_fingerprint"], then["split_hash"]) == (
            dataset.fingerprint,
            dataset.split.hash,
        ):
            return ""
        was = f"{then['dataset_name']}, split {then['split_name']} ({then['split_hash'][:12]})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    split = dataset.split
    return f"{was}; {dataset.root} is {dataset.name}, split {split.name} ({split.hash[:12]})"


def _remove_run(run_dir: Path) -> None:
    """Delete a run if there is one, and nothing that is not one."""
    import shutil

    from dacl.training.folder import sole_writer

    if not _occupied(run_dir):
        return
    if not (run_dir / "run.json").is_file():
        raise DaclError(
            f"{run_dir} is not the folder of a run; it is not overwritten", "name another --out"
        )
    aside = run_dir.with_name(f".{run_dir.name}.overwritten")
    shutil.rmtree(aside, ignore_errors=True)
    with sole_writer(run_dir):
        run_dir.rename(aside)
    shutil.rmtree(aside)  # not while the lock is open: on NFS its file would stay


def _run(trainer: Trainer, *, shown: bool) -> RunSummary:
    """Train; `shown` on one of several ranks alone."""
    from dacl_cli.train_view import training_view

    try:
        with stop_on_signal(STOPPING if shown else "") as should_stop, training_view(shown) as view:
            return trainer.run(view, should_stop)
    except KeyboardInterrupt:
        if shown and any((trainer.run_dir / name).is_file() for name in ("latest.pt", "best.pt")):
            again = f"dacl train --resume {shlex.quote(str(trainer.run_dir))}"
            console.note(f"what the last checkpoint holds is kept: {again}", style="")
        raise


def _tell(summary: RunSummary, as_json: bool, threads: int | None, program: str) -> None:
    """How the run ended, and what comes next."""
    if as_json:
        console.emit_json(summary._asdict())
    if not summary.finished:
        console.note(f"stopped at step {summary.step}, saved", style="")
        same = f" --threads {threads}" if threads else ""  # other threads, other bits
        line = f"go on with: {program} train --resume {shlex.quote(str(summary.run_dir))}{same}"
        if as_json:
            console.note(line, style="")
        else:
            console.say(line)
        return
    if as_json:
        return
    if summary.best:
        console.say(
            f"best validation Dice {100 * summary.best['dice']:.1f} % at step {summary.best['step']} (network a)"
        )
    console.say(f"curves: {summary.run_dir / 'progress.png'}")
    only = "" if summary.best else " --checkpoint latest"  # nobody validated
    console.say(f"next: dacl evaluate {shlex.quote(str(summary.run_dir))}{only}")
