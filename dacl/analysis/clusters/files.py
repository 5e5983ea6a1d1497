"""What an analysis of clusters leaves behind: the record, tables, pictures and embeddings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dacl.analysis.clusters.bootstrap import Estimate, SeedMean
from dacl.analysis.clusters.figure import ClusterPanel, draw_clusters
from dacl.analysis.clusters.result import ClusterAnalysis, ClusterRequest, ClusterScore
from dacl.analysis.clusters.scores import SCORES
from dacl.analysis.clusters.tables import tables, title_of
from dacl.atomic import write_json
from dacl.training.checkpoint import locate

FORMAT = 1


def default_folder(paths: Sequence[Path], request: ClusterRequest) -> Path:
    """`RUN/analysis/clusters-<space>` of one checkpoint; of several `clusters-<space>` beside the first run.

    Raises:
        DaclError: the first one is no run.
    """
    run_dir = locate(paths[0], request.checkpoint).parent
    name = f"clusters-{request.space}"
    if len(paths) == 1:
        return run_dir / "analysis" / name
    # `.` has no parent by name.
    return (run_dir.parent if run_dir.name else run_dir.resolve().parent) / name


def write_cluster_analysis(analysis: ClusterAnalysis, out: Path) -> list[Path]:
    """Write everything into the folder `out`; clusters.json is last. Returns what was written."""
    out.mkdir(parents=True, exist_ok=True)
    png, svg, markdown, tex = (out / f"clusters.{ending}" for ending in ("png", "svg", "md", "tex"))
    npz, json = out / "embeddings.npz", out / "clusters.json"
    draw_clusters(
        [png, svg], panels_of(analysis), analysis.class_names,
        title=f"{title_of(analysis)}\n{_counted(analysis)}", columns=_columns(analysis),
    )  # fmt: skip
    first, *others = tables(analysis)
    written = [replace(first, notes=(_counted(analysis), *analysis.notes)), *others]
    markdown.write_text("\n".join(table.markdown() for table in written), encoding="utf-8")
    tex.write_text("\n".join(table.latex() for table in written), encoding="utf-8")
    _write_embeddings(analysis, npz)
    write_json(json, record(analysis))
    return [png, svg, markdown, tex, npz, json]


def panels_of(analysis: ClusterAnalysis) -> list[ClusterPanel]:
    """A panel per checkpoint, configuration by configuration, with the scores that the paper's Fig. 1 (b) names."""
    order = [index for group in analysis.groups for index in group.members.values()]
    return [
        ClusterPanel(
            title=found.label,
            xy_P2=found.xy_P2,
            classes_P=found.plot_classes_P,
            lines=(*found.lines(), found.plane),
        )
        for found in (analysis.checkpoints[index] for index in order)
    ]


def record(analysis: ClusterAnalysis) -> dict[str, Any]:
    """Content of clusters.json."""
    names = analysis.class_names
    return {
        "format": FORMAT,
        "synthetic": analysis.synthetic,
        "protocol": dict(analysis.protocol),
        "provenance": dict(analysis.provenance),
        "scores": {
            key: {
                "heading": what.heading,
                "better": "higher" if what.higher_is_better else "lower",
                "is": what.says,
            }
            for key, what in SCORES.items()
        },
        "checkpoints": [
            {
                "label": found.label,
                "path": str(found.path),
                "provenance": dict(found.provenance),
                "dimensions": found.embeddings_ND.shape[1],
                "plane": found.plane,
                "scores": {key: _score(score, names) for key, score in found.scores.items()},
                "difference_to_first": found.difference_to_first
                and {key: _estimate(one) for key, one in found.difference_to_first.items()},
            }
            for found in analysis.checkpoints
        ],
        "methods": [
            {
                "label": method.label,
                "scores": {key: _seed_mean(one) for key, one in method.scores.items()},
                "difference_to_first": method.difference_to_first
                and {key: _seed_mean(one) for key, one in method.difference_to_first.items()},
            }
            for method in analysis.methods
        ],
        "notes": list(analysis.notes),
    }


def _columns(analysis: ClusterAnalysis) -> int | None:
    """Rows are configurations where all have the same few seeds."""
    counts = {len(group.members) for group in analysis.groups}
    same = counts.pop() if len(counts) == 1 else 0
    return same if 2 <= same <= 4 and len(analysis.groups) > 1 else None


def _counted(analysis: ClusterAnalysis) -> str:
    total, patients = len(analysis.pixels.class_N), len(analysis.pixels.patients)
    return (
        f"{len(analysis.plotted_P):,} of {total:,} pixels drawn, "
        f"{patients} patient{'' if patients == 1 else 's'}, [95 % over patients]"
    )


def _estimate(found: Estimate) -> dict[str, Any]:
    interval = found.ci95_over_patients
    return {"value": found.value, "ci95_over_patients": interval and list(interval)}


def _score(score: ClusterScore, names: Sequence[str]) -> dict[str, Any]:
    by_class = score.by_class
    return {
        **_estimate(score.overall),
        "by_class": by_class
        and {name: _estimate(one) for name, one in zip(names, by_class, strict=True)},
    }


def _seed_mean(found: SeedMean) -> dict[str, Any]:
    over_seeds = found.ci95_over_seeds
    return {
        "mean": found.estimate.value,
        "ci95_over_patients": _estimate(found.estimate)["ci95_over_patients"],
        "std_over_seeds": found.std_over_seeds,
        "ci95_over_seeds": over_seeds and list(over_seeds),
        "by_seed": {str(seed): value for seed, value in found.by_seed.items()},
    }


def _write_embeddings(analysis: ClusterAnalysis, path: Path) -> None:
    """Per pixel class, patient, case and place, and per checkpoint `embedding_<n>` and `xy_<n>`, n as in `labels`."""
    pixels = analysis.pixels
    arrays: dict[str, Any] = {
        "labels": np.array([found.label for found in analysis.checkpoints]),
        "class_names": np.array(analysis.class_names),
        "class": pixels.class_N.astype(np.uint8),
        "patient": np.array(pixels.patients)[pixels.patient_N],
        "case": np.array([case.id for case in pixels.cases])[pixels.case_N],
        "zyx": pixels.zyx_N3.astype(np.int32),
        "plotted": analysis.plotted_P,
    }
    for n, found in enumerate(analysis.checkpoints):
        arrays |= {f"embedding_{n}": found.embeddings_ND, f"xy_{n}": found.xy_P2.astype(np.float32)}
    np.savez_compressed(path, **arrays)
