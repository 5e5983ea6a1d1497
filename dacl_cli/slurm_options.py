"""Options of commands that can run on a Slurm cluster, and what of them goes together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dacl.errors import DaclError

if TYPE_CHECKING:
    from dacl.config import Config
    from dacl.experiments.slurm.request import JobRequest

PANEL = "A Slurm cluster"

Launcher = Annotated[
    Literal["local", "slurm"],
    typer.Option(
        help="Processes on this machine, or jobs of a cluster (docs/cluster.md).",
        rich_help_panel=PANEL,
    ),
]
Partition = Annotated[
    str | None,
    typer.Option(help="Of the jobs. [default: the cluster's]", rich_help_panel=PANEL),
]
Account = Annotated[
    str | None,
    typer.Option(help="That the jobs are charged to. [default: yours]", rich_help_panel=PANEL),
]
Qos = Annotated[
    str | None,
    typer.Option(help="Quality of service. [default: the cluster's]", rich_help_panel=PANEL),
]
Time = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Limit of a job: minutes, `H:MM:SS` or `D-HH:MM:SS`. A cell that needs longer is saved, "
        "requeued and goes on. [default: 4:00:00]",
        rich_help_panel=PANEL,
    ),
]
Mem = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory of a job, `16G`. [default: the cluster's]",
        rich_help_panel=PANEL,
    ),
]
Extra = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        metavar="KEY=VALUE",
        help="Any other option of sbatch, repeatable: `constraint=a100`, `gres=gpu:a100:1`, "
        '`setup="module load cuda"`.',
        rich_help_panel=PANEL,
    ),
]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait",
        help="Submit and leave; the same command collects what is done and submits what is missing.",
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmOptions:
    """What was given of them."""

    partition: str | None
    account: str | None
    qos: str | None
    time: str | None
    mem: str | None
    slurm: list[str] | None
    no_wait: bool

    def check(self, launcher: str) -> None:
        """Refuse them without --launcher slurm.

        Raises:
            DaclError: names the first.
        """
        given = [name for name in self.__slots__ if getattr(self, name)]
        if launcher != "slurm" and given:
            option = f"--{given[0].replace('_', '-')}"
            raise DaclError(f"{option} is about jobs of a cluster", "add --launcher slurm")

    def request(self, config: Config, jobs: int | None, threads: int | None) -> JobRequest:
        """What each job asks for.

        Raises:
            DaclError: a value that Slurm does not know.
        """
        from dacl.experiments.slurm.request import (
            MINUTES,
            THREADS,
            JobRequest,
            parse_extra,
            parse_memory,
            parse_minutes,
        )

        return JobRequest(
            gpus=int(config.device == "cuda"),
            threads=threads or THREADS,
            minutes=MINUTES if self.time is None else parse_minutes(self.time),
            memory=None if self.mem is None else parse_memory(self.mem),
            partition=self.partition,
            account=self.account,
            qos=self.qos,
            at_once=jobs,
            extra=parse_extra(self.slurm or []),
        )


def on_a_node(config: Config) -> Config:
    """The configuration as a job has it: `auto` is a GPU, which is asked for and must be there.

    The machine that submits has often none, and a node without one would train for days.

    Raises:
        DaclError: no device that Slurm gives out.
    """
    if config.device == "mps":
        raise DaclError("--device mps: Slurm has no such nodes", "choose --device cuda or cpu")
    return config.model_copy(update={"device": "cuda"}) if config.device == "auto" else config
