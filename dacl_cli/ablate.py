"""`dacl ablate`: a table of parts or of a parameter, over seeds; what is there already is not run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dacl.errors import DaclError
from dacl_cli import ablate_slurm, console, recipe, slurm_options
from dacl_cli.ablate_plan import show_plan, survey
from dacl_cli.ablate_request import check_options, choose_rows, read_seeds
from dacl_cli.datasets import choose_dataset
from dacl_cli.recipe import MACHINE, RUN
from dacl_cli.slurm_options import SlurmOptions, on_a_node
from dacl_cli.stopping import stop_on_signal

if TYPE_CHECKING:
    from dacl.experiments.cell_progress import Outcome
    from dacl.experiments.cells import Cell, Status
    from dacl.experiments.launch import Slots
    from dacl.experiments.measured import RowResult
    from dacl.experiments.sweep_grid import Panel
    from dacl.table import Table

TABLE = "The table"
STOPPING = "stopping: each run saves after its step; once more to stop at once"


def ablate(
    what: Annotated[
        Literal["components", "sweep"],
        typer.Argument(help="Table 2's parts, one added at a time, or Fig. 5's parameters."),
    ] = "components",
    params: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PARAM=v1,v2",
            help="Of a sweep: lambda_CL=0.1,0.5,ramp tau=0.2,0.4. [default: Fig. 5's]",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(help="Only these rows: I,VI. [default: all]", rich_help_panel=TABLE),
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(
            help="The full method and it without each of these: pcl, da, ms, bank, w; "
            "bank+ms removes two at once.",
            rich_help_panel=TABLE,
        ),
    ] = None,
    upper_bound: Annotated[
        bool,
        typer.Option("--upper-bound", help="Fully supervised, as a row.", rich_help_panel=TABLE),
    ] = False,
    seeds: Annotated[str, typer.Option(help="Of every row.", rich_help_panel=TABLE)] = "0,1,2",
    network: Annotated[
        Literal["a", "b", "mean"], typer.Option(help="The network judged.", rich_help_panel=TABLE)
    ] = "a",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Take finished runs of other settings too; the table says so.",
            rich_help_panel=TABLE,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List the cells and the time they will take.", rich_help_panel=TABLE
        ),
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON.", rich_help_panel=TABLE)
    ] = False,
    labeled: recipe.Labeled = None,
    labeled_cases: recipe.LabeledCases = None,
    labeled_order: recipe.LabeledOrder = None,
    data: recipe.Data = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of runs and tables. [default: `runs/<dataset>-ablation-<N>labeled`]",
            rich_help_panel=RUN,
        ),
    ] = None,
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
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Runs at once. [default: one per GPU, else 1; under Slurm as many as it lets]",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads of each run. [default: cores / jobs; under Slurm 4]",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    launcher: slurm_options.Launcher = "local",
    partition: slurm_options.Partition = None,
    account: slurm_options.Account = None,
    qos: slurm_options.Qos = None,
    time: slurm_options.Time = None,
    mem: slurm_options.Mem = None,
    slurm: slurm_options.Extra = None,
    no_wait: slurm_options.NoWait = False,
) -> None:
    """The parts of the method, or a parameter, compared over seeds.

    Every cell is a run folder. The same command goes on where it was interrupted, and on a
    finished table it only prints it.

    dacl ablate

    dacl ablate --without bank,ms

    dacl ablate sweep tau=0.2,0.4,0.8

    dacl ablate --launcher slurm --partition gpu
    """
    from dacl.data.prepared import PreparedDataset
    from dacl.experiments.ablation import check_distinct
    from dacl.experiments.cells import plan
    from dacl.experiments.launch import slots_of
    from dacl.experiments.sweep_grid import panels as sweep_panels

    check_options(what, params, rows, without, upper_bound)
    on_cluster = SlurmOptions(
        partition=partition, account=account, qos=qos, time=time, mem=mem, slurm=slurm,
        no_wait=no_wait,
    )  # fmt: skip
    on_cluster.check(launcher)
    numbers = read_seeds(seeds)
    flags = recipe.layer(
        labeled=labeled, labeled_cases=labeled_cases, labeled_order=labeled_order, dims=dims,
        steps=steps, batch_labeled=batch_labeled, batch_unlabeled=batch_unlabeled,
        patch_size=patch_size, lr=lr, device=device, precision=precision, compile_=compile_,
    )  # fmt: skip
    base = recipe.configuration(flags, preset, config, set_, elsewhere=launcher == "slurm")
    if launcher == "slurm":
        base = on_a_node(base)
    if base.method != "dacl":
        raise DaclError(
            f"an ablation takes the parts of dacl away, and method = {base.method!r} has none",
            "leave the method away; the rows set it",
        )
    if base.seed:
        raise DaclError(
            f"seed = {base.seed} is set, and an ablation runs every row under --seeds {seeds}",
            f"leave it away, or give --seeds {base.seed}",
        )
    dataset = PreparedDataset.open(choose_dataset(data))
    dataset.labeled(base.labeled, order=base.labeled_order, cases=base.labeled_cases)
    panels = sweep_panels(params or [], base) if what == "sweep" else ()
    chosen = [row for panel in panels for row in panel.rows] or choose_rows(
        base, rows, without, upper_bound
    )
    once = list({row.key: row for row in chosen}.values())  # every panel has the full method
    check_distinct(once, base, patients=len(dataset.split.train))
    three_d = "-3d" if base.image.dims == 3 else ""
    folder = out or Path("runs") / f"{dataset.name}-ablation{three_d}-{base.labeled}labeled"
    cells = plan(once, numbers, base, dataset, folder)
    found = survey(cells, force)
    if launcher == "slurm":
        request = on_cluster.request(base, jobs, threads)
        if dry_run:
            ablate_slurm.show_plan(found, folder, request, json_)
            return
        outcome = ablate_slurm.run(found, folder, request, wait=not no_wait)
    else:
        slots = slots_of(base.device, jobs, threads)
        if dry_run:
            show_plan(found, dataset, slots, folder, json_)
            return
        outcome = _run(found, folder, slots)
    stem = what if without is None else "without"
    _conclude(cells, outcome, panels, folder, stem, network, force, json_, left=no_wait)


def _run(found: Sequence[tuple[Cell, Status]], folder: Path, slots: Slots) -> Outcome:
    from dacl.experiments.cell_progress import Outcome
    from dacl.experiments.launch import launch
    from dacl_cli.ablate_view import cells_view

    todo = [cell for cell, status in found if status.state != "done"]
    if not todo:
        return Outcome(failed={}, unfinished={})
    console.note(
        f"{len(todo)} of {len(found)} cells to run, {slots.jobs} at once -> {folder}", style=""
    )
    with stop_on_signal(STOPPING) as should_stop, cells_view(found) as view:
        return launch(todo, folder, slots=slots, listener=view, should_stop=should_stop)


def _conclude(
    cells: Sequence[Cell],
    outcome: Outcome,
    panels: Sequence[Panel],
    folder: Path,
    stem: str,
    network: str,
    force: bool,
    as_json: bool,
    *,
    left: bool,
) -> None:
    """Write and print what is there, then what failed; the exit code says whether all of it is there."""
    from dacl.experiments.cell_commands import log_path
    from dacl.experiments.cells import row_results
    from dacl_cli.ablate_view import compact

    results = row_results(cells, outcome.missing, network)
    report: dict[str, Any] = {}
    files: tuple[Path, ...] = ()
    if any(result.runs for result in results.values()):
        report, files, table = _written(results, panels, folder, stem, network, force)
        if not as_json:
            columns, lines = compact(table)
            console.table(columns, lines, title=table.title, right=columns[2:])
            for note in table.notes:
                console.say(note, style="dim")
    if as_json:
        console.emit_json(
            {**report, "files": files, "failed": outcome.failed, "unfinished": outcome.unfinished,
             "queued": outcome.queued}
        )  # fmt: skip
    else:
        for file in files:
            console.say(str(file))
    logs = {cell.name: log_path(folder, cell) for cell in cells}
    for name, why in outcome.failed.items():
        log = f" (log: {logs[name]})" if logs[name].exists() else ""
        console.note(f"{name} failed: {why}{log}", style="red")
    if outcome.queued:
        ablate_slurm.tell_left(outcome, folder)
    if outcome.unfinished:
        console.note("stopped; the same command goes on", style="")
    if outcome.unfinished or (outcome.queued and not left):
        raise typer.Exit(130)
    if outcome.failed:
        raise typer.Exit(1)


def _written(
    results: Mapping[str, RowResult],
    panels: Sequence[Panel],
    folder: Path,
    stem: str,
    network: str,
    force: bool,
) -> tuple[dict[str, Any], tuple[Path, ...], Table]:
    """The table as data, as files and as text."""
    if panels:
        from dacl.experiments.sweep import sweep_table, write_sweep

        swept = sweep_table(panels, results, network=network, force=force)
        return swept.json, write_sweep(folder, swept), swept.table
    from dacl.experiments.ablation_table import ablation_table, write_ablation

    found = ablation_table(list(results.values()), network=network, force=force)
    return found.json(), write_ablation(folder, stem, found), found.table
