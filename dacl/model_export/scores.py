"""The scores of a model card: what `dacl evaluate` left beside the run about this very checkpoint."""

import json
from pathlib import Path
from typing import Any

from dacl.prediction.model import Model


def evaluations(model: Model) -> list[dict[str, Any]]:
    """The summaries beside the run that judged this checkpoint at this step and this network, test before val."""
    found = []
    for path in sorted(model.path.parent.glob("evaluation/*/summary.json")):
        summary = _read(path)
        made = summary.get("provenance", {})
        same = (made.get("checkpoint"), made.get("checkpoint_step")) == (
            model.path.name, model.about["step"],
        )  # fmt: skip
        if same and model.network in summary.get("networks", {}):
            found.append(summary)
    return sorted(found, key=lambda summary: summary["protocol"]["evaluated_on"] != "test")


def score_lines(model: Model) -> list[str]:
    """Markdown: a table per evaluation with its protocol and its notes, or that there is none."""
    found = evaluations(model)
    if not found:
        return ["Not evaluated: no evaluation of this checkpoint and network lies beside its run."]
    lines: list[str] = []
    for summary in found:
        protocol = summary["protocol"]
        lines += [
            f"**{protocol['dataset']}, {protocol['evaluated_on']}**, split {protocol['split']}: "
            f"{summary['n_patients']} patients, {summary['n_volumes']} volumes; {protocol['resolution']} "
            f"resolution, post-processing {protocol['post_processing']}; empty masks: {protocol['empty_rule']}.",
            "",
            "| class | Dice % | sd over patients | 95 % CI over patients | ASD mm | masks missed | spurious |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        lines += [_row(name, scores) for name, scores in summary["networks"][model.network].items()]
        lines += ["", *(f"- {note}" for note in _notes(summary)), ""]
    return lines[:-1]


def _notes(summary: dict[str, Any]) -> list[str]:
    """The notes on the evaluation; those on the data come before them and name patients, who stay unnamed here."""
    notes: list[str] = summary["notes"]
    first = next((i for i, note in enumerate(notes) if note.startswith("one seed")), len(notes))
    return notes[first:]


def _row(name: str, scores: dict[str, Any]) -> str:
    dice = scores["dice"]
    low, high = dice["ci95_over_patients"] or (None, None)
    cells = (
        name, _number(dice["mean"], 100), _number(dice["std_over_patients"], 100),
        "-" if low is None or high is None else f"{100 * low:.2f}-{100 * high:.2f}",
        _number(scores["asd_mm"]["mean"], 1), str(scores["n_missed"]), str(scores["n_spurious"]),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, scale: int) -> str:
    return "-" if value is None else f"{scale * value:.2f}"


def _read(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}
