"""`dacl analyze`: what a network has learned, seen in its features."""

from __future__ import annotations

import typer

from dacl_cli import analyze_clusters, analyze_density

app = typer.Typer(
    help="What a network has learned, seen in its features.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command("clusters")(analyze_clusters.clusters)
app.command("density")(analyze_density.density)
