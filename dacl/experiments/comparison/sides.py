"""Evaluated runs grouped into the sides of a comparison: the seeds of one configuration are one side, with a name.

Runs belong together when they agree in their recipe (all but seed and machine) and in their protocol; what the recipe
was is read from the run, else from the hash in its summary.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dacl.config import recipe, resolve
from dacl.errors import DaclError
from dacl.experiments.folders import Place, find_evaluations, run_of
from dacl.experiments.measured import read_recipe, read_summary
from dacl.experiments.tables import NOTED, Summary, require_network
from dacl.protocol import Protocol, differences
from dacl.training import checkpoint

MOST_SETTINGS = 4
"""A label names so many settings and counts the others."""
SHORT = 7
"""Characters of a hash in a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRun:
    """One evaluated run."""

    path: Path
    """As it was given."""
    evaluation: Path
    run_dir: Path | None
    """None for an evaluation that lies apart from its run."""
    summary: Summary
    recipe: Mapping[str, Any] | None
    """`config.recipe`; None where no folder says."""

    @property
    def seed(self) -> int:
        """Of its training."""
        return int(self.summary["provenance"]["seed"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The runs of one configuration."""

    label: str
    """Of no other side."""
    runs: Mapping[int, SideRun]
    """Seed -> run, ascending."""

    @property
    def first(self) -> SideRun:
        """Of the smallest seed."""
        return next(iter(self.runs.values()))

    @property
    def method(self) -> str:
        """Of all its runs."""
        return str(self.first.summary["provenance"]["method"])

    @property
    def labeled(self) -> int:
        """Labelled patients."""
        return len(self.first.summary["protocol"]["labeled_patients"])


def read_sides(paths: Sequence[Path], place: Place, network: str) -> tuple[Side, ...]:
    """The sides in the order in which they are first met.

    Args:
        paths: folders of runs or of evaluations.
        place: which evaluation of a run is meant.
        network: that every run must have.

    Raises:
        DaclError: a run without evaluation of its checkpoint (the hint is what to type), without the network, or a seed
            twice on a side.
    """
    found = find_evaluations(paths, place)
    runs = [_read(path, evaluation) for path, evaluation in zip(paths, found, strict=True)]
    _require_current(runs, place)
    require_network([run.summary for run in runs], network)
    groups: dict[str, dict[int, SideRun]] = {}
    for run in runs:
        group = groups.setdefault(_key(run), {})
        if run.seed in group:
            raise DaclError(
                f"{group[run.seed].path} and {run.path} are both {run.summary['provenance']['method']} "
                f"seed {run.seed} of one configuration",
                "give every seed once: counted twice it makes the spread over seeds too small",
            )
        group[run.seed] = run
    sides = [Side(label="", runs=dict(sorted(group.items()))) for group in groups.values()]
    return tuple(
        replace(side, label=label) for side, label in zip(sides, _labels(sides), strict=True)
    )


def choose_reference(sides: Sequence[Side], name: str | None) -> Side:
    """The first side, or the one that `name` means: its label, its method, or the path or name of one of its runs.

    Raises:
        DaclError: `name` means none or several.
    """
    if name is None:
        return sides[0]
    for names in (_is_label, _is_run, _is_method):
        found = [side for side in sides if names(side, name)]
        if len(found) == 1:
            return found[0]
    raise DaclError(
        f"--reference {name!r} means {'several sides' if found else 'no side'}",
        f"sides: {'; '.join(side.label for side in sides)} (a label, or one of the folders given)",
    )


def _is_label(side: Side, name: str) -> bool:
    return side.label == name


def _is_run(side: Side, name: str) -> bool:
    return any(run.path == Path(name) or _name(run) == name for run in side.runs.values())


def _is_method(side: Side, name: str) -> bool:
    return side.method == name


def _read(path: Path, evaluation: Path) -> SideRun:
    run_dir = run_of(evaluation)
    return SideRun(
        path=path,
        evaluation=evaluation,
        run_dir=run_dir,
        summary=read_summary(evaluation),
        recipe=None if run_dir is None else read_recipe(run_dir),
    )


def _require_current(runs: Sequence[SideRun], place: Place) -> None:
    """Refuse runs that were trained on since they were evaluated; an evaluation named itself is what is meant."""
    stale = []
    for run in runs:
        made = run.summary["provenance"]
        held = None if run.run_dir is None else run.run_dir / str(made.get("checkpoint"))
        if run.evaluation == run.path or held is None or not held.is_file():
            continue
        try:
            step = checkpoint.load(held, mapped=True).get("step")
        except DaclError:  # damaged, or not here in full: the tables are
            continue
        judged = made.get("checkpoint_step")
        if step != judged:
            text = f"{run.evaluation} judged step {judged}, {held} is of step {step} now"
            stale.append((text, place.command(run.path)))
    if stale:
        texts, commands = zip(*stale, strict=True)
        raise DaclError("; ".join(texts), " && ".join(dict.fromkeys(commands)))


def _key(run: SideRun) -> str:
    """What runs of one side share."""
    record = run.summary["provenance"]
    if run.recipe is not None:
        # As config_hash makes it, so that a run and an evaluation apart from its run meet; and of today's recipe, so
        # that evaluations of several versions do.
        text = json.dumps(run.recipe, sort_keys=True)
        what = hashlib.sha256(text.encode()).hexdigest()
    else:
        what = record.get("config_hash") or repr([record["method"], *map(record.get, NOTED)])
    return f"{what} {run.summary['protocol']!r}"


def _labels(sides: Sequence[Side]) -> list[str]:
    """The method, and what tells sides of one name apart: labels, settings, then protocol, then folders."""
    labels = [side.method for side in sides]
    if len({side.labeled for side in sides}) > 1:
        labels = [f"{x}, {side.labeled} labelled" for x, side in zip(labels, sides, strict=True)]
    for tell in (_settings, _protocol, _folder):
        for alike in [x for x in dict.fromkeys(labels) if labels.count(x) > 1]:
            places = [n for n, label in enumerate(labels) if label == alike]
            for n, extra in zip(places, tell([sides[n] for n in places]), strict=True):
                labels[n] = ", ".join([alike, *extra])
    return labels


def _settings(sides: Sequence[Side]) -> list[list[str]]:
    """`contrast.weight=0.03`: settings in which the sides differ, where they depart from the preset."""
    recipes = [side.first.recipe for side in sides]
    if any(x is None for x in recipes):
        return _differing(
            [{key: side.first.summary["provenance"].get(key) for key in NOTED} for side in sides]
        )
    known = [x for x in recipes if x is not None]
    differing = _differing_keys(known)
    found = []
    for values in known:
        default = recipe(resolve(values["preset"], {"method": values["method"]}))
        departs = [
            f"{key}={short_value(values.get(key))}"
            for key in differing
            if key == "preset" or values.get(key) != default.get(key)
        ]
        more = len(departs) - MOST_SETTINGS
        found.append(departs if more <= 0 else [*departs[:MOST_SETTINGS], f"{more} more"])
    return found


def _protocol(sides: Sequence[Side]) -> list[list[str]]:
    """The first field that tells all of them apart, or else every field that differs."""
    protocols = [side.first.summary["protocol"] for side in sides]
    for key in _differing_keys(protocols):
        values = [short_value(protocol.get(key)) for protocol in protocols]
        if len(set(values)) == len(values):
            return [[f"{key}={value}"] for value in values]
    return _differing(protocols)


def _folder(sides: Sequence[Side]) -> list[list[str]]:
    """What the folders of a side's runs are called, and the hash of the configuration where that says nothing."""
    stems = [
        {re.sub(r"[-_]?seed[-_]?\d+$", "", _name(run)) for run in side.runs.values()}
        for side in sides
    ]
    names = [stem.pop() if len(stem) == 1 else "" for stem in stems]
    if all(names) and len(set(names)) == len(names):
        return [[name] for name in names]
    hashes = [str(side.first.summary["provenance"].get("config_hash"))[:SHORT] for side in sides]
    if len(set(hashes)) == len(hashes):
        return [[f"configuration {x}"] for x in hashes]
    return [[f"group {n}"] for n in range(1, len(sides) + 1)]


def _name(run: SideRun) -> str:
    """Of the run's folder, or of the evaluation's where there is no run."""
    return (run.run_dir or run.evaluation).resolve().name


def _differing(values: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    keys = _differing_keys(values)
    return [[f"{key}={short_value(each.get(key))}" for key in keys] for each in values]


def _differing_keys(values: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for each in values for key in each)
    return [key for key in keys if any(each.get(key) != values[0].get(key) for each in values)]


def protocol_differences(first: Summary, second: Summary) -> list[str]:
    """`dataset: blocks != acdc` for all that was not measured alike but the networks, which a method brings."""
    one, two = first["protocol"], second["protocol"]
    found = []
    for line in differences(
        Protocol.model_validate(one), Protocol.model_validate(two), axis=frozenset({"networks"})
    ):
        field = line.partition(":")[0]
        first_value, second_value = short_value(one[field]), short_value(two[field])
        alike = first_value == second_value  # shortened too far
        found.append(line if alike else f"{field}: {first_value} != {second_value}")
    return found


def short_value(value: Any) -> str:
    """Of a hash its head, of a rule its name, of a list of patients how many."""
    if isinstance(value, list) and value and all(isinstance(x, str) for x in value):
        return f"{len(value)} ({value[0]}, ...)"
    text = str(value).partition(":")[0]
    return text[:SHORT] if len(text) == 64 else text
