"""What stands beside cluster scores: the protocol that must match, where they come from, and what to bear in mind."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from dacl.analysis.clusters.agreement import KMEANS_STARTS
from dacl.analysis.clusters.bootstrap import RESAMPLES
from dacl.analysis.clusters.groups import Group
from dacl.analysis.clusters.labelled_points import all_alike, directions
from dacl.analysis.clusters.result import ClusterRequest
from dacl.analysis.clusters.scores import NEIGHBOURS
from dacl.analysis.embeddings import SPACES
from dacl.analysis.pixels import CellGrid, Pixels
from dacl.config import config_hash
from dacl.data.prepared import PreparedDataset
from dacl.training.checkpoint import Trained

SAMPLING = (
    "pixels of the scan's own grid, as annotated, as many of every class as asked; within a class as many of every "
    "patient as there are to take, by chance over his frames and slices; none in the same cell of any map looked at"
)
INTERVALS = (
    "bootstrap over patients: distances, class centres and mean directions are taken anew in each resample; networks, "
    "pixels, the k-means clustering and the lists of nearest neighbours are held fixed; copies of a pixel are never "
    "its own neighbours"
)


def protocol_block(
    dataset: PreparedDataset,
    request: ClusterRequest,
    pixels: Pixels,
    plotted_P: Integer[np.ndarray, "P"],
    *,
    rules: Sequence[str],
    planes: Sequence[str],
    grids: Sequence[CellGrid],
) -> dict[str, Any]:
    """What must match for two sets of scores to compare."""
    names = dataset.class_names
    return {
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "synthetic": dataset.synthetic,
        "intensity": dataset.intensity,
        "split": dataset.split.name,
        "split_hash": dataset.split.hash,
        "evaluated_on": request.split,
        "patients": list(pixels.patients),
        "space": request.space,
        "space_is": SPACES[request.space],
        "network": request.network,
        "checkpoint_rules": list(dict.fromkeys(rules)),
        "seed": request.seed,
        "sampling": SAMPLING,
        # Pixels are thinned for all of these together: with other checkpoints beside, others are drawn.
        "cell_grids": [list(key) for key in dict.fromkeys(grid.key for grid in grids)],
        "points_asked": dict(zip(names, pixels.asked_C, strict=True)),
        "points": dict(zip(names, pixels.found_C, strict=True)),
        "points_plotted": len(plotted_P),
        "plane": list(dict.fromkeys(planes)),
        "neighbours": NEIGHBOURS,
        "kmeans": {"k": sum(n > 0 for n in pixels.found_C), "starts": KMEANS_STARTS},
        "resamples": RESAMPLES if len(pixels.patients) > 1 else 0,
        "intervals": INTERVALS,
    }


def checkpoint_provenance(trained: Trained) -> dict[str, Any]:
    """Of one checkpoint."""
    config = trained.config
    return {
        "method": config.method,
        "preset": config.preset,
        "seed": config.seed,
        "steps": config.optim.steps,
        "config_hash": config_hash(config),
        "checkpoint": trained.path.name,
        "checkpoint_rule": trained.rule,
        "checkpoint_step": trained.step,
        "labeled_patients": list(trained.meta.labeled_patients),
    }


def notes_on_pixels(dataset: PreparedDataset, pixels: Pixels, groups: Sequence[Group]) -> list[str]:
    """What was asked for and is not there, and what the intervals are of."""
    notes = []
    for name, asked, found in zip(dataset.class_names, pixels.asked_C, pixels.found_C, strict=True):
        if found < asked:
            notes.append(
                f"{name}: {found} of {asked} pixels, "
                + ("all" if found else "none")
                + " that the split has in cells of their own"
            )
        if found == 1:
            notes.append(f"{name}: one pixel has neither silhouette nor compactness")
    if sum(found > 0 for found in pixels.found_C) < 2:
        notes.append("one class only: nothing to tell apart, most scores are undefined")
    if len(pixels.patients) == 1:
        notes.append("one patient: no intervals")
    elif all(len(group.members) == 1 for group in groups):
        notes.append(
            "one seed of each configuration: intervals are over patients and say nothing about other seeds"
        )
    else:
        notes.append("intervals are over patients, these seeds; other seeds are another spread")
        if len(groups) > 1:
            notes.append(
                "a difference can be claimed where its intervals over patients and over three seeds or more both lie "
                "off 0, from six patients or more"
            )
    if len({len(group.members) for group in groups}) > 1:
        notes.append("configurations have different numbers of seeds")
    return notes


def notes_on_rules(rules: Sequence[str], split: str) -> list[str]:
    """What the choice of checkpoints does to the scores."""
    notes = []
    if len(set(rules)) > 1:
        notes.append(f"checkpoints kept by different rules: {', '.join(dict.fromkeys(rules))}")
    if split == "val" and "best" in rules:
        notes.append("these validation cases chose the checkpoint: the scores flatter it")
    return notes


def notes_on_checkpoints(trained: Trained, label: str) -> list[str]:
    """What a reader of its scores should know of a checkpoint."""
    if trained.run_step < trained.config.optim.steps:
        return [f"{label}: unfinished run, step {trained.run_step} of {trained.config.optim.steps}"]
    return []


def notes_on_embeddings(embeddings_ND: Float[np.ndarray, "N D"], label: str) -> list[str]:
    """Why scores are missing."""
    if all_alike(embeddings_ND):
        return [f"{label}: all pixels have the same embedding, no score is defined"]
    if all_alike(directions(embeddings_ND)):
        return [f"{label}: all embeddings point the same way, no cosine tells them apart"]
    return []
