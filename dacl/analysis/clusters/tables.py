"""Cluster scores as tables: by checkpoint, by configuration over its seeds, and by class."""

from dacl.analysis.clusters.bootstrap import SeedMean
from dacl.analysis.clusters.result import (
    DASH,
    ClusterAnalysis,
    MethodClusters,
    interval,
    named,
    number,
    shown,
)
from dacl.analysis.clusters.scores import SCORES
from dacl.table import Table


def tables(analysis: ClusterAnalysis, *, classes: bool = True) -> list[Table]:
    """Those that say something of this many checkpoints, with or without the classes; arrows point to the better."""
    if len(analysis.checkpoints) == 1:
        return [_of_one(analysis)]
    found = [_by_checkpoint(analysis)]
    if any(len(group.members) > 1 for group in analysis.groups):
        found.append(_by_method(analysis))
    found += [_to_first(analysis, method) for method in analysis.methods[1:]]
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


def _of_one(analysis: ClusterAnalysis) -> Table:
    (found,) = analysis.checkpoints
    rows = []
    for key, score in found.scores.items():
        of_class = score.by_class or (None,) * len(analysis.class_names)
        each = (DASH if one is None else shown(one, key) for one in of_class)
        rows.append((named(key), shown(score.overall, key), *each))
    return _table(
        f"{title_of(analysis)}: {found.label}, [95 % interval over patients]",
        ("score", "all", *analysis.class_names),
        tuple(rows),
    )


def _by_checkpoint(analysis: ClusterAnalysis) -> Table:
    rows = tuple(
        (named(key), *(shown(found.scores[key].overall, key) for found in analysis.checkpoints))
        for key in SCORES
    )
    return _table(
        f"{title_of(analysis)}, [95 % interval over patients]",
        ("score", *(found.label for found in analysis.checkpoints)),
        rows,
    )


def _by_method(analysis: ClusterAnalysis) -> Table:
    def cell(found: SeedMean, key: str) -> str:
        if found.estimate.value is None:
            return DASH
        spread = found.std_over_seeds
        return number(found.estimate.value, key) + (
            "" if spread is None else f" ± {number(spread, key)}"
        )

    return _table(
        "Mean ± standard deviation over seeds",
        ("score", *(f"{m.label} ({_seeds(len(m.scores['silhouette'].by_seed))})" for m in analysis.methods)),
        tuple((named(key), *(cell(m.scores[key], key) for m in analysis.methods)) for key in SCORES),
    )  # fmt: skip


def _to_first(analysis: ClusterAnalysis, method: MethodClusters) -> Table:
    """One configuration minus the first: over patients, and with several seeds over those."""
    found = method.difference_to_first or {}
    seeds = max(len(one.by_seed) for one in found.values())
    rows = []
    for key, one in found.items():
        cells = [named(key), shown(one.estimate, key, signed=True)]
        if seeds > 1:
            cells += [interval(one.ci95_over_seeds, key, signed=True)]
            cells += [
                DASH if value is None else number(value, key, signed=True)
                for value in one.by_seed.values()
            ]
        rows.append(tuple(cells))
    columns = ["score", "difference [95 % over patients]"]
    if seeds > 1:
        columns += ["[95 % over seeds]", *(f"seed {seed}" for seed in found["silhouette"].by_seed)]
    return _table(
        f"{method.label} minus {analysis.methods[0].label}, same pixels and resamples",
        tuple(columns),
        tuple(rows),
    )


def _by_class(analysis: ClusterAnalysis) -> list[Table]:
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
            found.append(_table(title, ("checkpoint", *analysis.class_names), tuple(rows)))
    return found


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"


def _table(title: str, columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Table:
    """All columns but the first hold numbers."""
    return Table(title=title, columns=columns, rows=rows, numbers=frozenset(columns[1:]))
