"""A report of runs that never were: two small cases, every part of the page filled."""

import math
from typing import Any

import numpy as np

from dacl.analysis.report import (  # fmt: skip
    Average,
    Embedding,
    Metric,
    Report,
    ReportCase,
    ReportRun,
    Score,
    volumes,
)
from dacl.training.records import Record, warning_record

CLASSES = ("background", "RV", "Myo", "LV")
METRICS = (
    Metric(key="dice", heading="Dice %", factor=100.0, decimals=2),
    Metric(key="asd_mm", heading="ASD mm", factor=1.0, decimals=2),
)
SHAPE = (6, 80, 72)


def blocks(shift: int) -> np.ndarray:
    """Nested blocks in every slice but the first, moved by `shift` columns."""
    mask = np.zeros(SHAPE, np.uint8)
    for label, edge in ((1, 0), (2, 5), (3, 9)):
        mask[1:, 8 + edge : 40 - edge, 6 + edge + shift : 32 - edge + shift] = label
    return mask


def records(warned: str | None = None) -> list[Record]:
    found: list[Record] = []
    for step in (10, 20, 30):
        by_class = {name: 0.1 * i + step / 100 for i, name in enumerate(CLASSES[1:])}
        found.append(
            {
                "kind": "train", "step": step, "parts": {"supervised": 1 / step, "cross": 2 / step},
                "diagnostics": {"confident": by_class, "bank_fill": by_class, "anchors": dict.fromkeys(by_class, 20.0)},
            }
        )  # fmt: skip
        found.append(
            {
                "kind": "val",
                "step": step,
                "dice": {"a": by_class, "b": {**by_class, "RV": math.nan}},
            }
        )
    if warned is not None:
        found.insert(3, warning_record(20, warned))
    return found


def case(name: str, predictions: list[np.ndarray | None], seed: int) -> ReportCase:
    truth = blocks(0)
    image = truth + np.random.default_rng(seed).normal(0, 0.2, SHAPE)
    dice: list[dict[str, float | None]] = []
    for number, mask in enumerate(predictions):
        values = {n: 0.9 - 0.2 * i - 0.05 * number - 0.1 * seed for i, n in enumerate(CLASSES[1:])}
        dice.append({} if mask is None else values)
    return ReportCase(
        name=name, patient=name.split("_")[0], class_names=CLASSES[1:], shape=SHAPE, aspect=1.25,
        images=volumes.encode_slices(volumes.to_grey(image)), truth=volumes.encode_mask(truth, 1),
        predictions=[None if m is None else volumes.encode_mask(m, 1) for m in predictions], dice=dice,
        worst_slice=[None if m is None else volumes.worst_slice(truth, m) for m in predictions],
    )  # fmt: skip


def report(
    names: tuple[str, ...] = ("CPS", "DACL"),
    case_names: tuple[str, ...] = ("p1_ED", "p1_ES", "p2_ED"),
    warned: str | None = None,
    **changes: Any,
) -> Report:
    shifted = [blocks(3 + number) for number in range(len(names))]
    cases = [case(name, list(shifted), seed) for seed, name in enumerate(case_names)]
    runs = []
    for number, name in enumerate(names):
        scores = [
            Score(
                case=index,
                class_name=label,
                values={
                    "dice": one.dice[number][label],
                    # One class was found in neither mask: undefined.
                    "asd_mm": None if (index, label) == (0, "Myo") else 10.0 * index + number,
                },
                status="undefined" if (index, label) == (0, "Myo") else "ok",
            )
            for index, one in enumerate(cases)
            for label in one.class_names
        ]
        means = {
            label: {
                "dice": Average(mean=0.5 + number / 10, ci95=(0.4, 0.6)),
                "asd_mm": Average(mean=None),
            }
            for label in (*CLASSES[1:], "mean of classes")
        }
        runs.append(
            ReportRun(
                name=name,
                facts={"Method": name.lower(), "Seed": str(number)},
                settings={"optim.steps": 30, "seed": number}
                | ({"contrast.tau": 0.4} if number else {}),
                protocol={"dataset": "blocks", "networks": ["a", "b"][: number + 1]},
                provenance={"seed": number, "command": f"dacl train --seed {number}"},
                averages=means,
                scores=scores,
                records=records(warned if number == 0 else None),
                notes=("one seed", f"note of {name}"),
            )
        )
    xy = np.random.default_rng(0).normal(size=(40, 2))
    content: dict[str, Any] = {
        "title": " and ".join(names), "lead": "blocks, 3 volumes.", "metrics": METRICS, "runs": runs,
        "cases": cases, "class_names": CLASSES, "picture_notes": volumes.in_words(1),
        "provenance": {"command": "dacl report"}, "embedding_classes": CLASSES,
        "embeddings": [
            Embedding(label=name, xy_P2=xy, classes_P=np.arange(40) % 4, lines=("Silhouette 0.5",))
            for name in names
        ],
    }  # fmt: skip
    return Report(**(content | changes))
