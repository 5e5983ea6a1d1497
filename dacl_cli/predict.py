"""`dacl predict`: masks of new scans, on their own grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dacl.errors import DaclError
from dacl_cli import console, options
from dacl_cli.options import WRITTEN
from dacl_cli.outputs import writable

if TYPE_CHECKING:
    from dacl.prediction.batch import Outcome

PREDICTS = "What predicts"
COLUMNS_AT_MOST = 8
"""Classes whose volumes fit beside each other in a table."""


def predict(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="CKPT",
            help="Run folder, .pt file, or a .safetensors file of `dacl export`.",
            show_default=False,
        ),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...",
            help="NIfTI files, or folders that hold them. Channels: NAME_0000, NAME_0001, ...",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder: NAME.nii.gz and NAME.json of every scan.",
            rich_help_panel=WRITTEN,
            show_default=False,
        ),
    ],
    ensemble: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CKPT",
            help="Another model, as often as you like: class probabilities are averaged.",
            rich_help_panel=PREDICTS,
        ),
    ] = None,
    checkpoint: Annotated[
        Literal["best", "latest"],
        typer.Option(help="Which checkpoint of a run folder.", rich_help_panel=PREDICTS),
    ] = "best",
    network: Annotated[
        Literal["a", "b", "mean"] | None,
        typer.Option(
            help="Which network. [default: `a`, or the exported one]", rich_help_panel=PREDICTS
        ),
    ] = None,
    tta: Annotated[
        bool,
        typer.Option(
            "--tta/--no-tta",
            help="Average over mirror images in plane, too: four times the work.",
            rich_help_panel=PREDICTS,
        ),
    ] = False,
    post: Annotated[
        Literal["none", "largest-component"],
        typer.Option(help="Post-processing of every class.", rich_help_panel=PREDICTS),
    ] = "none",
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities/--no-probabilities",
            help="Write NAME_probabilities.nii.gz too: 4D, a volume per class.",
            rich_help_panel=WRITTEN,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace outputs.", rich_help_panel=WRITTEN),
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Leave scans out that the same models finished from the same files with the same options.",
            rich_help_panel=WRITTEN,
        ),
    ] = False,
    json_: options.Json = False,
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
) -> None:
    """Segment new scans: class indices as NIfTI on each scan's own grid, with a sidecar of names and volumes.

    dacl predict runs/acdc-dacl-3labeled-seed0 scans/ -o masks
    """
    if overwrite and skip_existing:
        raise DaclError("--overwrite and --skip-existing exclude each other", "choose one of them")
    writable(out, folder=True)
    from dacl.prediction.batch import predict_all
    from dacl.prediction.images import find_scans
    from dacl.prediction.predictor import Predictor

    predictor = Predictor.load(
        path, *(ensemble or ()), checkpoint=checkpoint, network=network,
        tta=tta, post=post, device=device, precision=precision,
    )  # fmt: skip
    scans = find_scans(images, predictor.models[0].meta.channels)
    existing: Literal["refuse", "skip", "overwrite"] = "overwrite" if overwrite else "refuse"
    with console.progress("predicting") as report:
        outcome = predict_all(
            predictor, scans, out, probabilities=probabilities,
            existing="skip" if skip_existing else existing, report=report,
        )  # fmt: skip
    if json_:
        console.emit_json({"out": out, "predictions": outcome.written, **_rest(outcome)})
    else:
        _show(outcome, out)
    if outcome.failed:
        console.findings(outcome.failed, title="Scans that could not be predicted")
        raise typer.Exit(1)


def _rest(outcome: Outcome) -> dict[str, object]:
    return {"skipped": outcome.skipped, "failed": outcome.failed}


def _show(outcome: Outcome, out: Path) -> None:
    if outcome.written:
        names = [each["name"] for each in outcome.written[0].classes[1:]]
        shown = names if len(names) <= COLUMNS_AT_MOST else []
        columns = [f"{name} ml" for name in shown]
        rows = [
            (
                each.name,
                *(size["volume_ml"] for size in each.classes[1:] if size["name"] in shown),
                sum(size["voxels"] > 0 for size in each.classes[1:]),
                len(each.warnings) or None,
            )
            for each in outcome.written
        ]
        console.table(
            ("scan", *columns, "classes found", "warnings"),
            rows,
            title=f"{out}: {', '.join(names)}",
            right=(*columns, "classes found", "warnings"),
        )
    said = [warning for each in outcome.written for warning in each.warnings]
    for warning in dict.fromkeys(said):
        console.note(
            f"warning ({said.count(warning)} of {len(outcome.written)} scans): {warning}",
            style="yellow",
        )
    if outcome.skipped:
        console.note(
            f"{len(outcome.skipped)} scans were finished before: {', '.join(outcome.skipped)}"
        )
