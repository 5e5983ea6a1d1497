"""The embedded pixels of a report, or the reason why there are none: a report is worth having without them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dacl.analysis.report import Embedding
from dacl.callbacks import OnProgress
from dacl.errors import DaclError
from dacl.experiments.report.subjects import ReportRequest, Subject

PLOT_POINTS = 2_000
"""Dots a run: enough to see clusters on a phone, 20 KB in the file."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What the section shows."""

    embeddings: Sequence[Embedding]
    notes: Sequence[str]
    class_names: Sequence[str]


def embed(subjects: Sequence[Subject], request: ReportRequest, progress: OnProgress) -> Embedded:
    """The same annotated pixels in the embedding of every run, scored as `dacl analyze clusters` scores them.

    Args:
        subjects: the runs.
        request: which split, network, data and device.
        progress: of the pixels, scores and pictures.
    """
    if not request.embeddings:
        return Embedded((), ("Left out as asked: --no-embeddings.",), ())
    # Here and not above, so that a report without embeddings needs no scikit-learn.
    from dacl.analysis.clusters.analysis import analyze_clusters
    from dacl.analysis.clusters.result import ClusterRequest

    # The mean of two networks' probabilities has no embedding of its own.
    network: Literal["a", "b"] = "b" if request.network == "b" else "a"
    asked = ClusterRequest(
        split=request.split, network=network, plot_points=PLOT_POINTS,
        data=request.data or subjects[0].judged.dataset.root, device=request.device,
    )  # fmt: skip
    try:
        found = analyze_clusters([s.judged.trained.path for s in subjects], asked, progress)
    except (DaclError, ImportError) as error:
        reason = error.message if isinstance(error, DaclError) else str(error)
        return Embedded((), (f"Left out: {reason}.",), ())
    embeddings = [
        Embedding(
            label=subject.name,
            xy_P2=checkpoint.xy_P2,
            classes_P=checkpoint.plot_classes_P,
            lines=checkpoint.lines(),
        )
        for subject, checkpoint in zip(subjects, found.checkpoints, strict=True)
    ]
    planes = dict.fromkeys(checkpoint.plane for checkpoint in found.checkpoints)
    notes = (
        f"{len(found.plotted_P):,} of {len(found.pixels.class_N):,} annotated pixels of {asked.split}, the same for "
        f"every run; {asked.space} of network {network}; {'; '.join(planes)}",
        "scores are of all of these pixels in the space itself, not in the picture; intervals are over patients",
        *found.notes,
    )
    return Embedded(embeddings, notes, found.class_names)
