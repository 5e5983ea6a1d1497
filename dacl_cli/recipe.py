"""The options that decide a training's configuration, for every command that trains, and what they come to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dacl.errors import DaclError
from dacl_cli.datasets import names_in

if TYPE_CHECKING:
    from dacl.config import Config

RUN = "The run"
RECIPE = "The recipe (each overrides preset and --config)"
MACHINE = "The machine"

Labeled = Annotated[
    int | None,
    typer.Option(
        help="Labelled patients: the set that the split publishes for N, else its first N. [default: 3]",
        rich_help_panel=RUN,
    ),
]
LabeledCases = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help="Labelled patients by name, instead of those.",
        rich_help_panel=RUN,
    ),
]
LabeledOrder = Annotated[
    str | None,
    typer.Option(
        metavar="ORDER",
        help="`random:SEED` draws the N labelled patients. [default: split, as published]",
        rich_help_panel=RUN,
    ),
]
Dims = Annotated[
    int | None,
    typer.Option(
        min=2,
        max=3,
        help="2: slices and a U-Net; 3: volumes and a V-Net. [default: 2]",
        rich_help_panel=RECIPE,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="Prepared dataset. [default: the only one under data/]", rich_help_panel=RUN),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Recipe to start from: paper, small, transunet, or one with a reading of the contrast, "
        "small+literal, small+dgcl. [default: paper on a GPU, else small]",
        rich_help_panel=RECIPE,
    ),
]
File = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file laid over the preset.", rich_help_panel=RECIPE),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any value of docs/configuration.md, e.g. contrast.tau=0.2; may be repeated.",
        rich_help_panel=RECIPE,
    ),
]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimiser steps.", rich_help_panel=RECIPE)]
BatchLabeled = Annotated[
    int | None, typer.Option(min=1, help="Labelled slices a step.", rich_help_panel=RECIPE)
]
BatchUnlabeled = Annotated[
    int | None, typer.Option(min=1, help="Unlabelled slices a step.", rich_help_panel=RECIPE)
]
PatchSize = Annotated[
    int | None,
    typer.Option(min=32, help="Side of a training patch, pixels.", rich_help_panel=RECIPE),
]
Lr = Annotated[float | None, typer.Option(help="Initial learning rate.", rich_help_panel=RECIPE)]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"] | None,
    typer.Option(help="Where to compute. [default: auto]", rich_help_panel=MACHINE),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"] | None,
    typer.Option(help="Networks in bf16 or fp32. [default: auto]", rich_help_panel=MACHINE),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile", help="Compile a step into one graph (for a GPU).", rich_help_panel=MACHINE
    ),
]


def layer(
    *,
    labeled: int | None,
    labeled_cases: str | None,
    labeled_order: str | None,
    dims: int | None,
    steps: int | None,
    batch_labeled: int | None,
    batch_unlabeled: int | None,
    patch_size: int | None,
    lr: float | None,
    device: str | None,
    precision: str | None,
    compile_: bool,
    **others: Any,
) -> dict[str, Any]:
    """What was asked for by flags, as a layer of the configuration; what was not given is not in it.

    Raises:
        DaclError: `labeled` is not the number of names in `labeled_cases`.
    """
    names = names_in(labeled_cases) if labeled_cases else None
    if names and labeled not in (None, len(names)):
        raise DaclError(
            f"--labeled {labeled}, but --labeled-cases names {len(names)}", "leave --labeled away"
        )
    return _without_none(
        {
            **others,
            "labeled": len(names) if names else labeled,
            "labeled_cases": names,
            "labeled_order": labeled_order,
            "device": device,
            "precision": precision,
            "compile": compile_ or None,
            "optim": {
                "steps": steps,
                "batch_labeled": batch_labeled,
                "batch_unlabeled": batch_unlabeled,
                "lr": lr,
            },
            "image": {"dims": dims, "patch_size": patch_size},
        }
    )


def configuration(
    flags: dict[str, Any],
    preset: str | None,
    file: Path | None,
    assignments: list[str] | None,
    *,
    elsewhere: bool = False,
) -> Config:
    """Preset, file, --set and flags, later wins; without a preset the one that suits the device.

    Args:
        flags: as `layer` makes them.
        preset: by name.
        file: TOML.
        assignments: of --set.
        elsewhere: it runs on another machine, where `auto` is a GPU; this one may have none.

    Raises:
        DaclError: an unknown preset, key or file, or a value out of range.
    """
    from dacl.config import resolve
    from dacl.config_text import parse_assignments, read_toml

    from_file = read_toml(file) if file else {}
    layers = (from_file, parse_assignments(assignments or []), flags)
    config = resolve(preset or from_file.get("preset") or "small", *layers)
    if preset is None and "preset" not in from_file:
        import torch

        from dacl.training.device import default_preset, pick_device

        there = torch.device("cuda" if config.device == "auto" else config.device)
        device = there if elsewhere else pick_device(config.device)
        config = resolve(default_preset(device), *layers)
    return config


def of_machine(flags: dict[str, Any], assignments: list[str] | None) -> dict[str, Any] | None:
    """Flags and --set of a run that goes on: None where more is asked for than how the machine computes."""
    from dacl.config import MACHINE_KEYS, merge
    from dacl.config_text import parse_assignments

    asked = merge(parse_assignments(assignments or []), flags)
    return asked if asked.keys() <= set(MACHINE_KEYS) else None


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    kept = {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
    return {key: value for key, value in kept.items() if value != {}}
