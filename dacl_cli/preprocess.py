"""`dacl preprocess`: raw volumes to a checked, prepared dataset."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from dacl_cli import console
from dacl_cli.preprocess_options import (
    WORKERS,
    CheckOption,
    IntensityOption,
    JsonOption,
    OutArgument,
    SkipBadOption,
    SplitOption,
    WorkersOption,
)
from dacl_cli.preprocess_own import folder, nnunet
from dacl_cli.preprocess_view import prepare_and_show

app = typer.Typer(
    help="Check raw volumes and prepare them for training.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.command()
def acdc(
    raw: Annotated[
        Path, typer.Argument(metavar="RAW", help="ACDC as downloaded, with training/patient001/...")
    ] = Path("data/raw/acdc"),
    out: OutArgument = Path("data/acdc"),
    split: SplitOption = None,
    intensity: IntensityOption = "minmax",
    check: CheckOption = False,
    skip_bad: SkipBadOption = False,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Prepare ACDC from its NIfTI files."""
    from dacl.data.readers.acdc import Acdc

    prepare_and_show(
        Acdc(), raw, None if check else out, split, intensity, skip_bad, workers, as_json
    )


@app.command()
def ssl4mis(
    raw: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="SSL4MIS's ACDC folder, with data/ and *.list"),
    ] = Path("data/raw/ssl4mis"),
    out: OutArgument = Path("data/ssl4mis"),
    split: SplitOption = None,
    intensity: IntensityOption = "minmax",
    check: CheckOption = False,
    skip_bad: SkipBadOption = False,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Prepare ACDC from the community's h5 copy; its spacing is unknown."""
    from dacl.data.readers.ssl4mis import Ssl4mis

    prepare_and_show(
        Ssl4mis(), raw, None if check else out, split, intensity, skip_bad, workers, as_json
    )


@app.command()
def synapse(
    raw: Annotated[
        Path, typer.Argument(metavar="RAW", help="Synapse as downloaded, with Training/img/...")
    ] = Path("data/raw/synapse"),
    out: OutArgument = Path("data/synapse"),
    protocol: Annotated[
        Literal["dhc-2023", "genericssl", "skcdf", "transunet"],
        typer.Option(help="Organs, window and split of a published protocol."),
    ] = "dhc-2023",
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="ORGAN,...",
            help="Only these organs, by name; the others are background. [default: the protocol's]",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="`dhc-2023`, `genericssl`, `skcdf`, `transunet` or `random:SEED`. "
            "[default: the protocol's]"
        ),
    ] = None,
    intensity: Annotated[
        str | None,
        typer.Option(
            help="Rule applied on reading: `hu:LOW:HIGH`, `minmax`, `percentile`, `zscore`. "
            "[default: the protocol's window]"
        ),
    ] = None,
    check: CheckOption = False,
    skip_bad: SkipBadOption = False,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Prepare Synapse (BTCV), abdominal CT with up to 13 organs, from its NIfTI files."""
    from dacl.data.readers.synapse import Synapse

    organs = None if classes is None else tuple(name.strip() for name in classes.split(","))
    reader, root = Synapse(protocol, organs), None if check else out
    prepare_and_show(reader, raw, root, split, intensity, skip_bad, workers, as_json)


@app.command()
def phantom(
    out: OutArgument = Path("data/phantom"),
    raw: Annotated[Path, typer.Option(help="Folder for the raw NIfTI.")] = Path("data/raw/phantom"),
    patients: Annotated[
        tuple[int, int, int], typer.Option(metavar="TRAIN VAL TEST", help="Patients of each part.")
    ] = (16, 4, 8),
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other patients.")] = 0,
    raw_only: Annotated[bool, typer.Option("--raw-only", help="Write the raw NIfTI only.")] = False,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Make the built-in synthetic dataset, a beating heart in ACDC's layout, and prepare it."""
    from dacl.data.readers.phantom import write_raw

    n_train, n_val, n_test = patients
    with console.progress("Making patients") as report:
        write_raw(raw, n_train=n_train, n_val=n_val, n_test=n_test, seed=seed, progress=report)
    if not raw_only:
        from dacl.data.readers.acdc import Acdc

        prepare_and_show(Acdc(), raw, out, None, "minmax", False, workers, as_json)
    elif as_json:
        console.emit_json({"raw": raw, "patients": sum(patients), "seed": seed})
    else:
        console.say(f"{sum(patients)} synthetic patients in {raw}")
        console.say(f"Next: {shlex.join(['dacl', 'preprocess', 'acdc', str(raw), str(out)])}")


app.command()(folder)
app.command()(nnunet)
