"""The runs of a report: opened, named, evaluated on its split, and alike enough to stand on one page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dacl.callbacks import OnProgress
from dacl.config import config_hash
from dacl.data.prepared import CaseInfo
from dacl.errors import DaclError
from dacl.experiments.comparison.sides import protocol_differences
from dacl.experiments.evaluation import Request as EvaluationRequest
from dacl.experiments.evaluation import evaluate
from dacl.experiments.judged import Judged, open_judged
from dacl.experiments.report.facts import finished_summary
from dacl.experiments.tables import NOTED, Summary
from dacl.run_layout import evaluation_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What to report on and how."""

    split: Literal["val", "test"] = "test"
    checkpoint: Literal["best", "latest"] = "best"
    """Which one of a run folder; a .pt file is its own answer."""
    network: str = "a"
    data: Path | None = None
    """The prepared dataset; None: where each checkpoint says it was."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    embeddings: bool = True
    force: bool = False
    """Report runs of different protocols together, and say so at the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One run and the cases it is to be judged on."""

    name: str
    judged: Judged
    cases: list[CaseInfo]
    evaluation: Path
    """The folder of its evaluation, finished or not."""
    summary: Summary | None
    """None where it was not evaluated, or is another checkpoint since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One run as it was evaluated."""

    name: str
    judged: Judged
    cases: list[CaseInfo]
    evaluation: Path
    summary: Summary
    evaluated_now: bool


def open_runs(paths: Sequence[Path], request: ReportRequest) -> list[Opened]:
    """The runs in the order asked for.

    Raises:
        DaclError: none, no such run or data, a run named twice, or a network that one does not have.
    """
    if not paths:
        raise DaclError("no run to report on", "name the folder of a run: dacl report RUN")
    every = []
    for path in paths:
        judged = open_judged(
            path, checkpoint=request.checkpoint, data=request.data, device=request.device
        )
        judged.trained.method.require_network(request.network, mean=True, of=path)
        every.append(judged)
    files = [judged.trained.path.resolve() for judged in every]
    for path, file in zip(paths, files, strict=True):
        if files.count(file) > 1:
            raise DaclError(f"{path} is named twice", "name every run once")
    opened = []
    for name, judged in zip(short_names(files), every, strict=True):
        cases = judged.dataset.judged_cases(request.split)
        folder, summary = _find_evaluation(judged, request)
        opened.append(
            Opened(name=name, judged=judged, cases=cases, evaluation=folder, summary=summary)
        )
    return opened


def unlike(opened: Sequence[Opened]) -> list[str]:
    """What the checkpoints alone tell to be of different protocols, before minutes are spent on evaluating them.

    `mixture` compares the whole protocols once they are there.
    """

    def known(run: Opened) -> dict[str, str]:
        meta = run.judged.trained.meta
        return {
            "dataset": f"{meta.dataset_name} {meta.dataset_fingerprint[:7]}",
            "intensity rule": meta.intensity,
            "split": f"{meta.split_name} {meta.split_hash[:7]}",
            "labelled patients": str(len(meta.labeled_patients)),
            "checkpoint": run.judged.trained.rule,
        }

    first, *others = opened
    own = known(first)
    found = {
        other.name: [f"{key}: {own[key]} != {value}" for key, value in known(other).items() if value != own[key]]
        for other in others
    }  # fmt: skip
    return [
        f"{first.name} and {name}, {'; '.join(lines)}" for name, lines in found.items() if lines
    ]


def short_names(checkpoints: Sequence[Path]) -> list[str]:
    """The shortest end of each path that tells the runs apart: the folder, more of it, or the file too."""
    same_folder = len({path.parent for path in checkpoints}) < len(checkpoints)
    parts = [
        path.with_suffix("").parts if same_folder else path.parent.parts for path in checkpoints
    ]
    for length in range(2 if same_folder else 1, max(map(len, parts)) + 1):
        names = ["/".join(one[-length:]) for one in parts]
        if len(set(names)) == len(names):
            break
    return names


def _find_evaluation(judged: Judged, request: ReportRequest) -> tuple[Path, Summary | None]:
    """Where the evaluation lies, and its summary if it is of these very weights."""
    trained = judged.trained
    folder = evaluation_folder(trained.run_dir, request.split, trained.path.stem, judged.post)
    summary = finished_summary(folder)
    if summary is not None:
        made = summary["provenance"]
        current = (trained.step, config_hash(trained.config))
        if (made.get("checkpoint_step"), made.get("config_hash")) != current:
            summary = None
    return folder, summary


def evaluated(run: Opened, request: ReportRequest, progress: OnProgress) -> Subject:
    """The run with its evaluation, which is made now where it is missing."""
    made = run.summary
    if made is None:
        made = evaluate(
            run.judged.trained.path,
            EvaluationRequest(
                split=request.split, network=request.network, data=run.judged.dataset.root,
                device=request.device, predictions=False, pictures=False, out=run.evaluation,
            ),
            lambda done, total, case: progress(done, total, f"{run.name} {case}".strip()),
        ).summary  # fmt: skip
    return Subject(
        name=run.name, judged=run.judged, cases=run.cases, evaluation=run.evaluation, summary=made,
        evaluated_now=run.summary is None,
    )  # fmt: skip


def mixture(subjects: Sequence[Subject]) -> list[str]:
    """What the protocols disagree on, but for the networks that a method has: a line for every run unlike the first."""
    first, *others = subjects
    found = {other.name: protocol_differences(first.summary, other.summary) for other in others}
    return [
        f"{first.name} and {name}, {'; '.join(lines)}" for name, lines in found.items() if lines
    ]


def noted(subjects: Sequence[Subject]) -> list[str]:
    """What a reader of the page should know before comparing: said, not refused."""
    lines = [
        f"{subject.name} was evaluated for this report" for subject in subjects if subject.evaluated_now
    ]  # fmt: skip
    for key in NOTED:
        values = {s.name: str(s.summary["provenance"].get(key)) for s in subjects}
        if len(set(values.values())) > 1:
            each = ", ".join(f"{name} {value}" for name, value in values.items())
            lines.append(f"{key} differ: {each}")
    return lines
