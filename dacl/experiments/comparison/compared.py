"""Sides held against one of them, patient by patient: differences per class, a test, who won, which volumes moved.

Only cells (a volume and a class) that are defined in every run of both sides take part, or two sides would be means
over different things. Frames of a patient are averaged first, then classes for the foreground, then seeds.

Shape legend: S seeds (runs of a side), V volumes, P patients, C foreground classes; K is C and the foreground mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from dacl.errors import DaclError
from dacl.experiments.case_scores import (
    CaseScores,
    patient_means,
    read_scores,
    shared_cells,
)
from dacl.experiments.comparison.moved_cases import MovedCase, moved_cases
from dacl.experiments.comparison.sides import Side, protocol_differences
from dacl.experiments.comparison.signed_rank import DECIMALS, SignedRank, holm, signed_rank
from dacl.experiments.paired import Difference, paired_difference
from dacl.metrics.means import defined_mean
from dacl.metrics.summary import FOREGROUND

HIGHER_IS_BETTER = frozenset({"dice", "jc"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDifference:
    """A class, or the foreground mean, of one side minus the reference."""

    name: str
    patients: tuple[str, ...]
    """Those with a defined value on both sides."""
    gain_by_patient: tuple[float, ...]
    """Seeds averaged."""
    reference_mean: float | None
    """Over these patients and all seeds; None where no patient has a value."""
    side_mean: float | None
    difference: Difference | None
    test: SignedRank | None
    p_holm: float | None
    """Over the classes; the foreground mean is no part of that family."""
    wins: int
    """Patients for whom the side is better, which for a distance is lower."""
    losses: int
    ties: int
    claim: bool
    """`Difference.excludes_zero`, between results that were measured alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideDifference:
    """One side minus the reference."""

    side: Side
    rows: tuple[ClassDifference, ...]
    """The classes in their order, the foreground mean last."""
    improved: tuple[MovedCase, ...]
    """Most first."""
    worsened: tuple[MovedCase, ...]
    mixture: tuple[str, ...]
    """In what the two were not measured alike; not empty only where that was forced."""
    paired: bool
    """Seed by seed; else each side is averaged over its seeds."""
    undefined: int
    """Cells left out because a run has no value there."""
    contested: int
    """Those of them where another run has one: `SharedCells`."""
    unshared: int
    """Volumes left out because a run does not hold them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """All sides against one."""

    reference: Side
    metric: str
    """Of dacl.metrics.conventions.METRICS, in its unit there."""
    network: str
    differences: tuple[SideDifference, ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        """The reference first."""
        return (self.reference, *(each.side for each in self.differences))

    @property
    def higher_is_better(self) -> bool:
        """Of the metric."""
        return self.metric in HIGHER_IS_BETTER


def compare_sides(
    sides: Sequence[Side],
    reference: Side,
    *,
    metric: str = "dice",
    network: str = "a",
    force: bool = False,
) -> Compared:
    """Every other side minus `reference`.

    Args:
        sides: two or more, the reference among them.
        reference: what differences are taken to.
        metric: a column of cases.csv.
        network: the network judged.
        force: compare although protocols, cases or seeds differ; `SideDifference.mixture` says in what.

    Raises:
        DaclError: one side only, results that were not measured alike, or no value of the metric.
    """
    others = [side for side in sides if side is not reference]
    if not others:
        raise DaclError(
            f"one side only: {reference.label}, seeds {_seeds(reference)}",
            "give runs of another method or configuration too",
        )
    scores = {side.label: _scores(side, network, metric) for side in sides}
    if all(np.isnan(run.values_VC).all() for runs in scores.values() for run in runs):
        raise DaclError(
            f"{metric} is defined in no case",
            "choose another --metric; distances in mm need the spacing of the volumes",
        )
    mixtures = {
        side.label: _mixture(reference, side, scores[reference.label], scores[side.label])
        for side in others
    }
    if not force:
        _require_alike(reference, mixtures)
    better = 1.0 if metric in HIGHER_IS_BETTER else -1.0
    return Compared(
        reference=reference,
        metric=metric,
        network=network,
        differences=tuple(
            _difference(reference, side, scores, tuple(mixtures[side.label]), better)
            for side in others
        ),
    )


def _scores(side: Side, network: str, metric: str) -> list[CaseScores]:
    """One metric of every run of a side, in the order of its seeds."""
    return [
        read_scores(
            run.evaluation / "cases.csv", network, metric, volumes=run.summary.get("n_volumes")
        )
        for run in side.runs.values()
    ]


def _require_alike(reference: Side, mixtures: Mapping[str, Sequence[str]]) -> None:
    """DaclError where a side, by its label, differs from the reference in more than it may."""
    found = [
        f"{reference.label} and {label} in {'; '.join(lines)}"
        for label, lines in mixtures.items()
        if lines
    ]
    if found:
        raise DaclError(
            f"these results were not measured alike, they differ: {'. '.join(found)}",
            "give runs with one protocol and the same seeds on every side, or --force, and the table will say so",
        )


def _mixture(
    reference: Side, side: Side, first: Sequence[CaseScores], second: Sequence[CaseScores]
) -> list[str]:
    """What differs in more than the method, which brings its own networks: the reference's value first."""
    found = protocol_differences(reference.first.summary, side.first.summary)
    if reference.runs.keys() != side.runs.keys():
        found.append(f"seeds: {_seeds(reference)} != {_seeds(side)}")
    for what, held in (
        ("cases", [set(zip(x.cases, x.patients, strict=True)) for x in (*first, *second)]),
        ("classes", [set(x.classes) for x in (*first, *second)]),
    ):
        if any(each != held[0] for each in held):
            n, shared = len(set.union(*held)), len(set.intersection(*held))
            found.append(f"{what}: {n - shared} of {n} are not in every run")
    return found


def _seeds(side: Side) -> str:
    return ", ".join(map(str, side.runs))


def _difference(
    reference: Side,
    side: Side,
    scores: Mapping[str, Sequence[CaseScores]],
    mixture: tuple[str, ...],
    better: float,
) -> SideDifference:
    every = [*side.runs], [*reference.runs]
    runs = [*scores[side.label], *scores[reference.label]]
    shared = shared_cells(runs, perfect=1.0 if better > 0 else 0.0)
    if shared is None:
        cases = set(runs[0].cases).intersection(*(run.cases for run in runs))
        raise DaclError(
            f"{reference.label} and {side.label} share no {'class' if cases else 'case'}",
            "compare runs that were evaluated on the same dataset",
        )
    names = tuple(dict.fromkeys(shared.patients))
    values_SPK = _with_foreground(shared.values_SVC, shared.patients)
    charged_SPK = _with_foreground(shared.charged_SVC, shared.patients)
    paired = every[0] == every[1]
    n = len(side.runs)
    rows = [
        _row(
            name, names, values_SPK[..., k], charged_SPK[..., k],
            n=n, paired=paired, better=better, alike=not mixture,
        )
        for k, name in enumerate([*shared.classes, FOREGROUND])
    ]  # fmt: skip
    improved, worsened = moved_cases(shared, n, better)
    return SideDifference(
        side=side,
        rows=tuple(_with_holm(rows)),
        improved=improved,
        worsened=worsened,
        mixture=mixture,
        paired=paired,
        undefined=shared.undefined,
        contested=shared.contested,
        unshared=len({case for run in runs for case in run.cases}) - len(shared.cases),
    )


def _with_foreground(
    values_SVC: Float[np.ndarray, "S V C"], patients: Sequence[str]
) -> Float[np.ndarray, "S P K"]:
    values_SPC = np.stack([patient_means(values_VC, patients)[1] for values_VC in values_SVC])
    foreground_SP = defined_mean(np.moveaxis(values_SPC, 2, 0))
    return np.concatenate([values_SPC, foreground_SP[..., None]], axis=2)


def _row(
    name: str,
    patients: Sequence[str],
    values_SP: Float[np.ndarray, "S P"],
    charged_SP: Float[np.ndarray, "S P"],
    *,
    n: int,
    paired: bool,
    better: float,
    alike: bool,
) -> ClassDifference:
    """One class, of the side's n runs and then the reference's."""
    who, side_SP, reference_TP = _sides(patients, values_SP, n=n, paired=paired)
    if not who:
        return ClassDifference(
            name=name, patients=(), gain_by_patient=(), reference_mean=None, side_mean=None,
            difference=None, test=None, p_holm=None, wins=0, losses=0, ties=0, claim=False,
        )  # fmt: skip
    difference = paired_difference(
        *_by_patient(who, side_SP, reference_TP),
        charged=_by_patient(*_sides(patients, charged_SP, n=n, paired=paired)),
    )
    gain_P = (side_SP - reference_TP).mean(axis=0)
    # Sums in another order leave what is no difference at 1e-17.
    better_P = np.sign(np.round(better * gain_P, DECIMALS))
    return ClassDifference(
        name=name,
        patients=who,
        gain_by_patient=tuple(gain_P.tolist()),
        reference_mean=float(reference_TP.mean()),
        side_mean=float(side_SP.mean()),
        difference=difference,
        test=signed_rank(gain_P),
        p_holm=None,
        wins=int((better_P > 0).sum()),
        losses=int((better_P < 0).sum()),
        ties=int((better_P == 0).sum()),
        claim=difference.excludes_zero and alike,
    )


def _sides(
    patients: Sequence[str], values_SP: Float[np.ndarray, "S P"], *, n: int, paired: bool
) -> tuple[tuple[str, ...], Float[np.ndarray, "N H"], Float[np.ndarray, "T H"]]:
    """Who has a value, and both sides of them; NaN, where there is any, is in every run of a patient alike."""
    there_P = ~np.isnan(values_SP[0])
    who = tuple(p for p, there in zip(patients, there_P, strict=True) if there)
    sides = (values_SP[:n, there_P], values_SP[n:, there_P])
    if not paired:
        sides = (sides[0].mean(axis=0, keepdims=True), sides[1].mean(axis=0, keepdims=True))
    return who, *sides


def _by_patient(
    who: Sequence[str], side_SP: Float[np.ndarray, "S P"], reference_TP: Float[np.ndarray, "T P"]
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    first, second = (
        [dict(zip(who, run_P.tolist(), strict=True)) for run_P in runs_SP]
        for runs_SP in (side_SP, reference_TP)
    )
    return first, second


def _with_holm(rows: Sequence[ClassDifference]) -> list[ClassDifference]:
    """The rows with p corrected over the classes; the last, the foreground mean, stays as it is."""
    tested = [row for row in rows[:-1] if row.test is not None]
    corrected = dict(
        zip(
            (row.name for row in tested),
            holm([row.test.p for row in tested if row.test is not None]),
            strict=True,
        )
    )
    return [*(replace(row, p_holm=corrected.get(row.name)) for row in rows[:-1]), rows[-1]]
