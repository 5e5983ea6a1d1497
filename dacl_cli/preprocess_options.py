"""Arguments and options that the commands of `dacl preprocess` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dacl.cores import usable_cores

WORKERS = min(usable_cores(), 8)
OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the prepared dataset.")]
SplitOption = Annotated[
    str | None,
    typer.Option(
        help="`ssl4mis` (70/10/20 patients), `ssl4mis-dev` (its train and val alone, cut again), "
        "`random:SEED` or `kfold:K:I`. By default the raw folder's own, else `ssl4mis`."
    ),
]
IntensityOption = Annotated[
    str,
    typer.Option(
        help="Rule applied on reading: `minmax` (published), `percentile`, `zscore`, `hu:LOW:HIGH`."
    ),
]
CheckOption = Annotated[bool, typer.Option("--check", help="Only check, write nothing.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave cases with findings out.")]
WorkersOption = Annotated[int, typer.Option(min=1, show_default="cores", help="Processes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]
