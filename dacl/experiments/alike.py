"""Whether the cells of a table differ in their rows and seeds alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from dacl.config import with_unsaid
from dacl.errors import DaclError
from dacl.experiments.ablation import ALL_LABELED
from dacl.experiments.measured import RowResult
from dacl.experiments.tables import NOTED, disagreements, require_network

# Provenance of a summary -> the key of the configuration that a row may set.
SETTABLE = {"preset": "preset", "steps": "optim.steps"}


def check_alike(results: Sequence[RowResult], *, network: str, force: bool = False) -> list[str]:
    """What differs in more than the rows' own settings; refused unless forced.

    Protocols may differ in the networks that a method has, and in the labelled patients of the row that has all of
    them. Configurations may differ in what each row sets.

    Raises:
        DaclError: nothing was run, a network that a run does not have, or runs that were not measured alike.
    """
    there = {result.row.key: result for result in results if result.runs}
    if not there:
        raise DaclError("no cell of this table was run", "run the cells first")
    summaries = {key: [run.summary for run in x.runs.values()] for key, x in there.items()}
    require_network([s for runs in summaries.values() for s in runs], network)
    networks, labels = frozenset({"networks"}), frozenset({"labeled_patients"})
    varies = {key: networks | labels if key == ALL_LABELED else networks for key in there}
    found = [
        *disagreements(summaries, varies),
        *_other_seeds(there),
        *_other_budgets(there),
        *_other_recipes(there),
    ]
    if found and not force:
        raise DaclError(
            f"these results were not measured alike: {'; '.join(found)}",
            "run the rows anew from one configuration, on one dataset, into a folder of their own",
        )
    return found


def unrecorded(results: Sequence[RowResult]) -> list[str]:
    """Cells whose configuration is not known and was not compared."""
    return [
        f"{result.row.key} seed {seed}"
        for result in results
        for seed, run in result.runs.items()
        if run.recipe is None
    ]


def _other_seeds(there: Mapping[str, RowResult]) -> list[str]:
    return [
        f"row {key}, seed {seed} holds a run of seed {run.summary['provenance']['seed']}"
        for key, result in there.items()
        for seed, run in result.runs.items()
        if run.summary["provenance"]["seed"] != seed
    ]


def _other_budgets(there: Mapping[str, RowResult]) -> list[str]:
    found = []
    for name in NOTED:
        values: dict[str, str] = {}
        for key, result in there.items():
            if SETTABLE[name] not in flat(result.row.settings):
                first = result.first.summary["provenance"]
                values.setdefault(str(first.get(name)), key)
        if len(values) > 1:
            found.append(f"{name}: " + ", ".join(f"{x} in row {key}" for x, key in values.items()))
    return found


def _other_recipes(there: Mapping[str, RowResult]) -> list[str]:
    """A cell that is not its row, and settings that no row makes but which differ."""
    found: dict[str, None] = {}
    seen: dict[str, tuple[str, Any]] = {}
    for row, result in there.items():
        own = flat(result.row.settings)
        for seed, run in result.runs.items():
            for key, value in (with_unsaid(run.recipe) if run.recipe else {}).items():
                if key in own:
                    if value != own[key]:
                        found[f"row {row}, seed {seed} has {key} = {value}, not {own[key]}"] = None
                elif key not in SETTABLE.values() and not result.row.follows(key):
                    first, other = seen.setdefault(key, (row, value))
                    if value != other:
                        found[f"{key}: {other} in row {first}, {value} in row {row}"] = None
    return list(found)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted keys."""
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[prefix + key] = value
    return values
