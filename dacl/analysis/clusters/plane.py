"""Embeddings drawn in the plane: t-SNE (Van der Maaten and Hinton 2008) from a PCA start, or PCA alone.

Legend: P points, D width of the space.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.linalg import orthogonal_procrustes

PlaneMethod = Literal["tsne", "pca"]
PERPLEXITY = 30.0
FEWEST_FOR_TSNE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Points in two dimensions."""

    xy_P2: Float[np.ndarray, "P 2"]
    says: str
    """How they got there: `t-SNE, perplexity 30` or `PCA, 71 % of variance`."""


def to_plane(points_PD: Float[np.ndarray, "P D"], method: PlaneMethod, seed: int) -> Plane:
    """Points in the plane; too few for t-SNE, or points all alike, are shown by PCA, and `says` so.

    Args:
        points_PD: finite.
        method: `tsne` on Euclidean distances, or `pca`.
        seed: of t-SNE.
    """
    span = float(np.ptp(points_PD, axis=0).max(initial=0.0)) if len(points_PD) else 0.0
    if method == "pca" or len(points_PD) < FEWEST_FOR_TSNE or span == 0:
        return _pca(points_PD)
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, float((len(points_PD) - 1) // 3))
    tsne = TSNE(init="pca", learning_rate="auto", perplexity=perplexity, random_state=seed)
    xy_P2 = tsne.fit_transform(points_PD.astype(np.float32))
    return Plane(xy_P2=xy_P2.astype(np.float64), says=f"t-SNE, perplexity {perplexity:g}")


def turned_to(
    xy_P2: Float[np.ndarray, "P 2"], other_P2: Float[np.ndarray, "P 2"]
) -> Float[np.ndarray, "P 2"]:
    """The same picture turned, and mirrored where that helps, so that points lie as near as can be to `other`.

    Both methods leave the direction of their axes to chance; distances stay as they are.
    """
    centred_P2, target_P2 = xy_P2 - xy_P2.mean(axis=0), other_P2 - other_P2.mean(axis=0)
    turn_22, _ = orthogonal_procrustes(centred_P2, target_P2)
    return np.asarray(centred_P2 @ turn_22)


def _pca(points_PD: np.ndarray) -> Plane:
    centred_PD = points_PD.astype(np.float64) - points_PD.mean(axis=0)
    left, strength, _ = np.linalg.svd(centred_PD, full_matrices=False)
    xy_P2 = np.zeros((len(points_PD), 2))
    xy_P2[:, : len(strength)] = (left * strength)[:, :2]
    total = float((strength**2).sum())
    share = f"{100 * float((strength[:2] ** 2).sum()) / total:.0f} % of variance" if total else ""
    return Plane(xy_P2=xy_P2, says=f"PCA, {share or 'all points are alike'}")
