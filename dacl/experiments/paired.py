"""The difference between two sets of runs on the same patients, with the two spreads it has.

Patients differ far more from each other than methods do, so differences are taken patient by patient; the frames of a
patient are averaged first. What another draw of patients would change (an interval) and what another seed would change
(a standard deviation) are two numbers with two names.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dacl.errors import DaclError

RESAMPLES = 10_000
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Mean foreground Dice of the first minus the second, as a fraction of 1."""

    mean: float
    ci95_over_patients: tuple[float, float]
    """Bootstrap over patients, seeds averaged within each."""
    by_seed: tuple[float, ...]
    """Mean over patients, one number per pair of runs."""
    better_patients: int
    patients: int

    @property
    def std_over_seeds(self) -> float | None:
        """Sample standard deviation of `by_seed`; None for one seed."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None


def patient_dice(cases_csv: Path, network: str = "a") -> dict[str, float]:
    """Mean foreground Dice of every patient: frames first, then classes; undefined values left out.

    Raises:
        DaclError: the file is missing or holds nothing of this network.
    """
    if not cases_csv.is_file():
        raise DaclError(f"no {cases_csv}", "run `dacl evaluate RUN` first")
    values: dict[str, dict[str, list[float]]] = {}
    with cases_csv.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["network"] == network and row["dice"]:
                classes = values.setdefault(row["patient"], {})
                classes.setdefault(row["class"], []).append(float(row["dice"]))
    if not values:
        raise DaclError(f"{cases_csv} holds nothing of network {network!r}", "networks: a, b, mean")
    return {
        patient: float(np.mean([np.mean(frames) for frames in classes.values()]))
        for patient, classes in values.items()
    }


def paired_difference(
    first: Sequence[dict[str, float]], second: Sequence[dict[str, float]]
) -> Difference:
    """First minus second, run by run; each run is the `patient_dice` of one seed, same order of seeds on both sides.

    Raises:
        DaclError: the sides differ in runs or patients.
    """
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
    drawn = np.random.default_rng(SEED).integers(len(patients), size=(RESAMPLES, len(patients)))
    low, high = np.percentile(gain_P[drawn].mean(axis=1), [2.5, 97.5])
    return Difference(
        mean=float(gain_P.mean()),
        ci95_over_patients=(float(low), float(high)),
        by_seed=tuple(gain_SP.mean(axis=1).tolist()),
        better_patients=int((gain_P > 0).sum()),
        patients=len(patients),
    )
