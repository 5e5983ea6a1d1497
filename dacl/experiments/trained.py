"""How the runs of a table were trained: from which commits, in which precision and where. Noted, not refused."""

from collections.abc import Mapping, Sequence
from typing import Any

from dacl.experiments.measured import RowResult

SHORT = 7
"""Characters of a commit."""
MODIFIED, UNKNOWN = " with uncommitted changes", "unknown"


def training_notes(results: Sequence[RowResult]) -> list[str]:
    """One line on what all runs share, one for each thing in which they differ, with the rows that have it."""
    recorded = {
        (result.row.key, seed): run.summary["provenance"].get("training")
        for result in results
        for seed, run in result.runs.items()
    }
    known = {cell: record for cell, record in recorded.items() if record is not None}
    lines = []
    if known:
        setups = {cell: f"{x.get('precision')} on {x.get('device')}" for cell, x in known.items()}
        commits = {cell: _commit(x.get("git")) for cell, x in known.items()}
        threads = {cell: str(x.get("threads")) for cell, x in known.items()}
        shared = [
            f"{before} {next(iter(values.values()))}"
            for before, values in (("in", setups), ("from commit", commits))
            if len(set(values.values())) == 1
        ]
        if shared:
            lines.append(f"trained {', '.join(shared)}")
        for what, values in (
            ("trained from commits", commits),
            ("trained in", setups),
            ("CPU threads of training", threads),
        ):
            if len(set(values.values())) > 1:
                lines.append(f"{what} {_by_value(values, results)}")
    if len(known) < len(recorded):
        unknown = dict.fromkeys(recorded.keys() - known.keys(), "not recorded")
        lines.append(f"commit, precision and device of training {_by_value(unknown, results)}")
    return lines


def _commit(git: Mapping[str, Any] | None) -> str:
    if git is None:
        return UNKNOWN
    return git["commit"][:SHORT] + (MODIFIED if git.get("modified") else "")


def _by_value(values: Mapping[tuple[str, int], str], results: Sequence[RowResult]) -> str:
    """`abc1234 (rows I, II), def5678 (row III seed 1)`."""
    places: dict[str, list[str]] = {}
    for result in results:
        key = result.row.key
        of_row: dict[str, list[int]] = {}
        for seed in result.runs:
            if (key, seed) in values:
                of_row.setdefault(values[key, seed], []).append(seed)
        for value, seeds in of_row.items():
            whole = len(seeds) == len(result.runs)
            names = [key] if whole else [f"{key} seed {seed}" for seed in seeds]
            places.setdefault(value, []).extend(names)
    return ", ".join(
        f"{value} ({'row' if len(names) == 1 else 'rows'} {', '.join(names)})"
        for value, names in places.items()
    )
