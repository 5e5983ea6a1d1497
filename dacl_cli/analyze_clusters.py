"""`dacl analyze clusters`: how far the classes are apart, and how tight, in what a network makes of the scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dacl_cli import console, options
from dacl_cli.options import LOOKED_AT, MACHINE, WRITTEN
from dacl_cli.outputs import writable

if TYPE_CHECKING:
    from dacl.analysis.clusters.result import ClusterAnalysis

WIDEST = 4
"""Checkpoints whose every class is printed; of more the file tells."""


def clusters(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="CKPT...",
            help="`.pt` files or run folders; all are held against the first.",
            show_default=False,
        ),
    ],
    split: Annotated[
        Literal["val", "test"],
        typer.Option(help="Split that the pixels are from.", rich_help_panel=LOOKED_AT),
    ] = "test",
    space: Annotated[
        Literal["features", "projection", "logits"],
        typer.Option(
            help="The decoder map, which every method has; the contrast's projection of it, which only DACL has; or "
            "the output before the softmax.",
            rich_help_panel=LOOKED_AT,
        ),
    ] = "features",
    network: options.NetworkLookedAt = "a",
    checkpoint: options.CheckpointLookedAt = "best",
    points: Annotated[
        int,
        typer.Option(
            min=10, help="Pixels scored, shared by all classes.", rich_help_panel=LOOKED_AT
        ),
    ] = 20_000,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Of the pixels, k-means, bootstrap and t-SNE.", rich_help_panel=LOOKED_AT
        ),
    ] = 0,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared dataset. [default: the one they were trained on]",
            rich_help_panel=LOOKED_AT,
        ),
    ] = None,
    method: Annotated[
        Literal["tsne", "pca"],
        typer.Option(help="How pixels are laid out in the picture.", rich_help_panel=WRITTEN),
    ] = "tsne",
    plot_points: Annotated[
        int,
        typer.Option(min=10, help="Pixels drawn, of those scored.", rich_help_panel=WRITTEN),
    ] = 5_000,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder. [default: `RUN/analysis/clusters-SPACE`; of several checkpoints `clusters-SPACE` beside the "
            "first run]",
            rich_help_panel=WRITTEN,
        ),
    ] = None,
    json_: options.Json = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        typer.Option(help="Where the networks compute.", rich_help_panel=MACHINE),
    ] = "auto",
) -> None:
    """Cluster scores of the embeddings of annotated pixels, and their t-SNE: the paper's Fig. 1 (b).

    dacl analyze clusters runs/acdc-cps-3labeled-seed0 runs/acdc-dacl-3labeled-seed0
    """  # fmt: skip
    from dacl.analysis.clusters.analysis import analyze_clusters
    from dacl.analysis.clusters.files import default_folder, record, write_cluster_analysis
    from dacl.analysis.clusters.result import ClusterRequest

    request = ClusterRequest(
        split=split, space=space, network=network, points=points, plot_points=plot_points,
        method=method, seed=seed, checkpoint=checkpoint, data=data, device=device,
    )  # fmt: skip
    folder = writable(out or default_folder(paths, request), folder=True)
    with console.progress("clusters") as report:
        found = analyze_clusters(paths, request, report)
    files = write_cluster_analysis(found, folder)
    if json_:
        console.emit_json({**record(found), "files": files})
    else:
        _show(found, files)


def _show(found: ClusterAnalysis, files: list[Path]) -> None:
    from dacl.analysis.clusters.tables import tables

    for table in tables(found, classes=len(found.checkpoints) <= WIDEST):
        console.table(table.columns, table.rows, title=table.title, right=table.columns[1:])
        console.say("")
    for note in found.notes:
        console.say(note, style="dim")
    for file in files:
        console.say(str(file))
