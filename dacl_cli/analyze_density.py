"""`dacl analyze density`: where the sparse fringe and the dense core of every class lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dacl_cli import console, options
from dacl_cli.options import LOOKED_AT, WRITTEN
from dacl_cli.outputs import writable

if TYPE_CHECKING:
    from dacl.analysis.density.analysis import DensityAnalysis


def density(
    path: Annotated[
        Path,
        typer.Argument(metavar="CKPT", help="A .pt file, or a run folder.", show_default=False),
    ],
    space: Annotated[
        Literal["auto", "projection", "features"],
        typer.Option(
            help="Where densities are taken: the contrast's projection, or the decoder map. `auto`: the projection "
            "where the method has one.",
            rich_help_panel=LOOKED_AT,
        ),
    ] = "auto",
    network: options.NetworkLookedAt = "a",
    checkpoint: options.CheckpointLookedAt = "best",
    batches: Annotated[
        int,
        typer.Option(
            min=1, help="Training batches whose units are pooled.", rich_help_panel=LOOKED_AT
        ),
    ] = 8,
    split: Annotated[
        Literal["val", "test"],
        typer.Option(help="Split that the slice is from.", rich_help_panel=LOOKED_AT),
    ] = "test",
    case: Annotated[
        str | None,
        typer.Option(
            help="Case of the slice. [default: the median of the evaluation, else the middle one]",
            rich_help_panel=LOOKED_AT,
        ),
    ] = None,
    slice_: Annotated[
        int | None,
        typer.Option(
            "--slice",
            min=1,
            help="Slice, from 1. [default: the middle one of those with every class]",
            rich_help_panel=LOOKED_AT,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of dropout in the batches.", rich_help_panel=LOOKED_AT)
    ] = 0,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared dataset. [default: the one it was trained on]", rich_help_panel=LOOKED_AT
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder. [default: `RUN/analysis/density`]", rich_help_panel=WRITTEN),
    ] = None,
    json_: options.Json = False,
    device: options.Device = "auto",
) -> None:
    """Densities of every class with its anchors and keys, over a slice, and over the training.

    dacl analyze density runs/acdc-dacl-3labeled-seed0
    """  # fmt: skip
    from dacl.analysis.density.analysis import (
        DensityRequest,
        analyze_density,
        write_density_analysis,
    )
    from dacl.training.checkpoint import locate

    request = DensityRequest(
        split=split, space=space, network=network, checkpoint=checkpoint, batches=batches,
        seed=seed, case=case, z=None if slice_ is None else slice_ - 1, data=data, device=device,
    )  # fmt: skip
    folder = writable(out or locate(path, checkpoint).parent / "analysis" / "density", folder=True)
    with console.progress("densities") as report:
        found = analyze_density(path, request, report)
    files = write_density_analysis(found, folder)
    if json_:
        classes = {each.name: each.summary() for each in found.classes}
        console.emit_json(
            {
                "protocol": found.protocol, "provenance": found.provenance, "classes": classes,
                "slice": found.slice_.summary(),
                "notes": found.notes, "files": files,
            }
        )  # fmt: skip
    else:
        _show(found, files)


def _show(found: DensityAnalysis, files: list[Path]) -> None:
    columns = (
        "class", "units", "density", "anchors", "anchor density", "keys", "key density", "compactness",
    )  # fmt: skip
    rows = []
    for each in found.classes:
        s = each.summary()
        rows.append((
            each.name, s["units"], _number(s["density"]), s["anchors"], _number(s["anchor_density"]),
            s["keys"], _number(s["key_density"]), _number(s["compactness"]),
        ))  # fmt: skip
    synthetic = " (synthetic)" if found.synthetic else ""
    title = f"{found.dataset}{synthetic}: {found.label}, {found.space}, {found.protocol['batches']} training batches"
    console.table(columns, rows, title=title, right=columns[1:])
    pixels, where = found.slice_.summary(), found.protocol["slice"]
    console.say(
        f"{where['case']}, slice {where['slice']}: {pixels['wrong_anchors']} of {pixels['anchors']} anchor pixels are "
        f"of another class in truth, of the predicted foreground {pixels['wrong_predicted']} of {pixels['predicted']}"
    )
    for note in found.notes:
        console.say(note, style="dim")
    for file in files:
        console.say(str(file))


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
