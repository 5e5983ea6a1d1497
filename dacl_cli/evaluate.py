"""`dacl evaluate`: what a trained run is worth on cases it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dacl.errors import DaclError
from dacl_cli import console, options
from dacl_cli.datasets import names_in
from dacl_cli.options import JUDGED, WRITTEN

if TYPE_CHECKING:
    from dacl.experiments.evaluation import Evaluation

MEASURED = "How it is measured"


def evaluate(
    path: Annotated[
        Path,
        typer.Argument(metavar="RUN|CKPT", help="Run folder, or a .pt file.", show_default=False),
    ],
    split: Annotated[
        Literal["val", "test"], typer.Option(help="Cases to judge on.", rich_help_panel=JUDGED)
    ] = "test",
    checkpoint: options.CheckpointJudged = "best",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared dataset. [default: the one it was trained on]", rich_help_panel=JUDGED
        ),
    ] = None,
    convention: Annotated[
        Literal["strict", "ssl4mis", "mcnet", "dhc", "transunet"],
        typer.Option(
            help="Rule for empty masks: ours, or that of a published script.",
            rich_help_panel=MEASURED,
        ),
    ] = "strict",
    post: Annotated[
        Literal["none", "largest-component"],
        typer.Option(help="Post-processing of every class.", rich_help_panel=MEASURED),
    ] = "none",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder. [default: `RUN/evaluation/<split>-<checkpoint>`]", rich_help_panel=WRITTEN
        ),
    ] = None,
    network: Annotated[
        Literal["a", "b", "mean"],
        typer.Option(
            help="Network whose predictions are written and drawn.", rich_help_panel=WRITTEN
        ),
    ] = "a",
    predictions: Annotated[
        bool,
        typer.Option(
            "--predictions/--no-predictions",
            help="Write NIfTI on the source geometry.",
            rich_help_panel=WRITTEN,
        ),
    ] = True,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures",
            help="Draw the median and the worst case.",
            rich_help_panel=WRITTEN,
        ),
    ] = True,
    figure: Annotated[
        bool,
        typer.Option(
            "--figure/--no-figure",
            help="Draw a figure for a paper: truth and prediction of a few cases.",
            rich_help_panel=WRITTEN,
        ),
    ] = False,
    cases: Annotated[
        str | None,
        typer.Option(
            metavar="ID,...",
            help="Cases of the figure. [default: median, worst and best]",
            rich_help_panel=WRITTEN,
        ),
    ] = None,
    json_: options.Json = False,
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
) -> None:
    """Dice, Jaccard, ASD, ASSD and HD95 per case and class, tables, NIfTI predictions, pictures.

    dacl evaluate runs/acdc-dacl-3labeled-seed0
    """
    if cases is not None and not figure:
        raise DaclError(
            "--cases names the cases of the figure, and every case is evaluated", "add --figure"
        )
    from dacl.experiments.evaluation import Request, evaluate

    shown = None if cases is None else tuple(names_in(cases))
    request = Request(
        split=split, checkpoint=checkpoint, post=post, convention=convention, network=network,
        data=data, out=out, device=device, precision=precision,
        predictions=predictions, pictures=pictures, figure=figure, cases=shown,
    )  # fmt: skip
    with console.progress(f"evaluating on {split}") as report:
        found = evaluate(path, request, report)
    if json_:
        console.emit_json(
            {
                "summary": found.summary,
                "out": found.out,
                "files": found.files,
                "skipped": found.skipped,
            }
        )
    else:
        _show(found)


def _show(found: Evaluation) -> None:
    table = found.table
    console.table(table.columns, table.rows, title=table.title, right=table.columns[2:])
    for note in table.notes:
        console.say(note, style="dim")
    n_predictions = sum(file.parent != found.out for file in found.files)
    for file in found.files:
        if file.parent == found.out:
            console.say(str(file))
    if n_predictions:
        console.say(f"{found.out / 'predictions'} ({n_predictions} volumes)")
    for line in found.skipped:
        console.note(line, style="yellow")
