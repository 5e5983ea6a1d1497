"""How a training run looks in a terminal: a bar that lives, and plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dacl_cli import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dacl.config import ImageConfig
    from dacl.data.typical import Gridded
    from dacl.training.records import Record
    from dacl.training.report import Plan


def duration(seconds: float) -> str:
    """`42 s`, `7 min`, `1 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def field(image: ImageConfig) -> str:
    """How scans reach the network: their grid, and what a step sees of it."""
    if image.dims == 2 and image.geometry == "resize":
        return f"slices resized to {image.patch_size}x{image.patch_size}"
    if image.dims == 2:
        return f"{image.spacing_mm:g} mm in plane, {image.patch_size}x{image.patch_size} crops"
    grid = (
        f"volumes resized to {'x'.join(map(str, image.volume_shape))}"
        if image.geometry == "resize"
        else f"{image.slice_spacing_mm:g} mm between slices, {image.spacing_mm:g} mm in plane"
    )
    return f"{grid}, crops of {image.patch_depth}x{image.patch_size}x{image.patch_size}"


def typical(scan: Gridded, image: ImageConfig) -> str:
    """`a typical slice: 256x216 pixels of 1.56 mm, 267x225 on the network's grid`."""
    first = 0 if image.dims == 3 else 1
    what, points = ("scan", "voxels") if image.dims == 3 else ("slice", "pixels")
    own, grid = ("x".join(map(str, shape[first:])) for shape in (scan.shape_ZHW, scan.network_ZHW))
    sides = [] if scan.spacing_mm is None else [f"{mm:.3g}" for mm in scan.spacing_mm[first:]]
    of = f" of {sides[0] if len({*sides}) == 1 else 'x'.join(sides)} mm" if sides else ""
    return f"a typical {what}: {own} {points}{of}, {grid} on the network's grid"


class TrainingView:
    """Listens to a run and shows it on stderr.

    Args:
        bar: a Rich progress bar, or None for plain lines.
    """

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._total = 0

    def planned(self, plan: Plan) -> None:
        """The first lines: what is trained on what, where, for how long."""
        config, dataset = plan.config, plan.dataset
        optim, image = config.optim, config.image
        self._total = optim.steps
        synthetic = " (synthetic)" if dataset.synthetic else ""
        unlabeled = (
            f"{plan.unlabeled_patients} unlabelled patients = {plan.unlabeled_slices} slices"
            if plan.unlabeled_slices
            else "no unlabelled slices drawn"
        )
        batch = f"{optim.batch_labeled}" + (
            f"+{optim.batch_unlabeled}" if plan.unlabeled_slices else ""
        )
        lines = [
            f"{config.method}, preset {config.preset}, seed {config.seed} -> {plan.run_dir}",
            f"{dataset.name}{synthetic}, split {dataset.split.name}: "
            f"{config.labeled} labelled patients = {plan.labeled_volumes} volumes = "
            f"{plan.labeled_slices} slices; {unlabeled}; {plan.val_patients} validation patients",
            f"{field(image)}, {batch} {'patches' if image.dims == 3 else 'slices'} a step, "
            f"{optim.steps} steps; {plan.device}, "
            f"{'bf16' if plan.bf16 else 'fp32'}, {plan.threads} threads"
            + (f" on each of {plan.ranks} ranks" if plan.ranks > 1 else ""),
            typical(plan.typical, image),
            f"about {duration(plan.estimated_seconds)}"
            + (f", going on from step {plan.start_step}" if plan.start_step else ""),
        ]
        unknown = image.geometry == "resample" and not any(
            case.spacing_mm for case in dataset.infos.values()
        )
        if unknown:
            lines.append("spacing unknown: scans keep their own grid")
        for line in [*lines, *plan.notes]:
            console.note(line, style="")
        if self._bar is not None:
            self._task = self._bar.add_task(
                "training", total=optim.steps, completed=plan.start_step, detail=""
            )

    def stepped(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step)

    def logged(self, record: Record) -> None:
        """Losses, speed and memory: in the bar, or as a line."""
        parts = "  ".join(f"{name} {value:.3f}" for name, value in record["parts"].items())
        wall = record["wall"]
        detail = f"{parts}  {wall['steps_per_second']:.1f} steps/s  {wall['peak_memory_mb'] / 1000:.1f} GB"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, detail=detail)
            return
        speed = wall["steps_per_second"]
        left = f"  {duration((self._total - record['step']) / speed)} left" if speed else ""
        console.note(f"step {record['step']}/{self._total}  {detail}{left}", style="")

    def validated(self, record: Record) -> None:
        """Validation Dice per class of every network, one line each."""
        for network, dice in record["dice"].items():
            classes = "  ".join(f"{name} {100 * value:.1f}" for name, value in dice.items())
            console.note(
                f"step {record['step']}  validation Dice %  network {network}: "
                f"mean {100 * record['mean_dice'][network]:.1f}  ({classes})",
                style="",
            )

    def warned(self, text: str, step: int) -> None:
        """A line in yellow, above the bar where there is one."""
        console.note(f"step {step}  warning: {text}", style="yellow")


@contextmanager
def training_view(bar: bool = True) -> Iterator[TrainingView]:
    """A view with a live bar on a terminal (unless `bar` is false), with plain lines elsewhere."""
    if not (bar and console.err.is_terminal):
        yield TrainingView(None)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    ]
    with Progress(*columns, console=console.err) as live:
        yield TrainingView(live)
