"""The embedded pixels of a report, or the reason why there are none: a report is worth having without them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dacl.analysis.report import Embedding
from dacl.experiments.report_subjects import ReportRequest, Subject


@dataclass(frozen=True, slots=True)
class Embedded:
    """What the section shows."""

    embeddings: Sequence[Embedding]
    notes: Sequence[str]
    class_names: Sequence[str]


def embed(subjects: Sequence[Subject], request: ReportRequest) -> Embedded:
    """Pixels of every run in two dimensions."""
    return Embedded((), ("Left out: --no-embeddings.",), ())
