"""`dacl report`: one HTML file about one or several runs, to look at and to mail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dacl_cli import console, options
from dacl_cli.options import JUDGED, WRITTEN
from dacl_cli.outputs import writable


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run folders, or .pt files of them.", show_default=False
        ),
    ],
    split: Annotated[
        Literal["val", "test"],
        typer.Option(help="Cases to show and to judge on.", rich_help_panel=JUDGED),
    ] = "test",
    checkpoint: options.CheckpointJudged = "best",
    network: Annotated[
        Literal["a", "b", "mean"],
        typer.Option(help="Network that is judged and shown.", rich_help_panel=JUDGED),
    ] = "a",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared dataset. [default: the one each was trained on]", rich_help_panel=JUDGED
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Report runs of different protocols together, and say so at the top.",
            rich_help_panel=JUDGED,
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="HTML file. [default: `RUN/report.html`; beside the first of several runs]",
            rich_help_panel=WRITTEN,
        ),
    ] = None,
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings/--no-embeddings",
            help="Draw pixels of every run's embedding, which takes a minute or two.",
            rich_help_panel=WRITTEN,
        ),
    ] = True,
    json_: Annotated[
        bool,
        typer.Option("--json", help="Print what was written as JSON.", rich_help_panel=WRITTEN),
    ] = False,
    device: options.Device = "auto",
) -> None:
    """One HTML file to mail: tables, curves, every slice with its masks, failures, embeddings.

    A run that was not evaluated on the split yet is evaluated in passing.

    dacl report runs/acdc-cps-3labeled-seed0 runs/acdc-dacl-3labeled-seed0
    """
    from dacl.analysis.report import write_report
    from dacl.experiments.report.content import ReportRequest, gather

    request = ReportRequest(
        split=split, checkpoint=checkpoint, network=network, data=data, device=device,
        embeddings=embeddings, force=force,
    )  # fmt: skip
    target = writable(out or _default_target(paths))
    with console.progress(f"report on {split}") as progress:
        content = gather(paths, request, progress)
    size = write_report(content, target)
    if json_:
        console.emit_json(
            {
                "out": target,
                "bytes": size,
                "runs": [run.name for run in content.runs],
                "cases": len(content.cases),
                "mixture": content.mixture,
                "notes": content.notes,
                "embeddings": [embedding.label for embedding in content.embeddings],
                "embedding_notes": content.embedding_notes,
            }
        )
        return
    console.say(f"{target} ({size / 1e6:.1f} MB, {len(content.cases)} cases)")
    for line in content.mixture:
        console.say(f"NOT COMPARABLE, forced: {line}", style="yellow")
    for line in content.notes:
        console.say(line, style="dim")
    if embeddings and not content.embeddings:
        for line in content.embedding_notes:
            console.note(line, style="yellow")


def _default_target(paths: list[Path]) -> Path:
    """In the folder of one run, beside the folder of the first of several."""
    first = paths[0].resolve()
    folder = first if first.is_dir() else first.parent
    return (folder if len(paths) == 1 else folder.parent) / "report.html"
