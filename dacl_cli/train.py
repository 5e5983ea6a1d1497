"""`dacl train`: one training run, fresh or resumed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dacl.errors import DaclError
from dacl_cli import console
from dacl_cli.datasets import choose_dataset

if TYPE_CHECKING:
    from dacl.training.loop import Trainer

RUN = "The run"
RECIPE = "The recipe (each overrides preset and --config)"
MACHINE = "The machine"


def train(
    labeled: Annotated[
        int | None,
        typer.Option(
            help="Labelled patients, the first N of the split. [default: 3]", rich_help_panel=RUN
        ),
    ] = None,
    method: Annotated[
        Literal["supervised", "cps", "dacl"] | None,
        typer.Option(help="Training method. [default: dacl]", rich_help_panel=RUN),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared dataset. [default: the only one under data/]", rich_help_panel=RUN
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder. [default: `runs/<dataset>-<method>-<N>labeled-seed<S>`]",
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
            help="Go on with this run folder; its configuration stands.", rich_help_panel=RUN
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a run of the same name.", rich_help_panel=RUN),
    ] = False,
    preset: Annotated[
        Literal["paper", "small"] | None,
        typer.Option(
            help="Recipe to start from. [default: paper on a GPU, else small]",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file laid over the preset.", rich_help_panel=RECIPE)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any value of docs/configuration.md, e.g. contrast.tau=0.2; may be repeated.",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps.", rich_help_panel=RECIPE)
    ] = None,
    batch_labeled: Annotated[
        int | None, typer.Option(min=1, help="Labelled slices a step.", rich_help_panel=RECIPE)
    ] = None,
    batch_unlabeled: Annotated[
        int | None, typer.Option(min=1, help="Unlabelled slices a step.", rich_help_panel=RECIPE)
    ] = None,
    patch_size: Annotated[
        int | None,
        typer.Option(min=32, help="Side of a training patch, pixels.", rich_help_panel=RECIPE),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Initial learning rate.", rich_help_panel=RECIPE)
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"] | None,
        typer.Option(help="Where to compute. [default: auto]", rich_help_panel=MACHINE),
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        typer.Option(help="Networks in bf16 or fp32. [default: auto]", rich_help_panel=MACHINE),
    ] = None,
    compile_: Annotated[
        bool,
        typer.Option(
            "--compile", help="torch.compile the networks (pays on a GPU).", rich_help_panel=MACHINE
        ),
    ] = False,
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

    dacl train --resume runs/acdc-dacl-3labeled-seed0
    """
    flags: dict[str, Any] = {
        "labeled": labeled,
        "method": method,
        "seed": seed,
        "device": device,
        "precision": precision,
        "compile": compile_ or None,
        "optim": {
            "steps": steps,
            "batch_labeled": batch_labeled,
            "batch_unlabeled": batch_unlabeled,
            "lr": lr,
        },
        "image": {"patch_size": patch_size},
        "journal": {"tensorboard": tensorboard or None},
    }
    given = _without_none(flags)
    if resume is not None and (given or set_ or config or preset or out or overwrite):
        raise DaclError(
            "--resume goes on with the run's own configuration and takes no other",
            "leave the other options away, or start a new run with them",
        )
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if resume is None:
        trainer = _fresh(given, preset, config, set_ or [], data, out, overwrite)
    else:
        from dacl.training.loop import Finished, Trainer

        try:
            trainer = Trainer.resume(resume, data)
        except Finished as finished:
            # What was asked for is there: a script that resumes until it succeeds ends.
            if json_:
                console.emit_json({"run_dir": resume, "finished": True})
            else:
                console.say(finished.message)
                console.say(finished.hint)
            return
    _run(trainer, json_, threads)


def _fresh(
    flags: dict[str, Any],
    preset: str | None,
    config_file: Path | None,
    assignments: list[str],
    data: Path | None,
    out: Path | None,
    overwrite: bool,
) -> Trainer:
    from dacl.config import parse_assignments, read_toml, resolve

    from_file = read_toml(config_file) if config_file else {}
    layers = (from_file, parse_assignments(assignments), flags)
    config = resolve(preset or from_file.get("preset") or "small", *layers)
    if preset is None and "preset" not in from_file:
        from dacl.training.device import default_preset, pick_device

        config = resolve(default_preset(pick_device(config.device)), *layers)

    from dacl.data.prepared import PreparedDataset
    from dacl.training.loop import Trainer

    dataset = PreparedDataset.open(choose_dataset(data))
    run_dir = (
        out
        or Path("runs")
        / f"{dataset.name}-{config.method}-{config.labeled}labeled-seed{config.seed}"
    )
    occupied = run_dir.exists() and any(run_dir.iterdir())
    if occupied and not overwrite:
        raise DaclError(
            f"{run_dir} exists already",
            f"go on with `dacl train --resume {run_dir}`, replace it with --overwrite, "
            "or name another --out",
        )
    trainer = Trainer(config, dataset, run_dir)  # the old run goes only once the new one can start
    if occupied:
        _remove_run(run_dir)
    return trainer


def _remove_run(run_dir: Path) -> None:
    """Delete a run, and nothing that is not one."""
    import shutil

    if not (run_dir / "run.json").is_file():
        raise DaclError(
            f"{run_dir} is not the folder of a run; it is not overwritten", "name another --out"
        )
    shutil.rmtree(run_dir)


def _run(trainer: Trainer, as_json: bool, threads: int | None) -> None:
    from dacl_cli.train_view import training_view

    with _stop_on_signal() as should_stop, training_view() as view:
        summary = trainer.run(view, should_stop)
    if as_json:
        console.emit_json(summary._asdict())
    if not summary.finished:
        console.note(f"stopped at step {summary.step}, saved", style="")
        same = f" --threads {threads}" if threads else ""  # other threads, other bits
        line = f"go on with: dacl train --resume {summary.run_dir}{same}"
        if as_json:
            console.note(line, style="")
        else:
            console.say(line)
        raise typer.Exit(130)
    if as_json:
        return
    if summary.best:
        console.say(
            f"best validation Dice {100 * summary.best['dice']:.1f} % at step {summary.best['step']} (network a)"
        )
    console.say(f"curves: {summary.run_dir / 'progress.png'}")
    only = "" if summary.best else " --checkpoint latest"  # nobody validated
    console.say(f"next: dacl evaluate {summary.run_dir}{only}")


@contextmanager
def _stop_on_signal() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C or SIGTERM asks the loop to save and stop; a second one interrupts at once."""
    asked = False

    def handle(number: int, _frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        console.note("stopping after this step; once more to stop at once without saving", style="")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    kept = {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
    return {key: value for key, value in kept.items() if value != {}}
