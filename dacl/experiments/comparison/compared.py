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
from dacl.experiments.case_scores import CaseScores, defined_mean, patient_means, read_scores
from dacl.experiments.comparison.moved_cases import MovedCase, moved_cases
from dacl.experiments.comparison.sides import Side, protocol_differences
from dacl.experiments.comparison.signed_rank import DECIMALS, SignedRank, holm, signed_rank
from dacl.experiments.paired import Difference, paired_difference
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
    scores = {
        side.label: [read_scores(r.evaluation / "cases.csv", network, metric) for r in side.runs.values()]
        for side in sides
    }  # fmt: skip
    if all(np.isnan(run.values_VC).all() for runs in scores.values() for run in runs):
        raise DaclError(
            f"{metric} is defined in no case",
            "choose another --metric; distances in mm need the spacing of the volumes",
        )
    mixtures = {
        side.label: _mixture(reference, side, scores[reference.label], scores[side.label])
        for side in others
    }
    found = [
        f"{reference.label} and {label} in {'; '.join(lines)}"
        for label, lines in mixtures.items()
        if lines
    ]
    if found and not force:
        raise DaclError(
            f"these results were not measured alike, they differ: {'. '.join(found)}",
            "give runs with one protocol and the same seeds on every side, or --force, and the table will say so",
        )
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
    cases = [case for case in runs[0].cases if all(case in run.cases for run in runs)]
    classes = [name for name in runs[0].classes if all(name in run.classes for run in runs)]
    if not cases or not classes:
        raise DaclError(
            f"{reference.label} and {side.label} share no {'class' if cases else 'case'}",
            "compare runs that were evaluated on the same dataset",
        )
    shared = [run.of(cases, classes) for run in runs]
    values_SVC = np.stack([run.values_VC for run in shared])
    undefined_VC = np.isnan(values_SVC).any(axis=0)
    values_SVC[:, undefined_VC] = np.nan
    patients = shared[0].patients
    names = tuple(dict.fromkeys(patients))
    values_SPC = np.stack([patient_means(values_VC, patients)[1] for values_VC in values_SVC])
    values_SPK = np.concatenate(
        [values_SPC, defined_mean(np.moveaxis(values_SPC, 2, 0))[..., None]], axis=2
    )
    paired = every[0] == every[1]
    n = len(side.runs)
    rows = [
        _row(name, names, values_SPK[:n, :, k], values_SPK[n:, :, k], paired, better, not mixture)
        for k, name in enumerate([*classes, FOREGROUND])
    ]
    improved, worsened = moved_cases(shared[0], values_SVC[:n], values_SVC[n:], better)
    return SideDifference(
        side=side,
        rows=tuple(_with_holm(rows)),
        improved=improved,
        worsened=worsened,
        mixture=mixture,
        paired=paired,
        undefined=int(undefined_VC.sum()),
        unshared=len({case for run in runs for case in run.cases}) - len(cases),
    )


def _row(
    name: str,
    patients: Sequence[str],
    side_SP: Float[np.ndarray, "S P"],
    reference_TP: Float[np.ndarray, "T P"],
    paired: bool,
    better: float,
    alike: bool,
) -> ClassDifference:
    """One class: NaN, where there is any, is in every run of a patient alike."""
    there_P = ~np.isnan(side_SP[0])
    if not there_P.any():
        return ClassDifference(
            name=name, patients=(), gain_by_patient=(), reference_mean=None, side_mean=None,
            difference=None, test=None, p_holm=None, wins=0, losses=0, ties=0, claim=False,
        )  # fmt: skip
    who = tuple(p for p, there in zip(patients, there_P, strict=True) if there)
    side_SP, reference_TP = side_SP[:, there_P], reference_TP[:, there_P]
    if not paired:
        side_SP, reference_TP = (x.mean(axis=0, keepdims=True) for x in (side_SP, reference_TP))
    first, second = (
        [dict(zip(who, run_P.tolist(), strict=True)) for run_P in runs_SP]
        for runs_SP in (side_SP, reference_TP)
    )
    difference = paired_difference(first, second)
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
