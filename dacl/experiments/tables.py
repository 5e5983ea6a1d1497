"""Tables of results: one run, or several that were measured under the same protocol.

A comparison varies the axis it declares and nothing else; it refuses other mixtures unless forced,
and then says so in the table.
"""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from dacl.errors import DaclError
from dacl.metrics.summary import FOREGROUND
from dacl.protocol import Protocol, differences
from dacl.table import Table

Summary = dict[str, Any]
"""Content of a summary.json."""

COLUMNS = {
    "dice": ("Dice %", 100.0, 2),
    "jc": ("JC %", 100.0, 2),
    "asd_vox": ("ASD vox", 1.0, 2),
    "hd95_vox": ("HD95 vox", 1.0, 2),
    "asd_mm": ("ASD mm", 1.0, 2),
    "hd95_mm": ("HD95 mm", 1.0, 2),
}
"""Metric -> heading, factor, decimals. ASSD stands in cases.csv and summary.json."""

AXES: dict[str, frozenset[str]] = {
    # A method brings its own networks; each table says which one it judges.
    "method": frozenset({"networks"}),
    "seed": frozenset(),
    "labeled": frozenset({"labeled_patients"}),
    # A table with an upper bound: the method and how many labels it had.
    "training": frozenset({"networks", "labeled_patients"}),
}
"""What a comparison may vary -> the protocol fields that vary with it."""

# Provenance that makes rows differ in more than the axis: noted under the table, not refused.
NOTED = ("preset", "steps")
# What runs of one row share. The hash is of the configuration without seed and machine; it differs
# between methods by nature, and older results have none.
SHARED_IN_A_ROW = (*NOTED, "config_hash")


NUMBERS = frozenset(heading for heading, _, _ in COLUMNS.values())
"""Their headings: columns of numbers."""


def result_table(summary: Summary) -> Table:
    """Network x class of one run; the foreground rows are the means of the class rows."""
    rows: list[tuple[str | None, ...]] = []
    for network, classes in summary["networks"].items():
        for name, scores in classes.items():
            cells = [format_metric(scores[metric]["mean"], metric) for metric in COLUMNS]
            interval = scores["dice"]["ci95_over_patients"]
            between = "-".join(format_metric(bound, "dice") or "" for bound in interval or ())
            rows.append((network, name, *cells, between or None))
    headings = (heading for heading, _, _ in COLUMNS.values())
    return Table(
        title=title_of(summary),
        columns=("network", "class", *headings, "Dice 95 % CI"),
        rows=tuple(rows),
        notes=(*protocol_lines(summary), *summary["notes"]),
        numbers=NUMBERS,
    )


def protocol_lines(summary: Summary) -> tuple[str, ...]:
    """The protocol of a result in a few lines of prose."""
    protocol = Protocol.model_validate(summary["protocol"])
    data = "synthetic data, not scans: " if protocol.synthetic else ""
    return (
        f"{data}{protocol.dataset} {protocol.dataset_fingerprint[:12]}, split {protocol.split} "
        f"{protocol.split_hash[:12]}, judged on {protocol.evaluated_on}: "
        f"{summary['n_patients']} patients, {summary['n_volumes']} volumes",
        f"trained with {len(protocol.labeled_patients)} labelled patients: "
        f"{', '.join(protocol.labeled_patients)}",
        f"checkpoint {protocol.checkpoint_rule}, {protocol.resolution} resolution, "
        f"post-processing {protocol.post_processing}",
        f"empty masks: {protocol.empty_rule}",
        f"averages: {protocol.averaging}",
    )


def comparison_table(
    summaries: Sequence[Summary], axis: str = "method", *, network: str = "a", force: bool = False
) -> Table:
    """Foreground means of several runs, a row per value of the axis.

    Runs that share a value (seeds of one method) become one row: mean and standard deviation over
    runs. They differ in the seed alone, and seeds are the same in every row.

    Args:
        summaries: contents of summary.json files.
        axis: what may differ: `method`, `seed`, `labeled`, or `training` (method and labels).
        network: the network judged in every row.
        force: compare although protocols differ, and say so in the table.

    Raises:
        DaclError: nothing to compare, an unknown axis or network, or protocols that differ
            in more than the axis; a seed twice in a row, forced or not.
    """
    if not summaries:
        raise DaclError("no results to compare", "run `dacl evaluate RUN` first")
    if axis not in AXES:
        raise DaclError(f"unknown axis {axis!r}", f"axes: {', '.join(AXES)}")
    require_network(summaries, network)
    groups = _grouped(summaries, axis)
    mixture = _mixture(list(groups.values()), axis)
    if mixture and not force:
        raise DaclError(
            f"these results were not measured alike: {'; '.join(mixture)}",
            f"compare runs that differ in {axis} alone",
        )
    rows = [
        (value, str(len(group)), *(_cell(group, network, metric) for metric in COLUMNS))
        for value, group in groups.items()
    ]
    return Table(
        title=title_of(summaries[0], f"by {axis}"),
        columns=(axis, "runs", *(heading for heading, _, _ in COLUMNS.values())),
        rows=tuple(rows),
        notes=(
            *_comparison_notes(groups, axis, network),
            *(f"NOT COMPARABLE, forced: {line}" for line in mixture),
        ),
        numbers=NUMBERS,
    )


def _grouped(summaries: Sequence[Summary], axis: str) -> dict[str, list[Summary]]:
    """Value of the axis -> its runs, in the order given; DaclError where one stands twice in a row."""
    groups: dict[str, list[Summary]] = {}
    for summary in summaries:
        value = _axis_value(summary, axis)
        group = groups.setdefault(value, [])
        if any(_same_run(summary, other) for other in group):
            raise DaclError(
                f"{_name(summary)} stands twice in the row {value!r}",
                "give every run once: counted twice it makes the spread over seeds too small",
            )
        group.append(summary)
    return groups


def _comparison_notes(
    groups: Mapping[str, Sequence[Summary]], axis: str, network: str
) -> list[str]:
    """The protocol of the first run, what the means are over, and what beside the axis may tell rows apart."""
    first = next(iter(groups.values()))[0]
    notes = [*protocol_lines(first), f"network {network}, mean over foreground classes"]
    if axis in ("labeled", "training"):
        del notes[1]  # the labelled patients of the first row only
    most = max(len(group) for group in groups.values())
    notes.append(
        "one seed: differences between rows have no spread to be held against"
        if most == 1
        else "± standard deviation over runs of one row (seeds), not over patients"
    )
    for key in NOTED:
        values = {value: str(group[0]["provenance"].get(key)) for value, group in groups.items()}
        if len(set(values.values())) > 1:
            notes.append(f"{key} differ: " + ", ".join(f"{v} {x}" for v, x in values.items()))
    return notes


def require_network(summaries: Sequence[Summary], network: str) -> None:
    """DaclError if one of them has no such network."""
    for summary in summaries:
        if network not in summary["networks"]:
            raise DaclError(
                f"{_name(summary)} has no network {network!r}",
                f"it has {', '.join(summary['networks'])}",
            )


def _mixture(groups: list[list[Summary]], axis: str) -> list[str]:
    """What differs between results and is not on the axis."""
    rows = {_axis_value(group[0], axis): group for group in groups}
    found = dict.fromkeys(disagreements(rows, dict.fromkeys(rows, AXES[axis])))
    if axis not in ("method", "training"):
        methods = sorted({s["provenance"]["method"] for group in groups for s in group})
        if len(methods) > 1:
            found[f"method: {', '.join(methods)}"] = None
    if axis != "seed":
        seeds = [sorted(s["provenance"]["seed"] for s in group) for group in groups]
        if any(of_row != seeds[0] for of_row in seeds):
            found[f"seeds: {' and '.join(str(of_row) for of_row in seeds)}"] = None
    return list(found)


def disagreements(
    rows: Mapping[str, Sequence[Summary]], varies: Mapping[str, frozenset[str]]
) -> list[str]:
    """What differs between the runs of a row, and between rows in more than their own protocol fields.

    Args:
        rows: name -> its runs, at least one each.
        varies: name -> protocol fields in which this row may differ from the others.
    """
    found: dict[str, None] = {}
    protocols = {
        name: [Protocol.model_validate(s["protocol"]) for s in runs] for name, runs in rows.items()
    }
    # Against a row that varies least, or what one row alone may vary would go unseen in the others.
    reference = min(rows, key=lambda name: len(varies[name]))
    for name, (first, *others) in protocols.items():
        axis = varies[name] | varies[reference]
        found |= dict.fromkeys(differences(protocols[reference][0], first, axis=axis))
        for other in others:
            found |= dict.fromkeys(differences(first, other))
    for name, runs in rows.items():
        for key in SHARED_IN_A_ROW:
            values = dict.fromkeys(
                str(s["provenance"][key])[:12] for s in runs if key in s["provenance"]
            )
            if len(values) > 1:
                found[f"{key} in row {name}: {', '.join(values)}"] = None
    return list(found)


def _same_run(first: Summary, second: Summary) -> bool:
    """Method, seed and protocol agree; a seed twice under two protocols is a mixture."""
    return _name(first) == _name(second) and first["protocol"] == second["protocol"]


def _axis_value(summary: Summary, axis: str) -> str:
    labeled = len(summary["protocol"]["labeled_patients"])
    if axis == "labeled":
        return str(labeled)
    if axis == "training":
        return f"{summary['provenance']['method']}, {labeled} labelled"
    return str(summary["provenance"][axis])


def _cell(group: list[Summary], network: str, metric: str) -> str | None:
    values = [s["networks"][network][FOREGROUND][metric]["mean"] for s in group]
    if any(value is None for value in values):
        return None
    text = format_metric(mean(values), metric)
    return text if len(values) == 1 else f"{text} ± {format_metric(stdev(values), metric)}"


def format_metric(value: float | None, metric: str) -> str | None:
    """The value of a metric in the unit and with the decimals of its column; None stays None."""
    _, factor, decimals = COLUMNS[metric]
    return None if value is None else f"{factor * value:.{decimals}f}"


def _name(summary: Summary) -> str:
    return f"{summary['provenance']['method']} seed {summary['provenance']['seed']}"


def title_of(summary: Summary, what: str = "") -> str:
    """Dataset, synthetic or not, and what it was judged on, with `what` or the run's name."""
    protocol = summary["protocol"]
    synthetic = " (synthetic)" if protocol["synthetic"] else ""
    return f"{protocol['dataset']}{synthetic}, {protocol['evaluated_on']}: {what or _name(summary)}"
