"""What a run writes down: metrics.jsonl is the source of truth, progress.png and TensorBoard are drawn from it."""

import json
import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dacl.errors import DaclError

Record = dict[str, Any]


class Journal:
    """Append-only lines of JSON, one record each, and their pictures.

    Every record has `kind` (`train` or `val`) and `step`; what depends on the clock stands under `wall`, so that two
    runs of the same bits differ nowhere else.

    Args:
        run_dir: the run's folder.
        tensorboard: write TensorBoard events beside it.
        purge_step: of a resumed run: TensorBoard forgets what came after.

    Raises:
        DaclError: TensorBoard was asked for and is not installed.
    """

    def __init__(self, run_dir: Path, *, tensorboard: bool = False, purge_step: int = 0) -> None:
        self.path = run_dir / "metrics.jsonl"
        self.run_dir = run_dir
        self._writer = _summary_writer(run_dir, purge_step) if tensorboard else None

    def append(self, record: Record) -> None:
        """Write one record; NaN and infinity become null."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(record)) + "\n")
        if self._writer is not None:
            for name, value in _scalars(record):
                self._writer.add_scalar(name, value, record["step"])
            self._writer.flush()

    def records(self) -> list[Record]:
        """All records in order; a line that a kill cut short is left out."""
        if not self.path.exists():
            return []
        records = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return records

    def cut(self, step: int) -> None:
        """Keep what was written up to and including `step`: a resumed run writes the rest again."""
        kept = [json.dumps(r) for r in self.records() if r["step"] <= step]
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        partial.replace(self.path)

    def draw(self) -> Path | None:
        """Redraw progress.png: losses, validation Dice, the contrast's health; None without matplotlib."""
        if find_spec("matplotlib") is None:  # training needs no more than torch and h5py
            return None
        from matplotlib.figure import Figure

        records = self.records()
        train = [r for r in records if r["kind"] == "train"]
        val = [r for r in records if r["kind"] == "val"]
        health = bool(train and train[-1]["diagnostics"])
        columns = 3 if health else 2
        figure = Figure(figsize=(5 * columns, 4.2), layout="constrained")
        axes = figure.subplots(1, columns)
        _draw_losses(axes[0], train)
        _draw_dice(axes[1], val)
        if health:
            _draw_density(axes[2], train)
        target = self.run_dir / "progress.png"
        partial = target.with_name("progress.partial.png")
        figure.savefig(partial, dpi=110)
        partial.replace(target)
        return target


def _draw_losses(axis: Any, train: list[Record]) -> None:
    steps = [r["step"] for r in train]
    for name in train[-1]["parts"] if train else ():
        axis.plot(steps, [r["parts"][name] for r in train], label=name, linewidth=1.2)
    axis.set(title="loss terms, before their weights", xlabel="step", yscale="log")
    if train:
        axis.legend(frameon=False)


def _draw_dice(axis: Any, val: list[Record]) -> None:
    steps = [r["step"] for r in val]
    styles = {"a": "-", "b": "--", "mean": ":"}
    networks = list(val[-1]["dice"]) if val else []
    classes = list(val[-1]["dice"][networks[0]]) if networks else []
    for number, name in enumerate(classes):
        for network in networks:
            label = name if network == networks[0] else None
            values = [_or_nan(r["dice"][network][name]) for r in val]
            axis.plot(
                steps, values, styles[network], color=f"C{number}", label=label, linewidth=1.2
            )
    axis.set(title="validation Dice (a solid, b dashed, mean dotted)", xlabel="step", ylim=(0, 1))
    if classes:
        axis.legend(frameon=False, loc="lower right")


def _draw_density(axis: Any, train: list[Record]) -> None:
    steps = [r["step"] for r in train]
    for number, name in enumerate(train[-1]["diagnostics"]["density"]):
        for key, style in (("density", "-"), ("anchor_density", ":")):
            values = [_or_nan(r["diagnostics"][key][name]) for r in train]
            axis.plot(steps, values, style, color=f"C{number}", linewidth=1.2,
                      label=name if key == "density" else None)  # fmt: skip
    axis.set(title="mean density of a class (dotted: its anchors)", xlabel="step")
    axis.legend(frameon=False)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _scalars(record: Record, prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in record.items():
        name = f"{prefix}/{key}" if prefix else key
        if isinstance(value, dict):
            yield from _scalars(value, name)
        elif isinstance(value, int | float) and key != "step":
            yield name, value


def require_tensorboard() -> None:
    """Raise DaclError where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise DaclError("TensorBoard was asked for and is not installed", "pip install tensorboard")


def _summary_writer(run_dir: Path, purge_step: int) -> Any:
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(run_dir / "tensorboard", purge_step=purge_step)
