"""`dacl compare`: what runs are worth against each other, patient by patient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dacl.errors import DaclError
from dacl_cli import console, options
from dacl_cli.datasets import names_in
from dacl_cli.options import WRITTEN
from dacl_cli.outputs import writable

if TYPE_CHECKING:
    from dacl.experiments.comparison.compared import Compared

COMPARED = "What is compared"
PICTURE = "The picture of cases"


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders of runs, or of evaluations.", show_default=False
        ),
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            help="Side that the others are held against: its label, or one of its runs. "
            "[default: that of the first run]",
            rich_help_panel=COMPARED,
        ),
    ] = None,
    metric: Annotated[
        Literal["dice", "jc", "asd_vox", "assd_vox", "hd95_vox", "asd_mm", "assd_mm", "hd95_mm"],
        typer.Option(help="Metric compared.", rich_help_panel=COMPARED),
    ] = "dice",
    network: Annotated[
        Literal["a", "b", "mean"],
        typer.Option(help="The network judged.", rich_help_panel=COMPARED),
    ] = "a",
    split: Annotated[
        Literal["val", "test"],
        typer.Option(help="Evaluation read: of these cases.", rich_help_panel=COMPARED),
    ] = "test",
    checkpoint: Annotated[
        Literal["best", "latest"],
        typer.Option(help="Evaluation read: of this checkpoint.", rich_help_panel=COMPARED),
    ] = "best",
    post: Annotated[
        Literal["none", "largest-component"],
        typer.Option(help="Evaluation read: with this post-processing.", rich_help_panel=COMPARED),
    ] = "none",
    convention: Annotated[
        Literal["strict", "ssl4mis", "mcnet", "dhc", "transunet"],
        typer.Option(
            help="Evaluation read: by this rule for empty masks.", rich_help_panel=COMPARED
        ),
    ] = "strict",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Compare although protocols or seeds differ; every line says so.",
            rich_help_panel=COMPARED,
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder. [default: `comparison` beside the first run]", rich_help_panel=WRITTEN
        ),
    ] = None,
    json_: options.Json = False,
    figure: Annotated[
        bool,
        typer.Option(
            "--figure/--no-figure",
            help="Draw truth and every run, as in the paper's Fig. 3 and 4.",
            rich_help_panel=PICTURE,
        ),
    ] = False,
    cases: Annotated[
        str | None,
        typer.Option(
            help="Cases to draw: patient003_frame01,patient010_frame13. "
            "[default: median, worst, most different]",
            rich_help_panel=PICTURE,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared dataset. [default: the one they were trained on]",
            rich_help_panel=PICTURE,
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        typer.Option(help="Where to predict.", rich_help_panel=PICTURE),
    ] = "auto",
) -> None:
    """Paired differences per class with intervals and p values, wins and losses, the cases that moved most.

    Several seeds of one configuration are one side. Runs of different protocol are refused.

    dacl compare runs/acdc-cps-3labeled-seed* runs/acdc-dacl-3labeled-seed*
    """
    from dacl.experiments.comparison.compared import compare_sides
    from dacl.experiments.comparison.files import comparison_json, write_comparison
    from dacl.experiments.comparison.sides import choose_reference, read_sides
    from dacl.experiments.folders import Place

    if cases is not None and not figure:
        raise DaclError("--cases chooses what --figure draws", "add --figure, or drop --cases")
    place = Place(split=split, checkpoint=checkpoint, post=post, convention=convention)
    sides = read_sides(runs, place, network)
    compared = compare_sides(
        sides, choose_reference(sides, reference), metric=metric, network=network, force=force
    )
    folder = writable(out or beside(runs[0]), folder=True)
    drawn: list[Path] = []
    skipped: list[str] = []
    if figure:  # first, since it can fail: a misspelt case leaves nothing behind
        from dacl.experiments.comparison.cases import draw_cases

        chosen = names_in(cases) if cases else None
        with console.progress("drawing cases") as report:
            drawn, note = draw_cases(
                compared, cases=chosen, out=folder, data=data, device=device, report=report
            )
        skipped += [note] if note else []
    files = [*write_comparison(compared, folder), *drawn]
    if json_:
        result = {**comparison_json(compared), "out": folder, "files": files, "skipped": skipped}
        console.emit_json(result)
    else:
        _show(compared, files)
        for line in skipped:
            console.note(line, style="yellow")


def beside(run: Path) -> Path:
    """`comparison` in the folder that holds the run, or the run of this evaluation."""
    from dacl.experiments.folders import run_of

    named = run if run.name not in ("", "..") else run.resolve()
    return (run_of(named) or named).parent / "comparison"


def _show(compared: Compared, files: list[Path]) -> None:
    from dacl.analysis.figures import why_no_pictures
    from dacl.experiments.comparison.table import differences_table, moved_table

    found, moved = differences_table(compared), moved_table(compared)
    right = [name for name in found.columns if name in found.numbers]
    console.table(found.columns, found.rows, title=found.title, right=right)
    for line in found.notes:
        console.say(line, style="dim")
    if moved.rows:
        console.say("")
        right = [name for name in moved.columns if name in moved.numbers]
        console.table(moved.columns, moved.rows, title=moved.title, right=right)
    console.say("")
    for file in files:
        console.say(str(file))
    if (why := why_no_pictures()) is not None:
        console.note(why, style="yellow")
