"""From resampled scores to intervals and differences: what another draw of patients would change.

Every checkpoint is judged on the same points under the same resamples, so that a difference is taken resample by
resample. Networks, pixels, clusterings and lists of neighbours stay as they are; other seeds are another spread, given
by the seeds themselves.

Legend: R resamples, the first of them the patients as they are; P patients; S seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

import numpy as np
from jaxtyping import Float
from scipy import stats

from dacl.seeding import stream_seed

RESAMPLES = 1000
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A score; None where it is undefined."""

    value: float | None
    ci95_over_patients: Interval | None
    """Bootstrap over patients; None for one patient, or where most resamples leave the score undefined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedMean:
    """A score of the seeds of one configuration, or the difference of two such."""

    estimate: Estimate
    """Mean over seeds; its interval is of these seeds on other patients."""
    by_seed: Mapping[int, float | None]

    @property
    def std_over_seeds(self) -> float | None:
        """Sample standard deviation; None for one seed or where one is undefined."""
        values = [value for value in self.by_seed.values() if value is not None]
        return stdev(values) if 1 < len(values) == len(self.by_seed) else None

    @property
    def ci95_over_seeds(self) -> Interval | None:
        """Student's t interval of `by_seed`: other seeds on these patients; None without a standard deviation."""
        spread, mean, n = self.std_over_seeds, self.estimate.value, len(self.by_seed)
        if spread is None or mean is None:
            return None
        half = float(stats.t.ppf(0.975, n - 1)) * spread / n**0.5
        return mean - half, mean + half


def patient_weights(n_patients: int, seed: int) -> Float[np.ndarray, "R P"]:
    """How often each patient counts: once in the first row, then as 1,000 resamples have it; of one patient none."""
    plain_1P = np.ones((1, n_patients))
    if n_patients < 2:
        return plain_1P
    rng = np.random.default_rng(stream_seed(seed, "cluster bootstrap"))
    drawn_RP = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=RESAMPLES)
    return np.concatenate([plain_1P, drawn_RP])


def estimate(values_R: Float[np.ndarray, "R"]) -> Estimate:
    """The first value, and the middle 95 % of the others that are defined."""
    value, others = float(values_R[0]), values_R[1:]
    others = others[np.isfinite(others)]
    if not np.isfinite(value):
        return Estimate(value=None, ci95_over_patients=None)
    if len(others) < max(1, (len(values_R) - 1) / 2):
        return Estimate(value=value, ci95_over_patients=None)
    low, high = np.percentile(others, [2.5, 97.5])
    return Estimate(value=value, ci95_over_patients=(float(low), float(high)))


def seed_mean(values_SR: Mapping[int, Float[np.ndarray, "R"]]) -> SeedMean:
    """A score of every seed -> its mean."""
    return SeedMean(
        estimate=estimate(np.mean(list(values_SR.values()), axis=0)),
        by_seed={seed: estimate(values_R).value for seed, values_R in values_SR.items()},
    )


def seed_difference(
    first_SR: Mapping[int, Float[np.ndarray, "R"]], second_SR: Mapping[int, Float[np.ndarray, "R"]]
) -> SeedMean:
    """First minus second: of the common seeds, seed by seed; with none in common, of the means of all."""
    common: Sequence[int] = sorted(first_SR.keys() & second_SR.keys())
    if common:
        return seed_mean({seed: first_SR[seed] - second_SR[seed] for seed in common})
    means = [np.mean(list(side.values()), axis=0) for side in (first_SR, second_SR)]
    return SeedMean(estimate=estimate(means[0] - means[1]), by_seed={})
