"""What `dacl preprocess` does with a reader: prepare, and say what was prepared."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dacl_cli import console

if TYPE_CHECKING:
    from dacl.data.readers import Reader
    from dacl.data.report import PreparationReport
    from dacl.data.split_files import SplitFile

_STAGES = {"check": "Checking cases", "write": "Writing cases"}


def prepare_and_show(
    reader: Reader,
    raw: Path,
    root: Path | None,
    split: str | SplitFile | None,
    rule: str | None,
    skip_bad: bool,
    workers: int,
    as_json: bool,
) -> None:
    """Prepare, with progress, and print the report or the findings; BadCases where there are some."""
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


def _show(report: PreparationReport) -> None:
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
        console.say(f"Spacing in mm: {ranges}{_resampling(report)}")
    if len(report.channels) > 1:
        console.say(f"Channels: {', '.join(report.channels)}")
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
        labeled = min(3, report.parts["train"].labeled_patients) or 1
        console.say(f"Next: dacl train --data {shlex.quote(str(report.root))} --labeled {labeled}")


def _resampling(report: PreparationReport) -> str:
    """Say how to train on one grid, where the volumes do not share one."""
    if report.spacing_mm is None or report.median_spacing_mm is None or report.published_slices:
        return ""
    low, high = report.spacing_mm
    if all(a == b for a, b in zip(low, high, strict=True)):
        return ""
    z, y, x = report.median_spacing_mm
    return (
        f". They are kept; to train on one grid: dacl train --set image.geometry=resample "
        f"--set image.spacing_mm={(y + x) / 2:.3g}, in 3D also --set image.slice_spacing_mm={z:.3g}"
    )


def _against_published(report: PreparationReport) -> str:
    if not report.published_slices:
        return ""
    counted = {n: report.labeled_slices[n] for n in report.published_slices}
    if counted == report.published_slices:
        return " (as published)"
    published = ", ".join(f"{n} -> {slices}" for n, slices in report.published_slices.items())
    return f" (published: {published})"
