"""`dacl export`: a trained network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dacl_cli import console, options
from dacl_cli.options import WRITTEN
from dacl_cli.outputs import writable

EXPORTED = "What is exported"


def export(
    path: Annotated[
        Path,
        typer.Argument(metavar="CKPT", help="Run folder, or a .pt file.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="File: `.onnx` or `.safetensors`. The card takes its name, with `.md` behind it.",
            rich_help_panel=WRITTEN,
            show_default=False,
        ),
    ],
    checkpoint: Annotated[
        Literal["best", "latest"],
        typer.Option(help="Which checkpoint of a run folder.", rich_help_panel=EXPORTED),
    ] = "best",
    network: Annotated[
        Literal["a", "b", "mean"],
        typer.Option(
            help="Which network; `mean` holds all, and averages their probabilities.",
            rich_help_panel=EXPORTED,
        ),
    ] = "a",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace files.", rich_help_panel=WRITTEN),
    ] = False,
    json_: options.Json = False,
) -> None:
    """Write a network as ONNX or safetensors, with a model card; it is checked against PyTorch first.

    dacl export runs/acdc-dacl-3labeled-seed0 -o model.onnx
    """
    writable(out)
    from dacl.model_export.export import export_model

    console.note("exporting and checking: half a minute")
    found = export_model(path, out, network=network, checkpoint=checkpoint, overwrite=overwrite)
    if json_:
        console.emit_json(found)
        return
    size = found.model.stat().st_size / 1e6
    console.say(f"{found.model} ({size:.1f} MB, network {found.network})")
    console.say(str(found.card))
    console.say(
        f"checked with {found.checked}: probabilities differ from PyTorch's by {found.largest_difference:.1g} at most"
    )
