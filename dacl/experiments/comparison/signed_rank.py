"""Wilcoxon's signed-rank test of paired differences, and Holm's correction for several of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

DECIMALS = 12
"""Differences are rounded to this: sums in another order would turn zeros and ties into neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRank:
    """A two-sided test of whether differences lie symmetrically about 0."""

    p: float
    nonzero: int
    """Differences that took part."""
    zeros: int
    """Left out, as Wilcoxon (1945) does."""

    @property
    def least_p(self) -> float:
        """Below this p cannot fall: all `nonzero` signs alike, 2^(1 - n)."""
        return min(1.0, 2.0 ** (1 - self.nonzero))


def signed_rank(gain_P: Float[np.ndarray, "P"]) -> SignedRank:
    """Wilcoxon signed-rank test of the differences of P patients; p = 1 where all of them are 0.

    Exact up to 50 differences without ties and up to 13 with, the normal approximation corrected for ties above
    (scipy.stats.wilcoxon). Zeros are taken out beforehand, so that they do not cost exactness.

    Args:
        gain_P: one difference per patient, no NaN.
    """
    rounded_P = np.round(gain_P, DECIMALS)
    nonzero_N = rounded_P[rounded_P != 0]
    n = int(nonzero_N.size)
    p = float(stats.wilcoxon(nonzero_N).pvalue) if n else 1.0
    return SignedRank(p=p, nonzero=n, zeros=int(rounded_P.size) - n)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p values of one family, in its order (Holm 1979).

    The i-th smallest of m, counted from 0, is multiplied by m - i; none falls below one that was smaller, or above 1.
    """
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return adjusted
