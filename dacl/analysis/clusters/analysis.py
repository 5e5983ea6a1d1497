"""`dacl analyze clusters` as a function: the same annotated pixels in the embeddings of one or several checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Integer

from dacl.analysis.clusters.bootstrap import patient_weights
from dacl.analysis.clusters.groups import Member, group_by_configuration
from dacl.analysis.clusters.labelled_points import Resampled, all_alike
from dacl.analysis.clusters.plane import to_plane, turned_to
from dacl.analysis.clusters.record import (
    checkpoint_provenance,
    notes_on_checkpoints,
    notes_on_embeddings,
    notes_on_pixels,
    notes_on_rules,
    protocol_block,
)
from dacl.analysis.clusters.result import (
    DEFAULT_REQUEST,
    CheckpointClusters,
    ClusterAnalysis,
    ClusterRequest,
    differences,
    methods_of,
    scores_of,
)
from dacl.analysis.clusters.scores import SCORES, class_scores
from dacl.analysis.embeddings import cell_grid, embed_pixels, require_space
from dacl.analysis.pixels import CellGrid, Pixels, draw_pixels, even_shares
from dacl.callbacks import OnProgress
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.protocol import provenance
from dacl.seeding import stream_seed
from dacl.training.checkpoint import RunMeta, Trained, load_trained, open_data
from dacl.training.device import device_name, pick_device, precision_name

SCORING, DRAWING = 15, 25
"""What scores and picture take, counted in cases embedded."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is kept of a checkpoint between its being checked and its turn."""

    member: Member
    meta: RunMeta
    grid: CellGrid


def analyze_clusters(
    paths: Sequence[Path],
    request: ClusterRequest = DEFAULT_REQUEST,
    report: OnProgress = lambda *_: None,
) -> ClusterAnalysis:
    """Embed the same pixels by every checkpoint, score how their classes cluster, and lay them out in the plane.

    Args:
        paths: run folders or .pt files; the first is what the others are held against.
        request: what to look at.
        report: told how far it is.

    Raises:
        DaclError: no such checkpoint, data, network or space; checkpoints of different data or splits, or a seed twice
            in one configuration; a split that training saw or without a labelled case; embeddings that are not finite.
    """
    if not paths:
        raise DaclError("no checkpoint", "give run folders or .pt files that `dacl train` wrote")
    device = pick_device(request.device)
    looked, dataset = _look(paths, request, device)
    groups = group_by_configuration([each.member for each in looked])
    labels = {
        index: f"{group.label} seed {seed}"
        for group in groups
        for seed, index in group.members.items()
    }
    cases = dataset.judged_cases(request.split)
    total = len(cases) + len(paths) * (len(cases) + SCORING + DRAWING)
    pixels = draw_pixels(
        dataset, cases, [each.grid for each in looked], points=request.points, seed=request.seed,
        report=lambda done, _, detail: report(done, total, f"pixels of {detail}" if detail else ""),
    )  # fmt: skip
    plotted_P = _plotted(pixels, request)
    weights_RP = patient_weights(len(pixels.patients), request.seed)
    rules = [each.member.rule for each in looked]

    every: list[Mapping[str, Resampled]] = []
    checkpoints: list[CheckpointClusters] = []
    notes = [*dataset.notes, *notes_on_pixels(dataset, pixels, groups)]
    notes += notes_on_rules(rules, request.split)
    for index in range(len(paths)):
        start = len(cases) + index * (len(cases) + SCORING + DRAWING)
        trained = load_trained(paths[index], device, request.checkpoint)
        embeddings_ND = embed_pixels(
            trained, dataset, pixels, space=request.space, network=request.network, device=device,
            report=_within(report, start, total, labels[index]),
        )  # fmt: skip
        report(start + len(cases), total, f"{labels[index]}: scores")
        every.append(_scores(embeddings_ND, pixels, weights_RP, request.seed))
        report(start + len(cases) + SCORING, total, f"{labels[index]}: picture")
        plane = to_plane(embeddings_ND[plotted_P], request.method, request.seed)
        xy_P2 = turned_to(plane.xy_P2, checkpoints[0].xy_P2) if checkpoints else plane.xy_P2
        checkpoints.append(
            CheckpointClusters(
                label=labels[index],
                path=trained.path,
                scores=scores_of(every[-1]),
                difference_to_first=differences(every[-1], every[0]) if index else None,
                embeddings_ND=embeddings_ND,
                xy_P2=xy_P2,
                plot_classes_P=pixels.class_N[plotted_P],
                plane=plane.says,
                provenance=checkpoint_provenance(trained),
            )
        )
        notes += notes_on_checkpoints(trained, labels[index])
        notes += notes_on_embeddings(embeddings_ND, labels[index])
    report(total, total, "")
    return ClusterAnalysis(
        dataset=dataset.name,
        synthetic=dataset.synthetic,
        class_names=dataset.class_names,
        request=request,
        pixels=pixels,
        plotted_P=plotted_P,
        checkpoints=tuple(checkpoints),
        groups=groups,
        methods=methods_of(groups, every),
        protocol=protocol_block(
            dataset, request, pixels, plotted_P,
            rules=rules,
            planes=[found.plane for found in checkpoints],
            grids=[each.grid for each in looked],
        ),
        provenance=provenance(
            device=device_name(device), precision=precision_name(False, device),
            threads=torch.get_num_threads(),
        ),
        notes=tuple(notes),
    )  # fmt: skip


def _look(
    paths: Sequence[Path], request: ClusterRequest, device: torch.device
) -> tuple[list[Looked], PreparedDataset]:
    """Check all checkpoints before any work, and open the data that they share."""
    looked: list[Looked] = []
    for path in paths:
        trained = load_trained(path, device, request.checkpoint)
        require_space(trained, request.space, request.network)
        if looked:
            _require_same_data(looked[0], trained)
        else:
            dataset = open_data(trained.meta, trained.path, request.data)
        member = Member(trained.path, trained.config, trained.rule)
        grid = cell_grid(trained, request.space, request.network, device)
        looked.append(Looked(member, trained.meta, grid))
    return looked, dataset


def _require_same_data(first: Looked, other: Trained) -> None:
    one, two = first.meta, other.meta
    for what, a, b in (
        ("data", (one.dataset_name, one.dataset_fingerprint), (two.dataset_name, two.dataset_fingerprint)),
        ("split", (one.split_name, one.split_hash), (two.split_name, two.split_hash)),
    ):  # fmt: skip
        if a[1] != b[1]:
            raise DaclError(
                f"{first.member.path} and {other.path} were trained on different {what}: "
                f"{a[0]} ({a[1][:12]}) and {b[0]} ({b[1][:12]})",
                "look at them one by one: scores of different pixels do not compare",
            )


def _within(report: OnProgress, start: int, total: int, label: str) -> OnProgress:
    return lambda done, _, detail: report(start + done, total, f"{label}: {detail}")


def _scores(
    embeddings_ND: np.ndarray, pixels: Pixels, weights_RP: np.ndarray, seed: int
) -> dict[str, Resampled]:
    """All scores; of points that are all alike there is none, whatever the formulas make of their rounding."""
    n_classes = len(pixels.asked_C)
    if all_alike(embeddings_ND):
        nothing_R = np.full(len(weights_RP), np.nan)
        return {key: Resampled(nothing_R) for key in SCORES}
    return class_scores(
        embeddings_ND, pixels.class_N, pixels.patient_N, weights_RP, n_classes=n_classes, seed=seed
    )


def _plotted(pixels: Pixels, request: ClusterRequest) -> Integer[np.ndarray, "P"]:
    """Indices of the pixels drawn, as many of every class as there are to take, ascending."""
    rng = np.random.default_rng(stream_seed(request.seed, "cluster picture"))
    shares = even_shares(np.array(pixels.found_C), request.plot_points, rng)
    taken = [
        rng.permutation(np.flatnonzero(pixels.class_N == label))[:share]
        for label, share in enumerate(shares.tolist())
    ]
    return np.sort(np.concatenate(taken))
