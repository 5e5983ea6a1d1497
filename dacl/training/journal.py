"""What a run writes down: metrics.jsonl is the source of truth, progress.png and TensorBoard are drawn from it."""

import json
import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dacl.errors import DaclError
from dacl.training.progress import draw_progress
from dacl.training.records import Record


class Journal:
    """Append-only lines of JSON, one record each, and their pictures.

    Every record has `kind` (`train`, `val` or `warning`) and `step`; what depends on the clock stands under `wall`,
    so that two runs of the same bits differ nowhere else.

    Args:
        run_dir: the run's folder.
        tensorboard: write TensorBoard events beside it.
        purge_step: the first step that a resumed run writes: TensorBoard forgets what it has from there on.

    Raises:
        DaclError: TensorBoard was asked for and is not installed.
    """

    def __init__(self, run_dir: Path, *, tensorboard: bool = False, purge_step: int = 0) -> None:
        self.path = run_dir / "metrics.jsonl"
        self.run_dir = run_dir
        self._writer = _summary_writer(run_dir, purge_step) if tensorboard else None

    def append(self, record: Record) -> None:
        """Write one record; NaN and infinity become null."""
        record = _finite(record)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self._writer is not None:
            for name, value in _scalars(record):
                self._writer.add_scalar(name, value, record["step"])
            if record["kind"] == "warning":
                self._writer.add_text("warning", record["text"], record["step"])
            self._writer.flush()

    def records(self) -> list[Record]:
        """All records in order; a last line that a kill cut short is left out.

        Raises:
            DaclError: another line is no record, so that what follows it would be lost.
        """
        if not self.path.exists():
            return []
        records = []
        lines = self.path.read_bytes().splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                if {"kind", "step"} - record.keys():
                    raise ValueError("no record")
                records.append(record)
            except (ValueError, AttributeError) as error:
                if number == len(lines):
                    break
                raise DaclError(
                    f"{self.path} is damaged: line {number} of {len(lines)} is no record of a run",
                    "mend or delete that line: a run needs its journal for curves and warnings alone",
                ) from error
        return records

    def cut(self, step: int) -> None:
        """Keep what was written up to and including `step`: a resumed run writes the rest again."""
        kept = [json.dumps(r) for r in self.records() if r["step"] <= step]
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        partial.replace(self.path)

    def close(self) -> None:
        """End the TensorBoard events; the records are on disk already."""
        if self._writer is not None:
            self._writer.close()

    def draw(self) -> Path | None:
        """Redraw progress.png; None without matplotlib."""
        if find_spec("matplotlib") is None:  # training needs no more than torch and h5py
            return None
        target = self.run_dir / "progress.png"
        draw_progress(self.records(), target)
        return target


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
