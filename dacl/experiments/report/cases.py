"""Every case of a report with the masks of every run, predicted anew: evaluations keep scores, not masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dacl.analysis.report import ReportCase, Score, volumes
from dacl.callbacks import OnProgress
from dacl.data.prepared import CaseInfo
from dacl.experiments.report.facts import scores_by_case
from dacl.experiments.report.subjects import Subject
from dacl.metrics.overlap import dice_per_class

SAME_DICE = 5e-4
"""Masks drawn now and masks scored then may differ where machines round differently; by more than this it is said."""

Key = tuple[str, str]
"""Fingerprint of the dataset, and case: two datasets may use one name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Cases in the order of the datasets, and the scores of every run."""

    cases: list[ReportCase]
    scores: list[list[Score]]
    step: int
    """`volumes.reduction` of the pictures."""
    notes: list[str]


def wanted(
    cases: Sequence[tuple[str, Sequence[CaseInfo]]],
) -> dict[Key, list[tuple[int, CaseInfo]]]:
    """Case -> which runs have it; of every run the fingerprint of its dataset and its cases are given."""
    held: dict[Key, list[tuple[int, CaseInfo]]] = {}
    for number, (fingerprint, of_run) in enumerate(cases):
        for info in of_run:
            held.setdefault((fingerprint, info.id), []).append((number, info))
    return held


def draw_cases(subjects: Sequence[Subject], network: str, progress: OnProgress) -> Drawn:
    """Predict and encode one case after the other, so that no more than one is in memory.

    Args:
        subjects: the runs.
        network: whose masks.
        progress: of the cases.
    """
    held = wanted([(s.judged.dataset.fingerprint, s.cases) for s in subjects])
    step = volumes.reduction(sum(int(np.prod(runs[0][1].shape_ZHW)) for runs in held.values()))
    several = len({fingerprint for fingerprint, _ in held}) > 1
    tables = [_scores(subject, network) for subject in subjects]
    found = Drawn(cases=[], scores=[[] for _ in subjects], step=step, notes=[])
    apart = [0.0] * len(subjects)
    for index, runs in enumerate(held.values()):
        info = runs[0][1]
        progress(index, len(held), info.id)
        masks = {number: subjects[number].judged.predict(info)[network] for number, _ in runs}
        rows = {number: tables[number][info.id] for number in masks}
        dataset = subjects[runs[0][0]].judged.dataset
        truth_ZHW = dataset.read_label(info.id)
        for number, pred_ZHW in masks.items():
            gap = _gap(pred_ZHW, truth_ZHW, dataset.class_names, rows[number])
            apart[number] = max(apart[number], gap)
            found.scores[number].extend(
                Score(case=index, class_name=name, values=row, status=row["status"])
                for name, row in rows[number].items()
            )
        image_ZHW = dataset.read_image(info.id)[0]
        name = f"{dataset.name}: {info.id}" if several else info.id
        found.cases.append(
            _case(name, info, dataset.class_names, image_ZHW, truth_ZHW, masks, rows, len(subjects), step)
        )  # fmt: skip
    found.notes.extend(
        f"{subject.name}: the masks drawn here score up to {100 * gap:.2f} points of Dice otherwise than those in the "
        "tables, which were made on another machine or by another version"
        for subject, gap in zip(subjects, apart, strict=True)
        if gap > SAME_DICE
    )
    return found


def _scores(subject: Subject, network: str) -> dict[str, dict[str, Mapping[str, Any]]]:
    return scores_by_case(
        subject.evaluation / "cases.csv",
        network,
        cases=[case.id for case in subject.cases],
        classes=subject.judged.dataset.class_names[1:],
    )


def _case(
    name: str,
    info: CaseInfo,
    class_names: Sequence[str],
    image_ZHW: np.ndarray,
    truth_ZHW: np.ndarray,
    masks: dict[int, np.ndarray],
    rows: dict[int, dict[str, Any]],
    n_runs: int,
    step: int,
) -> ReportCase:
    grey_ZHW = volumes.reduced(volumes.to_grey(image_ZHW), step)
    n_slices, height, width = grey_ZHW.shape
    runs, spacing = range(n_runs), info.spacing_mm
    return ReportCase(
        name=name,
        patient=info.patient,
        class_names=class_names[1:],
        shape=(n_slices, height, width),
        aspect=1.0 if spacing is None else spacing[1] / spacing[2],
        images=volumes.encode_slices(grey_ZHW),
        truth=volumes.encode_mask(truth_ZHW, step),
        predictions=[volumes.encode_mask(masks[n], step) if n in masks else None for n in runs],
        dice=[{name: row["dice"] for name, row in rows.get(n, {}).items()} for n in runs],
        worst_slice=[volumes.worst_slice(truth_ZHW, masks[n]) if n in masks else None for n in runs],
    )  # fmt: skip


def _gap(
    pred_ZHW: np.ndarray, truth_ZHW: np.ndarray, class_names: Sequence[str], rows: dict[str, Any]
) -> float:
    """The largest difference of Dice between these masks and the table."""
    drawn_C = dice_per_class(pred_ZHW, truth_ZHW, len(class_names))
    return max(
        (
            abs(float(drawn) - rows[name]["dice"])
            for name, drawn in zip(class_names[1:], drawn_C[1:], strict=True)
            if name in rows and rows[name]["dice"] is not None and not np.isnan(drawn)
        ),
        default=0.0,
    )
