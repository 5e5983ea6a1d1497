"""Options that several commands share, with the panels of the help that they stand in."""

from typing import Annotated, Literal

import typer

JUDGED = "What is judged"
LOOKED_AT = "What is looked at"
WRITTEN = "What is written"
MACHINE = "The machine"

Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option(help="Where to compute.", rich_help_panel=MACHINE),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"],
    typer.Option(help="Networks in bf16 or fp32.", rich_help_panel=MACHINE),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=WRITTEN)
]
CheckpointJudged = Annotated[
    Literal["best", "latest"],
    typer.Option(help="Which checkpoint of a run folder.", rich_help_panel=JUDGED),
]
CheckpointLookedAt = Annotated[
    Literal["best", "latest"],
    typer.Option(help="Which checkpoint of a run folder.", rich_help_panel=LOOKED_AT),
]
NetworkLookedAt = Annotated[
    Literal["a", "b"], typer.Option(help="Which network.", rich_help_panel=LOOKED_AT)
]
