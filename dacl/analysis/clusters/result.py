"""What `dacl analyze clusters` finds: scores of every checkpoint, of the seeds of a method, and differences.

Legend: N pixels, P pixels drawn in the picture, C classes, D width of the space.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Integer

from dacl.analysis.clusters.bootstrap import (
    Estimate,
    Interval,
    SeedMean,
    estimate,
    seed_difference,
    seed_mean,
)
from dacl.analysis.clusters.groups import Group
from dacl.analysis.clusters.labelled_points import Resampled
from dacl.analysis.clusters.plane import PlaneMethod
from dacl.analysis.clusters.scores import SCORES
from dacl.analysis.embeddings import EmbeddingSpace
from dacl.analysis.pixels import Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRequest:
    """What to look at."""

    split: Literal["val", "test"] = "test"
    space: EmbeddingSpace = "features"
    network: Literal["a", "b"] = "a"
    points: int = 20_000
    """Pixels scored, shared by all classes."""
    plot_points: int = 5_000
    """Of them, pixels drawn."""
    method: PlaneMethod = "tsne"
    seed: int = 0
    """Of the pixels, of k-means, of the bootstrap and of t-SNE."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint of a run folder; a .pt file is its own answer."""
    data: Path | None = None
    """The prepared dataset; None: where the first checkpoint says it was."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Of the networks; scores are taken on the CPU."""


DASH = "–"
IN_PICTURES = ("silhouette", "davies_bouldin", "v_measure")
"""The scores that the paper's Fig. 1 (b) names."""
DEFAULT_REQUEST = ClusterRequest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterScore:
    """One of `scores.SCORES`."""

    overall: Estimate
    by_class: tuple[Estimate, ...] | None
    """In the order of the classes; None for a score of all classes together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointClusters:
    """One checkpoint."""

    label: str
    """`dacl seed 0`."""
    path: Path
    scores: Mapping[str, ClusterScore]
    """By key of `scores.SCORES`."""
    difference_to_first: Mapping[str, Estimate] | None
    """This checkpoint minus the first one given; None for the first one."""
    embeddings_ND: Float[np.ndarray, "N D"]
    xy_P2: Float[np.ndarray, "P 2"]
    plot_classes_P: Integer[np.ndarray, "P"]
    plane: str
    """How `xy_P2` came about: `t-SNE, perplexity 30`."""
    provenance: Mapping[str, Any]

    def lines(self) -> list[str]:
        """The scores of `IN_PICTURES` in words, a line each: `Silhouette ↑ 0.126 [0.046, 0.204]`."""
        return [f"{named(key)} {shown(self.scores[key].overall, key)}" for key in IN_PICTURES]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodClusters:
    """The seeds of one configuration."""

    label: str
    scores: Mapping[str, SeedMean]
    difference_to_first: Mapping[str, SeedMean] | None
    """This configuration minus the first one given; None for the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAnalysis:
    """What was found."""

    dataset: str
    synthetic: bool
    class_names: tuple[str, ...]
    request: ClusterRequest
    pixels: Pixels
    plotted_P: Integer[np.ndarray, "P"]
    """Indices of the pixels drawn."""
    checkpoints: tuple[CheckpointClusters, ...]
    groups: tuple[Group, ...]
    methods: tuple[MethodClusters, ...]
    """In the order of `groups`."""
    protocol: Mapping[str, Any]
    provenance: Mapping[str, Any]
    notes: tuple[str, ...]


def named(key: str) -> str:
    """Heading and arrow of a score."""
    return f"{SCORES[key].heading} {SCORES[key].arrow}"


def number(value: float, key: str, *, signed: bool = False) -> str:
    """Three decimals; Calinski-Harabasz, which goes into thousands, has none, and Davies-Bouldin two."""
    decimals = {"calinski_harabasz": 0, "davies_bouldin": 2}.get(key, 3)
    return f"{value:{'+' if signed else ''}.{decimals}f}"


def interval(bounds: Interval | None, key: str, *, signed: bool = False) -> str:
    """`[0.046, 0.204]`, an en dash where there is none."""
    if bounds is None:
        return DASH
    low, high = (number(bound, key, signed=signed) for bound in bounds)
    return f"[{low}, {high}]"


def shown(found: Estimate, key: str, *, signed: bool = False) -> str:
    """`0.126 [0.046, 0.204]`, an en dash where it is undefined."""
    if found.value is None:
        return DASH
    text, bounds = number(found.value, key, signed=signed), found.ci95_over_patients
    return text if bounds is None else f"{text} {interval(bounds, key, signed=signed)}"


def scores_of(resampled: Mapping[str, Resampled]) -> dict[str, ClusterScore]:
    """Values and intervals of one checkpoint."""
    return {
        key: ClusterScore(
            overall=estimate(found.overall_R),
            by_class=None
            if found.by_class_RC is None
            else tuple(estimate(values_R) for values_R in found.by_class_RC.T),
        )
        for key, found in resampled.items()
    }


def differences(
    resampled: Mapping[str, Resampled], first: Mapping[str, Resampled]
) -> dict[str, Estimate]:
    """Score by score, both under the same resamples."""
    return {key: estimate(resampled[key].overall_R - first[key].overall_R) for key in SCORES}


def methods_of(
    groups: Sequence[Group], resampled: Sequence[Mapping[str, Resampled]]
) -> tuple[MethodClusters, ...]:
    """Seeds summarised, and each configuration held against the first."""

    def by_seed(group: Group, key: str) -> dict[int, np.ndarray]:
        return {seed: resampled[index][key].overall_R for seed, index in group.members.items()}

    return tuple(
        MethodClusters(
            label=group.label,
            scores={key: seed_mean(by_seed(group, key)) for key in SCORES},
            difference_to_first=None
            if group is groups[0]
            else {
                key: seed_difference(by_seed(group, key), by_seed(groups[0], key)) for key in SCORES
            },
        )
        for group in groups
    )
