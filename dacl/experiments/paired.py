"""The difference between two sets of runs on the same patients, with the spreads it has.

Patients differ far more from each other than methods do, so differences are taken patient by patient; the frames of a
patient are averaged first. What another draw of patients would change (an interval), what another seed would change
(a standard deviation) and what both would change (an interval) are numbers with names of their own.

Shape legend: S seeds (pairs of runs), P patients, R bootstrap resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from dacl.errors import DaclError
from dacl.experiments.case_scores import (
    CaseScores,
    SharedCells,
    foreground_by_patient,
    shared_cells,
)

RESAMPLES = 10_000
SEED = 0
DECIMALS = 12
"""Gains are rounded to this before they are called better: seeds that cancel leave 1e-17."""
LEAST_SEEDS = 3
"""A difference seen with fewer seeds excludes nothing."""
LEAST_PATIENTS = 6
"""From fewer, p cannot fall below 0.05 and the interval cannot cover 95 %: nothing is claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Mean of the first minus the second, in the unit of what was given: of Dice, a fraction of 1."""

    mean: float
    ci95_over_patients: tuple[float, float]
    """Bootstrap over patients, seeds averaged within each: these seeds, other patients."""
    ci95_over_patients_and_seeds: tuple[float, float]
    """Bootstrap over patients and seeds, both drawn anew (crossed: every seed judges the same patients). With one
    seed there is none to draw, and it equals `ci95_over_patients`. Few seeds make it too narrow: see
    `coverage_bound`."""
    by_seed: tuple[float, ...]
    """Mean over patients, one number per pair of runs."""
    std_over_patients: float | None
    """Sample standard deviation over patients, seeds averaged within each; None for one patient."""
    better_patients: int
    patients: int
    charged: "Difference | None" = None
    """The same with a perfect value where a run rightly found none of a class that its pair painted, where the pair has
    its value; None where that happened nowhere."""

    @property
    def std_over_seeds(self) -> float | None:
        """Sample standard deviation of `by_seed`; None for one seed."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None

    @property
    def half_width_over_patients(self) -> float:
        """Of `ci95_over_patients`. It shrinks with more seeds where patients answer to them differently."""
        low, high = self.ci95_over_patients
        return (high - low) / 2

    @property
    def ci95_over_seeds(self) -> tuple[float, float] | None:
        """Student's t interval of `by_seed`, n - 1 degrees of freedom: these patients, other seeds; None for one."""
        return _t95(self.mean, self.std_over_seeds, len(self.by_seed))

    @property
    def t95_over_patients(self) -> tuple[float, float] | None:
        """Student's t interval of the patients' differences: these seeds, other patients; None for one patient.

        Where patients are few, `ci95_over_patients` is narrower than it should be: from 6 it covers 87 % of normal
        values, from 20 93 %.
        """
        return _t95(self.mean, self.std_over_patients, self.patients)

    @property
    def excludes_zero(self) -> bool:
        """Whether the bootstrap over patients and seeds and both t intervals lie off 0, and may be claimed to.

        That takes `LEAST_SEEDS` and `LEAST_PATIENTS` or more.

        The bootstrap alone is too narrow for few seeds or patients, and a t interval knows nothing of the other of the
        two spreads.
        """
        over_seeds, over_patients = self.ci95_over_seeds, self.t95_over_patients
        return (
            over_seeds is not None
            and over_patients is not None
            and len(self.by_seed) >= LEAST_SEEDS
            and self.patients >= LEAST_PATIENTS
            and off_zero(over_seeds)
            and off_zero(over_patients)
            and off_zero(self.ci95_over_patients_and_seeds)
            and not self.undone_by_charge
        )

    @property
    def undone_by_charge(self) -> bool:
        """Whether it would not be claimed, or the other way round, with what is painted in absent classes charged."""
        charged = self.charged
        return charged is not None and not (charged.excludes_zero and charged.mean * self.mean > 0)


def _t95(mean: float, std: float | None, n: int) -> tuple[float, float] | None:
    """Student's t interval of a mean of `n` values with this sample standard deviation."""
    if std is None:
        return None
    half = float(stats.t.ppf(0.975, n - 1)) * std / n**0.5
    return mean - half, mean + half


def off_zero(interval: tuple[float, float]) -> bool:
    """Whether it lies on one side of 0 and does not touch it."""
    low, high = interval
    return low > 0 or high < 0


def coverage_bound(seeds: int) -> float:
    """The most that a bootstrap interval over so few seeds covers where seeds are the larger spread.

    Resampled means lie between the smallest and the largest value, and n symmetric values enclose their centre with
    probability 1 - 2^(1 - n): 0.75 for three seeds, above 0.95 from six.
    """
    return 1 - 2.0 ** (1 - seeds)


def difference_of_runs(
    first: Sequence[CaseScores], second: Sequence[CaseScores]
) -> tuple[Difference | None, SharedCells | None]:
    """Foreground Dice of the first runs minus the second ones', on the cells that all define, and those cells.

    Seeds stand in the same order on both sides. None without a shared cell, or a patient with a value.

    Raises:
        DaclError: the sides differ in runs.
    """
    shared = shared_cells([*first, *second])
    if shared is None:
        return None, None
    values, charged = (
        [foreground_by_patient(values_VC, shared.patients) for values_VC in values_SVC]
        for values_SVC in (shared.values_SVC, shared.charged_SVC)
    )
    if not values[0]:
        return None, shared
    n = len(first)
    sides, charged_sides = ((every[:n], every[n:]) for every in (values, charged))
    return paired_difference(*sides, charged=charged_sides), shared


def paired_difference(
    first: Sequence[dict[str, float]],
    second: Sequence[dict[str, float]],
    *,
    charged: tuple[Sequence[dict[str, float]], Sequence[dict[str, float]]] | None = None,
) -> Difference:
    """First minus second, run by run; each run is one seed's value by patient (`foreground_by_patient`, or of a class).

    Seeds stand in the same order on both sides.

    Args:
        first: of one side, a run each.
        second: of the other.
        charged: both sides with the contested cells charged (`SharedCells.charged_SVC`); it becomes
            `Difference.charged` where it is not `first` and `second` once more.

    Raises:
        DaclError: the sides differ in runs or patients.
    """
    found = _difference(first, second)
    if charged is None or charged == (first, second):
        return found
    return replace(found, charged=_difference(*charged))


def _difference(
    first: Sequence[dict[str, float]], second: Sequence[dict[str, float]]
) -> Difference:
    patients = sorted(first[0]) if first else []
    if (
        len(first) != len(second)
        or not patients
        or any(sorted(run) != patients for run in (*first, *second))
    ):
        raise DaclError(
            "the two sides do not hold the same patients and as many runs",
            "pair runs of the same seeds, evaluated on the same cases",
        )
    gain_SP = np.array(
        [[a[p] - b[p] for p in patients] for a, b in zip(first, second, strict=True)]
    )
    gain_P = gain_SP.mean(axis=0)
    rng = np.random.default_rng(SEED)
    patients_RP = rng.integers(len(patients), size=(RESAMPLES, len(patients)))
    seeds_RS = rng.integers(len(first), size=(RESAMPLES, len(first)))
    share_RS = (seeds_RS[:, :, None] == np.arange(len(first))).mean(axis=1)
    both_RP = np.take_along_axis(share_RS @ gain_SP, patients_RP, axis=1)
    return Difference(
        mean=float(gain_P.mean()),
        ci95_over_patients=_ci95(gain_P[patients_RP].mean(axis=1)),
        ci95_over_patients_and_seeds=_ci95(both_RP.mean(axis=1)),
        by_seed=tuple(gain_SP.mean(axis=1).tolist()),
        std_over_patients=float(gain_P.std(ddof=1)) if len(patients) > 1 else None,
        better_patients=int((np.round(gain_P, DECIMALS) > 0).sum()),
        patients=len(patients),
    )


def _ci95(resampled_R: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(resampled_R, [2.5, 97.5])
    return float(low), float(high)
