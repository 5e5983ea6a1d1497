"""`dacl preprocess`: raw volumes to a checked, prepared dataset."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dacl_cli import console

if TYPE_CHECKING:
    from dacl.data.readers import Reader
    from dacl.data.report import Report

app = typer.Typer(
    help="Check raw volumes and prepare them for training.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_WORKERS = min(os.cpu_count() or 1, 8)
_STAGES = {"check": "Checking cases", "write": "Writing cases"}

OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the prepared dataset.")]
SplitOption = Annotated[
    str | None,
    typer.Option(
        help="`ssl4mis` (70/10/20 patients), `ssl4mis-dev` (its train and val alone, cut again) or "
        "`random:SEED`. By default the raw folder's own, else `ssl4mis`."
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
    workers: WorkersOption = _WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Prepare ACDC from its NIfTI files."""
    from dacl.data.readers.acdc import Acdc

    _prepare(Acdc(), raw, None if check else out, split, intensity, skip_bad, workers, as_json)


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
    workers: WorkersOption = _WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Prepare ACDC from the community's h5 copy; its spacing is unknown."""
    from dacl.data.readers.ssl4mis import Ssl4mis

    _prepare(Ssl4mis(), raw, None if check else out, split, intensity, skip_bad, workers, as_json)


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
    workers: WorkersOption = _WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Prepare Synapse (BTCV), abdominal CT with up to 13 organs, from its NIfTI files."""
    from dacl.data.readers.synapse import PROTOCOLS, Synapse

    organs = None if classes is None else tuple(name.strip() for name in classes.split(","))
    rule = intensity or PROTOCOLS[protocol].intensity
    reader = Synapse(protocol, organs)
    _prepare(reader, raw, None if check else out, split, rule, skip_bad, workers, as_json)


@app.command()
def phantom(
    out: OutArgument = Path("data/phantom"),
    raw: Annotated[Path, typer.Option(help="Folder for the raw NIfTI.")] = Path("data/raw/phantom"),
    patients: Annotated[
        tuple[int, int, int], typer.Option(metavar="TRAIN VAL TEST", help="Patients of each part.")
    ] = (16, 4, 8),
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other patients.")] = 0,
    raw_only: Annotated[bool, typer.Option("--raw-only", help="Write the raw NIfTI only.")] = False,
    workers: WorkersOption = _WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Make the built-in synthetic dataset, a beating heart in ACDC's layout, and prepare it."""
    from dacl.data.readers.phantom import write_raw

    n_train, n_val, n_test = patients
    with console.progress("Making patients") as report:
        write_raw(raw, n_train=n_train, n_val=n_val, n_test=n_test, seed=seed, progress=report)
    if not raw_only:
        from dacl.data.readers.acdc import Acdc

        _prepare(Acdc(), raw, out, None, "minmax", False, workers, as_json)
    elif as_json:
        console.emit_json({"raw": raw, "patients": sum(patients), "seed": seed})
    else:
        console.say(f"{sum(patients)} synthetic patients in {raw}")
        console.say(f"Next: dacl preprocess acdc {raw} {out}")


def _prepare(
    reader: Reader,
    raw: Path,
    root: Path | None,
    split: str | None,
    rule: str,
    skip_bad: bool,
    workers: int,
    as_json: bool,
) -> None:
    from dacl.data.prepare import BadCases, prepare

    try:
        with _progress() as progress:
            report = prepare(
                reader,
                raw,
                root,
                split=split,
                rule=rule,
                skip_bad=skip_bad,
                workers=workers,
                progress=progress,
            )
    except BadCases as error:
        if as_json:
            console.emit_json({"findings": error.findings})
        else:
            console.findings(error.findings)
        raise
    if as_json:
        console.emit_json(report)
    else:
        _show(report)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show one bar after the other: the terminal holds one at a time."""
    with ExitStack() as stack:
        bars: dict[str, console.Report] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                stack.close()
                bars[stage] = stack.enter_context(console.progress(_STAGES[stage]))
            bars[stage](done, total)

        yield report


def _show(report: Report) -> None:
    """Print what was prepared, from the data."""
    if report.findings:
        console.findings(report.findings, title="Left out, because of")
        console.note(f"{len(report.skipped)} cases left out: {', '.join(report.skipped)}", "yellow")
    kind = "synthetic, " if report.synthetic else ""
    console.say(f"{report.name} ({kind}intensity {report.intensity}), split {report.split}", "bold")
    console.table(
        ("", "patients", "volumes", "labeled volumes", "slices"),
        [
            (name, part.patients, part.volumes, part.labeled_volumes, part.slices)
            for name, part in report.parts.items()
        ],
        right=("patients", "volumes", "labeled volumes", "slices"),
    )
    counts = ", ".join(f"{n} -> {slices}" for n, slices in report.labeled_slices.items())
    console.say(f"Labeled patients -> slices: {counts}{_against_published(report)}")
    if report.spacing_mm is not None:
        axes = zip("zyx", *report.spacing_mm, strict=True)
        ranges = ", ".join(f"{axis} {low:g} to {high:g}" for axis, low, high in axes)
        console.say(f"Spacing in mm: {ranges}")
    if report.class_voxels:
        total = sum(report.class_voxels.values())
        shares = [f"{name} {100 * n / total:.2f} %" for name, n in report.class_voxels.items()]
        console.say(f"Labeled voxels: {total:,}, of these {', '.join(shares)}")
    for line in report.notes:
        console.say(f"Note: {line}")
    if report.missing:
        names = ", ".join(report.missing)
        console.say(f"Missing, {len(report.missing)} patients of the split: {names}", "yellow")
    for name, part in report.parts.items():
        if not part.patients:
            console.say(f"The split has no {name} patients here", "yellow")
    if report.unused:
        console.say(f"Not in the split, {len(report.unused)} patients: {', '.join(report.unused)}")
    if report.root is None:
        console.say("Checked; nothing was written", "bold")
    else:
        kept = report.volumes - report.written
        suffix = f" ({report.written} cases written, {kept} were there)" if kept else ""
        console.say(f"Prepared in {report.root}{suffix}", "bold")
        labeled = min(3, report.parts["train"].patients)
        console.say(f"Next: dacl train --data {report.root} --labeled {labeled}")


def _against_published(report: Report) -> str:
    if not report.published_slices:
        return ""
    counted = {n: report.labeled_slices[n] for n in report.published_slices}
    if counted == report.published_slices:
        return " (as published)"
    published = ", ".join(f"{n} -> {slices}" for n, slices in report.published_slices.items())
    return f" (published: {published})"
