"""Checkpoints by configuration: the seeds of one configuration belong together, and have a name of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dacl.config import Config, config_hash, resolve, settings_of
from dacl.errors import DaclError

MOST_SETTINGS = 2
"""A label names so many settings and counts the others."""


@dataclass(frozen=True, slots=True)
class Member:
    """A checkpoint as far as its name goes."""

    path: Path
    config: Config
    rule: str
    """Why its step was kept: `best`, `latest`, or the name of its file."""


@dataclass(frozen=True, slots=True)
class Group:
    """The seeds of one configuration."""

    label: str
    members: Mapping[int, int]
    """Seed -> index of the checkpoint, in the order given."""


def group_by_configuration(members: Sequence[Member]) -> tuple[Group, ...]:
    """Groups in the order in which they are first met.

    Raises:
        DaclError: a seed stands twice in a group.
    """
    found: dict[tuple[str, str], dict[int, int]] = {}
    for index, member in enumerate(members):
        group = found.setdefault((config_hash(member.config), member.rule), {})
        seed = member.config.seed
        if seed in group:
            raise DaclError(
                f"{members[group[seed]].path} and {member.path} are both {member.config.method} seed {seed} "
                "of one configuration",
                "give every seed once: counted twice it makes the spread over seeds too small",
            )
        group[seed] = index
    firsts = [members[next(iter(group.values()))] for group in found.values()]
    labels = _labels(firsts)
    return tuple(Group(label, group) for label, group in zip(labels, found.values(), strict=True))


def _labels(firsts: Sequence[Member]) -> list[str]:
    """The method, and what tells groups of one method apart: settings, then the rule, then a number."""
    labels: list[str] = [member.config.method for member in firsts]
    for tell in (_settings, lambda alike: [member.rule for member in alike]):
        for name in [x for x in dict.fromkeys(labels) if labels.count(x) > 1]:
            places = [n for n, label in enumerate(labels) if label == name]
            for n, extra in zip(places, tell([firsts[n] for n in places]), strict=True):
                labels[n] = f"{name}, {extra}" if extra else name
    return [
        label if labels.count(label) == 1 else f"{label} ({n})"
        for n, label in enumerate(labels, start=1)
    ]


def _settings(alike: Sequence[Member]) -> list[str]:
    """`sampling=random`: settings in which they differ, where they depart from the preset."""
    recipes = [settings_of(member.config) for member in alike]
    differing = [key for key in recipes[0] if len({str(each.get(key)) for each in recipes}) > 1]
    found = []
    for member, values in zip(alike, recipes, strict=True):
        preset = member.config.preset
        default: dict[str, Any] = settings_of(resolve(preset, {"method": member.config.method}))
        departs = [
            f"{key.rpartition('.')[2]}={values.get(key)}"
            for key in differing
            if values.get(key) != default.get(key)
        ]
        more = len(departs) - MOST_SETTINGS
        found.append(", ".join([*departs[:MOST_SETTINGS], *([f"{more} more"] if more > 0 else [])]))
    return found
