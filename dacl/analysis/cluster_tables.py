"""Cluster scores as tables: by checkpoint, by configuration over its seeds, and by class."""

from collections.abc import Sequence
from dataclasses import dataclass

from dacl.analysis.cluster_bootstrap import SeedMean
from dacl.analysis.cluster_result import ClusterAnalysis, named, number, shown
from dacl.analysis.clusters import SCORES

DASH = "–"


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Cells of text; all columns but the first hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """GitHub Markdown."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

        rule = line(["---", *["---:"] * (len(self.columns) - 1)])
        return "\n".join([f"**{self.title}**", "", line(self.columns), rule, *map(line, self.rows)])


def tables(analysis: ClusterAnalysis, *, classes: bool = True) -> list[ScoreTable]:
    """Those that say something of this many checkpoints, with or without the classes; arrows point to the better."""
    if len(analysis.checkpoints) == 1:
        return [_of_one(analysis)]
    found = [_by_checkpoint(analysis)]
    if any(len(group.members) > 1 for group in analysis.groups):
        found.append(_by_method(analysis))
    if len(analysis.methods) > 1:
        found.append(_between_methods(analysis))
    return [*found, *_by_class(analysis)] if classes else found


def title_of(analysis: ClusterAnalysis) -> str:
    """What was looked at, in one line."""
    request, protocol = analysis.request, analysis.protocol
    synthetic = " (synthetic)" if analysis.synthetic else ""
    of_network = {"features": "decoder features", "projection": "projections", "logits": "logits"}
    return (
        f"{analysis.dataset}{synthetic}, {request.split} of split {protocol['split']}: "
        f"{of_network[request.space]} of network {request.network}"
    )


def _of_one(analysis: ClusterAnalysis) -> ScoreTable:
    (found,) = analysis.checkpoints
    rows = []
    for key, score in found.scores.items():
        of_class = score.by_class or (None,) * len(analysis.class_names)
        each = (DASH if one is None else shown(one, key) for one in of_class)
        rows.append((named(key), shown(score.overall, key), *each))
    return ScoreTable(
        f"{title_of(analysis)}: {found.label}, [95 % interval over patients]",
        ("score", "all", *analysis.class_names),
        tuple(rows),
    )


def _by_checkpoint(analysis: ClusterAnalysis) -> ScoreTable:
    rows = tuple(
        (named(key), *(shown(found.scores[key].overall, key) for found in analysis.checkpoints))
        for key in SCORES
    )
    return ScoreTable(
        f"{title_of(analysis)}, [95 % interval over patients]",
        ("score", *(found.label for found in analysis.checkpoints)),
        rows,
    )


def _by_method(analysis: ClusterAnalysis) -> ScoreTable:
    def cell(found: SeedMean, key: str) -> str:
        if found.estimate.value is None:
            return DASH
        spread = found.std_over_seeds
        return number(found.estimate.value, key) + (
            "" if spread is None else f" ± {number(spread, key)}"
        )

    return ScoreTable(
        "Mean ± standard deviation over seeds",
        ("score", *(f"{m.label} ({_seeds(len(m.scores['silhouette'].by_seed))})" for m in analysis.methods)),
        tuple((named(key), *(cell(m.scores[key], key) for m in analysis.methods)) for key in SCORES),
    )  # fmt: skip


def _between_methods(analysis: ClusterAnalysis) -> ScoreTable:
    first, others = analysis.methods[0], analysis.methods[1:]

    def cell(found: SeedMean, key: str) -> str:
        each = [
            DASH if value is None else number(value, key, signed=True)
            for value in found.by_seed.values()
        ]
        by_seed = f" (by seed {', '.join(each)})" if len(each) > 1 else ""
        return shown(found.estimate, key, signed=True) + by_seed

    rows = tuple(
        (named(key), *(cell(m.difference_to_first[key], key) for m in others if m.difference_to_first))
        for key in SCORES
    )  # fmt: skip
    return ScoreTable(
        f"Difference to {first.label}, same pixels and resamples, [95 % interval over patients]",
        ("score", *(m.label for m in others)),
        rows,
    )


def _by_class(analysis: ClusterAnalysis) -> list[ScoreTable]:
    """A table per score that classes have of their own: rows are checkpoints."""
    found = []
    for key in SCORES:
        rows = []
        for each in analysis.checkpoints:
            of_class = each.scores[key].by_class
            if of_class is not None:
                rows.append((each.label, *(shown(one, key) for one in of_class)))
        if rows:
            title = f"{named(key)} by class"
            found.append(ScoreTable(title, ("checkpoint", *analysis.class_names), tuple(rows)))
    return found


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"
