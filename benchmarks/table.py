"""The records as a Markdown table, a section per part."""

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("what", "on", "ours", "memory", "reference", "takes", "ratio", "target", "")


def markdown(records: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any]) -> str:
    """What was measured where, then a table per part, as the records come."""
    lines = [
        ", ".join(f"{name} {value}" for name, value in provenance.items() if name != "cpu_flags"),
        "",
        "Medians, with the quartiles in brackets. A ratio is how many times as fast as the reference, or, where it "
        "says `cost`, how many times its time. Memory: the highest above what the set-up held.",
    ]
    for part in dict.fromkeys(record["part"] for record in records):
        own = [record for record in records if record["part"] == part]
        told = ", ".join(dict.fromkeys(_conditions(record) for record in own))
        lines += ["", f"### {part}", "", told, "", _row(HEAD), _row(["---"] * len(HEAD))]
        lines += [_row(_cells(record)) for record in own]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _conditions(record: Mapping[str, Any]) -> str:
    threads = f"{record['threads']} thread{'s' * (record['threads'] != 1)}"
    return f"{threads}, allocator {record['allocator']}, {record['device']}"


def _cells(record: Mapping[str, Any]) -> list[str]:
    ratio = target = ""
    if record["ratio"] is not None:
        cost = " cost" if record["ratio_of"] == "ours / reference" else ""
        low, high = number(record["ratio_low"]), number(record["ratio_high"])
        ratio = f"**{number(record['ratio'])}**{cost} ({low}-{high})"
    if record["target"] is not None:
        target = f"{record['target']}: {'met' if record['met'] else '**missed**'}"
    notes = [record["precision"], record["note"]]
    if record["cached_on"]:
        notes.append(f"reference cached on {record['cached_on']}")
    return [
        record["name"],
        record["size"],
        f"{number(record['median'])} {record['unit']} ({number(record['low'])}-{number(record['high'])})",
        _memory(record),
        record["reference"] or "",
        ""
        if record["reference_median"] is None
        else f"{number(record['reference_median'])} {record['unit']}",
        ratio,
        target,
        "; ".join(note for note in notes if note),
    ]


def _memory(record: Mapping[str, Any]) -> str:
    ours, theirs = record["memory_mb"], record["reference_memory_mb"]
    if ours is None:
        return ""
    return f"{ours:.0f} MB" + ("" if theirs is None else f" (reference {theirs:.0f})")


def number(value: float) -> str:
    """Three digits, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".")
