"""Which patients train, validate and test. ED and ES of one patient never part."""

import difflib
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from itertools import combinations
from typing import Any

from dacl.errors import DaclError

_DEV_TRAIN = 50


@dataclass(frozen=True, slots=True)
class Split:
    """Patients by use.

    Attributes:
        name: ``ssl4mis``, ``ssl4mis-dev``, ``random:SEED``, ``phantom`` ...
        train: in labeled order: ``--labeled N`` uses the labels of the first N.
        val: for choosing checkpoints.
        test: read by ``evaluate`` alone.
        missing: patients of the named split that the raw folder does not hold.
        labeled_sets: N -> the N labeled patients, where the split publishes its own set for N. A set is
            complete, whatever patients are missing.
    """

    name: str
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    missing: tuple[str, ...] = ()
    labeled_sets: Mapping[int, tuple[str, ...]] = field(
        default_factory=dict, hash=False, kw_only=True
    )

    def __post_init__(self) -> None:
        """Refuse a split in which a patient stands twice."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        for name, patients in parts.items():
            twice = sorted({p for p in patients if patients.count(p) > 1})
            if twice:
                raise DaclError(
                    f"split {self.name!r}: {', '.join(twice)} twice in {name}",
                    "list each patient once",
                )
        for (name_a, a), (name_b, b) in combinations(parts.items(), 2):
            if shared := sorted(set(a) & set(b)):
                message = f"split {self.name!r}: {', '.join(shared)} in {name_a} and in {name_b}"
                raise DaclError(message, "a patient belongs to one part only")

    @property
    def patients(self) -> tuple[str, ...]:
        """All patients: train, then val, then test."""
        return self.train + self.val + self.test

    @property
    def hash(self) -> str:
        """sha256 of the patients of each part, in order; the name and the missing do not enter."""
        parts = {"test": self.test, "train": self.train, "val": self.val}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def part_of(self, patient: str) -> str:
        """Return ``train``, ``val`` or ``test``, or ``no part`` for a patient outside the split."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return next((name for name, patients in parts.items() if patient in patients), "no part")

    def restricted_to(self, available: Iterable[str]) -> "Split":
        """Keep the available patients, in order; the others become ``missing``."""
        held = set(available)

        def kept(patients: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(patient for patient in patients if patient in held)

        return replace(
            self,
            train=kept(self.train),
            val=kept(self.val),
            test=kept(self.test),
            missing=tuple(patient for patient in self.patients if patient not in held),
        )

    def labeled(self, n: int) -> tuple[str, ...]:
        """Return the published set of ``n`` labeled patients, else the first ``n`` of train.

        DaclError outside 1..len(train), or where a patient of the published set is missing.
        """
        if n in self.labeled_sets:
            published = self.labeled_sets[n]
            absent = [patient for patient in published if patient not in self.train]
            if absent:
                message = (
                    f"split {self.name!r} publishes {', '.join(published)} as its {n} labeled "
                    f"patients; not in this dataset: {', '.join(absent)}"
                )
                raise DaclError(
                    message,
                    "add those cases and prepare again, or choose others: --labeled-cases A,B,... "
                    "or --labeled-order random:0",
                )
            return published
        if not 1 <= n <= len(self.train):
            total = len(self.train)
            message = f"{n} labeled patients asked for, split {self.name!r} trains on {total}"
            raise DaclError(message, f"choose --labeled from 1 to {total}")
        return self.train[:n]

    def drawn(self, n: int, order: str, masked: Collection[str]) -> tuple[str, ...]:
        """Return ``n`` patients of train that have a mask, drawn by ``order``, which is ``random:SEED``."""
        usable = [patient for patient in self.train if patient in masked]
        if not 1 <= n <= len(usable):
            message = f"{n} labeled patients asked for, {len(usable)} train patients have a mask"
            raise DaclError(message, f"choose --labeled from 1 to {len(usable)}")
        return tuple(_shuffled(usable, order.removeprefix("random:"))[:n])

    def chosen(self, names: Sequence[str], masked: Collection[str]) -> tuple[str, ...]:
        """Return the named patients of train; DaclError for one twice, of another part, or without a mask."""
        for name in names:
            if name not in self.train:
                part = self.part_of(name)
                where = "is not in this dataset" if name in self.missing else f"is in {part}"
                near = difflib.get_close_matches(name, self.train, n=3) or list(self.train[:5])
                message = f"labeled case {name!r} {where}, not in train of split {self.name!r}"
                raise DaclError(message, f"train patients are such as {', '.join(near)}")
            if name not in masked:
                raise DaclError(f"labeled case {name!r} has no mask", "choose one that has")
        if len(set(names)) < len(names):
            raise DaclError("a labeled case is named twice", "name each once")
        return tuple(names)


@cache
def _published() -> dict[str, Any]:
    text = (
        resources.files("dacl.data").joinpath("published/splits.json").read_text(encoding="utf-8")
    )
    content: dict[str, Any] = json.loads(text)
    return content


def published_slices(name: str, dataset: str) -> dict[int, int]:
    """Return labeled patients -> slices as published with a split; empty where nothing was."""
    if name == "ssl4mis-dev":
        return {
            n: slices
            for n, slices in published_slices("ssl4mis", dataset).items()
            if n <= _DEV_TRAIN
        }
    entry = _published().get(dataset, {}).get(name, {})
    return {int(n): slices for n, slices in entry.get("slices_by_labelled_patients", {}).items()}


def named(name: str, dataset: str) -> Split:
    """Return a split that ships with dacl, complete, in published order.

    ``ssl4mis-dev`` is made of the train and val lists of ``ssl4mis`` alone: train = the first 50 of
    train, val = val, test = the last 20 of train. It is the split to develop on, so that the
    published test patients stay unseen.
    """
    entries = _published().get(dataset, {})
    if name == "ssl4mis-dev" and "ssl4mis" in entries:
        whole = named("ssl4mis", dataset)
        return Split(name, whole.train[:_DEV_TRAIN], whole.val, whole.train[_DEV_TRAIN:])
    if name not in entries:
        known = [
            *entries,
            *(["ssl4mis-dev"] if "ssl4mis" in entries else []),
            "random:SEED",
            "kfold:K:I",
        ]
        raise DaclError(f"no split {name!r} for {dataset}", f"choose one of: {', '.join(known)}")
    entry = entries[name]
    parts = (tuple(entry[part]) for part in ("train", "val", "test"))
    sets = {int(n): tuple(patients) for n, patients in entry.get("labelled", {}).items()}
    return Split(name, *parts, labeled_sets=sets)


def random_split(seed: int, labeled: Iterable[str], unlabeled: Iterable[str] = ()) -> Split:
    """Draw 70 % train, 10 % val, 20 % test of the labeled patients; the unlabeled close train."""
    order = _shuffled(labeled, str(seed))
    n_val, n_test = max(1, round(len(order) * 0.1)), max(1, round(len(order) * 0.2))
    if len(order) < 3:
        raise DaclError(
            f"{len(order)} labeled patients cannot be split", "a random split needs at least 3"
        )
    n_train = len(order) - n_val - n_test
    train = (*order[:n_train], *sorted(unlabeled))
    return Split(
        f"random:{seed}",
        train,
        tuple(order[n_train : n_train + n_val]),
        tuple(order[n_train + n_val :]),
    )


def fold_split(
    n_folds: int, fold: int, labeled: Iterable[str], unlabeled: Iterable[str] = ()
) -> Split:
    """Cut the labeled patients into folds: val is this one, test the next, train the others.

    Over all folds every patient is tested once. The unlabeled close train.
    """
    order = _shuffled(labeled, "fold")
    if len(order) < n_folds:
        message = f"{len(order)} labeled patients cannot be cut into {n_folds} folds"
        raise DaclError(message, "choose fewer folds, at least 3, or --split random:0")
    folds = [tuple(order[start::n_folds]) for start in range(n_folds)]
    val, test = fold, (fold + 1) % n_folds
    train = [patient for patient in order if patient not in folds[val] + folds[test]]
    name = f"kfold:{n_folds}:{fold}"
    return Split(name, (*train, *sorted(unlabeled)), folds[val], folds[test])


def _shuffled(patients: Iterable[str], seed: str) -> list[str]:
    # A generator's shuffle may change with the Python version, an order by hash cannot.
    return sorted(
        patients, key=lambda patient: hashlib.sha256(f"{seed}:{patient}".encode()).hexdigest()
    )


_FOLD = re.compile(r"kfold:(\d+):(\d+)")


def check_name(name: str, dataset: str) -> None:
    """Refuse, with a DaclError, a name that ``resolve`` does not know, whatever patients there are."""
    kind, _, seed = name.partition(":")
    if kind == "random" and not seed.isdecimal():
        raise DaclError(
            f"split {name!r} has no valid seed", "write it as random:SEED, for example random:0"
        )
    if kind == "kfold":
        match = _FOLD.fullmatch(name)
        if match is None or int(match[1]) < 3 or int(match[2]) >= int(match[1]):
            hint = "write it as kfold:K:I, K at least 3 and I from 0 to K - 1: kfold:5:0"
            raise DaclError(f"split {name!r} is no fold", hint)
    elif kind != "random":
        named(name, dataset)


def resolve(
    name: str, dataset: str, labeled: Iterable[str], unlabeled: Iterable[str] = ()
) -> Split:
    """Return the split called ``name``, restricted to the patients at hand.

    Args:
        name: a shipped split, ``random:SEED`` or ``kfold:K:I``.
        dataset: ``acdc``, ...
        labeled: patients at hand with at least one mask.
        unlabeled: patients at hand without.
    """
    labeled, unlabeled = tuple(labeled), tuple(unlabeled)
    check_name(name, dataset)
    kind, _, seed = name.partition(":")
    if kind == "random":
        return random_split(int(seed), labeled, unlabeled)
    if match := _FOLD.fullmatch(name):
        return fold_split(int(match[1]), int(match[2]), labeled, unlabeled)
    return named(name, dataset).restricted_to(labeled + unlabeled)
