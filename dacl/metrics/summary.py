"""Averages over the cases of one run, an interval over patients, and a check that both can be true.

The volumes of a patient (ED and ES) are not independent, so `patients` averages them first and then
the patients; `volumes`, which published tables use, is the plain mean over volumes. Either way the
foreground mean is the mean of the class means. The interval resamples patients: it says how much
the result owes to who was in the test set, and nothing about what another seed would change.

Shape legend: V volumes, P patients, U averaged units (P or V), C foreground classes, M metrics,
R bootstrap resamples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dacl.errors import DaclError
from dacl.metrics.conventions import METRICS, Score
from dacl.metrics.means import defined_mean

FOREGROUND = "foreground"
RESAMPLES = 2000
SEED = 0
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredClass:
    """The score of one class in one case, and which network it is of."""

    case: str
    patient: str
    network: str
    score: Score


def check_identity(rows: Sequence[ScoredClass]) -> None:
    """Per case J = D / (2 - D), which holds for any two masks.

    Raises:
        DaclError: it does not; then the numbers are not the Dice and Jaccard of one pair of masks.
    """
    for row in rows:
        dice, jc = row.score.dice, row.score.jc
        undefined = math.isnan(dice) and math.isnan(jc)
        if not undefined and not abs(jc - dice / (2 - dice)) < TOLERANCE:
            raise DaclError(
                f"{row.case}, {row.score.class_name}, network {row.network}: "
                f"Jaccard {jc} is not D / (2 - D) of Dice {dice}",
                "this is a fault of the program, not of the data: please report it with the case",
            )


def check_means(where: str, dice: float, jc: float) -> None:
    """On means over the same cases J >= D / (2 - D), because D / (2 - D) is convex (Jensen).

    Raises:
        DaclError: it does not; then the two means are not over the same cases.
    """
    if not (math.isnan(dice) and math.isnan(jc)) and not jc >= dice / (2 - dice) - TOLERANCE:
        raise DaclError(
            f"{where}: mean Jaccard {jc} is below D / (2 - D) of mean Dice {dice}, "
            "which no set of cases can give",
            "this is a fault of the program, not of the data: please report it",
        )


def summarize(rows: Sequence[ScoredClass], *, averaging: str) -> dict[str, dict[str, Any]]:
    """`{network: {class or "foreground": {metric: {mean, ci95_over_patients, ...}, counts}}}`.

    A metric without a defined value has mean None, fewer than two patients have interval None.

    Raises:
        DaclError: the averages fail the self-check.
    """
    check_identity(rows)
    networks = list(dict.fromkeys(row.network for row in rows))
    return {
        network: _summarize_network(network, [r for r in rows if r.network == network], averaging)
        for network in networks
    }


def _summarize_network(network: str, rows: list[ScoredClass], averaging: str) -> dict[str, Any]:
    classes = list(dict.fromkeys(row.score.class_name for row in rows))
    cases = {row.case: row.patient for row in rows}
    patients = list(dict.fromkeys(cases.values()))
    values_VCM = np.full((len(cases), len(classes), len(METRICS)), np.nan)
    v_of = {case: v for v, case in enumerate(cases)}
    for row in rows:
        place = v_of[row.case], classes.index(row.score.class_name)
        values_VCM[place] = [getattr(row.score, metric) for metric in METRICS]
    patient_of_V = np.array([patients.index(patient) for patient in cases.values()])
    values_PCM = np.stack(
        [defined_mean(values_VCM[patient_of_V == p]) for p in range(len(patients))]
    )

    by_patient = averaging == "patients"
    values_UCM = values_PCM if by_patient else values_VCM
    patient_of_U = np.arange(len(patients)) if by_patient else patient_of_V
    mean_CM = _with_foreground(defined_mean(values_UCM))
    volumes_CM = _with_foreground(defined_mean(values_VCM))
    low_CM, high_CM = _interval(values_UCM, patient_of_U)
    std_CM = _std(
        np.concatenate([values_PCM, defined_mean(values_PCM.swapaxes(0, 1))[:, None]], axis=1)
    )

    summary: dict[str, Any] = {}
    for c, name in enumerate([*classes, FOREGROUND]):
        for means in (mean_CM, volumes_CM):
            check_means(f"network {network}, {name}", means[c, 0], means[c, 1])
        summary[name] = {
            metric: {
                "mean": _json(mean_CM[c, m]),
                "ci95_over_patients": _json_interval(low_CM[c, m], high_CM[c, m]),
                "std_over_patients": _json(std_CM[c, m]),
                "mean_over_volumes": _json(volumes_CM[c, m]),
            }
            for m, metric in enumerate(METRICS)
        }
        statuses = [r.score.status for r in rows if name in (FOREGROUND, r.score.class_name)]
        for status in ("ok", "missed", "spurious", "undefined"):
            summary[name][f"n_{status}"] = statuses.count(status)
    return summary


def _interval(values_UCM: np.ndarray, patient_of_U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2.5th and 97.5th percentile of the means of resampled patients, foreground last."""
    n_patients = int(patient_of_U.max()) + 1
    nothing = np.full((values_UCM.shape[1] + 1, values_UCM.shape[2]), np.nan)
    if n_patients < 2:
        return nothing, nothing
    rng = np.random.default_rng(SEED)
    drawn_RP = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=RESAMPLES)
    weights_RU = drawn_RP[:, patient_of_U].astype(np.float64)
    means_RCM = _divide(
        np.tensordot(weights_RU, np.nan_to_num(values_UCM), axes=1),
        np.tensordot(weights_RU, ~np.isnan(values_UCM), axes=1),
    )
    foreground_RM = defined_mean(means_RCM.swapaxes(0, 1))
    resampled_RCM = np.concatenate([means_RCM, foreground_RM[:, None]], axis=1)
    # A resample that drew no defined value has no mean; it leaves the others their percentiles.
    low, high = nothing.copy(), nothing.copy()
    for c, m in np.ndindex(nothing.shape):
        column_R = resampled_RCM[:, c, m][~np.isnan(resampled_RCM[:, c, m])]
        if column_R.size:
            low[c, m], high[c, m] = np.percentile(column_R, [2.5, 97.5])
    return low, high


def _std(values: np.ndarray) -> np.ndarray:
    """Sample standard deviation over the first axis without NaN; NaN for fewer than two values."""
    n = (~np.isnan(values)).sum(axis=0)
    squares = np.nan_to_num((values - defined_mean(values)) ** 2).sum(axis=0)
    return np.sqrt(_divide(squares, np.maximum(n - 1, 0)))


def _divide(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _with_foreground(mean_CM: np.ndarray) -> np.ndarray:
    return np.concatenate([mean_CM, defined_mean(mean_CM)[None]])


def _json(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _json_interval(low: float, high: float) -> list[float] | None:
    return None if math.isnan(low) else [float(low), float(high)]
