"""What a report says, gathered by whoever knows runs and data: plain values, nothing that needs a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dacl.training.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A column of numbers."""

    key: str
    heading: str
    """Name and unit, such as `ASD mm`."""
    factor: float
    """From the stored to the shown unit."""
    decimals: int
    higher_is_better: bool = False

    def show(self, value: float | None) -> str:
        """The number as it is printed; an en dash where it is undefined."""
        return "–" if value is None else f"{self.factor * value:.{self.decimals}f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """A metric of one class over the patients of a split, in the stored unit."""

    mean: float | None
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One class of one case under one run."""

    case: int
    """Index into `Report.cases`."""
    class_name: str
    values: Mapping[str, float | None]
    """By `Metric.key`, in the stored unit; None is undefined."""
    status: str
    """`ok`, `missed`, `spurious` or `undefined`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRun:
    """One run as it was evaluated."""

    name: str
    facts: Mapping[str, str]
    """Heading -> text, the same headings in every run of a report."""
    settings: Mapping[str, Any]
    """Dotted key -> value of the configuration."""
    protocol: Mapping[str, Any]
    provenance: Mapping[str, Any]
    averages: Mapping[str, Mapping[str, Average]]
    """Class -> `Metric.key`, in the order of the table; the mean over classes is one of them."""
    scores: Sequence[Score]
    records: Sequence[Record]
    """The journal."""
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCase:
    """One case with its pictures, encoded by `dacl.analysis.report.volumes`."""

    name: str
    patient: str
    class_names: Sequence[str]
    """Foreground only."""
    shape: tuple[int, int, int]
    """Slices, rows and columns as shown."""
    aspect: float
    """Height of a pixel over its width, in mm."""
    images: Sequence[str]
    """A data URI per slice."""
    truth: str
    """`encode_runs` of the reference."""
    predictions: Sequence[str | None]
    """The same of every run; None where a run was not judged on this case."""
    dice: Sequence[Mapping[str, float | None]]
    """Of every run, by class, from its own evaluation; empty like `predictions`."""
    worst_slice: Sequence[int | None]
    """Of every run, the slice with the most wrong pixels, from 0."""

    def mean_dice(self, run: int) -> float | None:
        """Over the classes that are defined; None where none is."""
        defined = [value for value in self.dice[run].values() if value is not None]
        return sum(defined) / len(defined) if defined else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Pixels of one run in two dimensions."""

    label: str
    xy_P2: np.ndarray
    classes_P: np.ndarray
    """Class index, 0 is the background."""
    lines: Sequence[str] = ()
    """Scores, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole page."""

    title: str
    lead: str
    """One sentence: what was judged on what."""
    metrics: Sequence[Metric]
    """The first is Dice."""
    runs: Sequence[ReportRun]
    cases: Sequence[ReportCase]
    class_names: Sequence[str]
    """With the background; colours go by this order."""
    picture_notes: Sequence[str]
    """How the pictures were made."""
    provenance: Mapping[str, Any]
    """Of the report itself."""
    mixture: Sequence[str] = ()
    """What makes the runs incomparable, where that was forced."""
    notes: Sequence[str] = ()
    synthetic: bool = False
    embeddings: Sequence[Embedding] = ()
    embedding_notes: Sequence[str] = ()
    """How the points were chosen and laid out, or why there are none."""
    embedding_classes: Sequence[str] = ()
    """With the background."""
