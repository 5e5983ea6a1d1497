"""Silhouettes of every resample of patients, from sums of distances that are taken once.

Copies of a point in a resample are that point: they count as often as they are drawn, and never as its neighbours.

Legend: R resamples, N points, C classes, P patients, G = C P groups.
"""

import numpy as np
import torch
from jaxtyping import Float

from dacl.analysis.clusters.labelled_points import Labelled, Resampled, undefined_is_nan

CHUNK = 4_000_000
"""Numbers that a chunk of resamples holds at once: 32 MB."""


@undefined_is_nan
def silhouette(
    sums_NG: Float[np.ndarray, "N G"],
    of: Labelled,
    count_CP: Float[np.ndarray, "C P"],
    weights_RP: Float[np.ndarray, "R P"],
) -> Resampled:
    """Silhouettes of every resample, exact, from sums of distances to every class and patient.

    A point whose class has no other point has silhouette 0, as in Rousseeuw 1987.
    """
    n_points, (n_classes, n_patients) = len(sums_NG), count_CP.shape
    sums = torch.from_numpy(sums_NG.reshape(n_points * n_classes, n_patients))
    point_N, own_N = torch.arange(n_points), torch.from_numpy(of.class_N)
    member_CN = torch.nn.functional.one_hot(own_N, n_classes).double().T
    total_RC = np.empty((len(weights_RP), n_classes))
    step = max(1, CHUNK // (n_points * n_classes))
    for start in range(0, len(weights_RP), step):
        weight_RP = torch.from_numpy(weights_RP[start : start + step])
        weight_NR = weight_RP.T[of.patient_N]
        count_CR = torch.from_numpy(count_CP) @ weight_RP.T
        to_class_NCR = (sums @ weight_RP.T).view(n_points, n_classes, -1)
        others_NR = count_CR[own_N] - weight_NR
        a_NR = to_class_NCR[point_N, own_N] / others_NR
        to_class_NCR /= count_CR
        to_class_NCR.masked_fill_(count_CR == 0, torch.inf)
        to_class_NCR[point_N, own_N] = torch.inf
        b_NR = to_class_NCR.amin(dim=1)
        width_NR = ((b_NR - a_NR) / torch.maximum(a_NR, b_NR)).nan_to_num_(nan=0)
        width_NR[others_NR <= 0] = 0
        total_RC[start : start + step] = (member_CN @ (width_NR * weight_NR)).T.numpy()
    count_RC = weights_RP @ count_CP.T
    lone = (count_RC > 0).sum(axis=1) < 2  # nothing to be nearer to than to one's own
    by_class_RC = np.where(lone[:, None], np.nan, total_RC / count_RC)
    overall_R = np.where(lone, np.nan, total_RC.sum(axis=1) / count_RC.sum(axis=1))
    by_class_RC[:, count_CP.sum(axis=1) < 2] = np.nan
    return Resampled(overall_R, by_class_RC)
