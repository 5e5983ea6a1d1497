"""The content of `dacl report`: runs, their evaluations, their masks on every case, and pixels of their embeddings."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from dacl.analysis.report import Report, ReportRun, volumes
from dacl.callbacks import OnProgress
from dacl.errors import DaclError
from dacl.experiments.report import subjects as run_subjects
from dacl.experiments.report.cases import Drawn, draw_cases, wanted
from dacl.experiments.report.embeddings import Embedded, embed
from dacl.experiments.report.facts import METRICS, averages, facts, settings
from dacl.experiments.report.subjects import Opened, ReportRequest, Subject, open_runs
from dacl.protocol import provenance
from dacl.training.journal import Journal

__all__ = ["ReportRequest", "gather"]


def gather(
    paths: Sequence[Path],
    request: ReportRequest,
    progress: OnProgress = lambda *_: None,
) -> Report:
    """Everything a report shows.

    A run that was not evaluated on the split, or whose checkpoint is another one since, is evaluated in passing: tables
    and masks are of the same weights.

    Raises:
        DaclError: no such run or data, a run named twice, a network that a run does not have, no Pillow, or runs of
            different protocol or dataset unless forced.
    """
    if find_spec("PIL") is None:
        raise DaclError("a report needs Pillow, which is not installed", "pip install pillow")
    opened = open_runs(paths, request)
    if not request.force:
        _refuse(run_subjects.unlike(opened))
    bar = _Bar(progress, opened, request)
    subjects = []
    for run in opened:
        subjects.append(run_subjects.evaluated(run, request, bar))
        if run.summary is None:
            bar.passed(len(run.cases))
    mixture = run_subjects.mixture(subjects)
    if not request.force:
        _refuse(mixture)
    drawn = draw_cases(subjects, request.network, bar)
    bar.passed(len(drawn.cases))
    embedded = embed(subjects, request, bar.part)
    bar.done()
    return _report(subjects, drawn, embedded, mixture, request)


def _refuse(differences: Sequence[str]) -> None:
    if differences:
        raise DaclError(
            f"these runs were not measured alike: {'; '.join(differences)}",
            "report runs of one protocol together, or add --force to have the page say so at its top",
        )


class _Bar:
    """One bar over evaluations, pictures and embeddings."""

    def __init__(
        self, progress: OnProgress, opened: Sequence[Opened], request: ReportRequest
    ) -> None:
        cases = wanted([(run.judged.dataset.fingerprint, run.cases) for run in opened])
        missing = sum(len(run.cases) for run in opened if run.summary is None)
        self._progress, self._before = progress, 0
        self._embedding = len(cases) if request.embeddings else 0
        self._total = missing + len(cases) + self._embedding

    def __call__(self, done: int, _total: int, detail: str) -> None:
        self._progress(self._before + done, self._total, detail)

    def passed(self, done: int) -> None:
        """A part of the work is over."""
        self._before += done

    def part(self, done: int, total: int, detail: str) -> None:
        """Of the embeddings, which count their own work."""
        self._progress(self._before + done * self._embedding // total, self._total, detail)

    def done(self) -> None:
        self._progress(self._total, self._total, "")


def _report(
    subjects: Sequence[Subject],
    drawn: Drawn,
    embedded: Embedded,
    mixture: Sequence[str],
    request: ReportRequest,
) -> Report:
    names = [subject.name for subject in subjects]
    class_names = dict.fromkeys(name for s in subjects for name in s.judged.dataset.class_names)
    asked = {"split": request.split, "checkpoint": request.checkpoint, "network": request.network}
    return Report(
        title=names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}",
        lead=_lead(subjects, request),
        metrics=METRICS,
        runs=[
            _run(subject, drawn, number, request.network) for number, subject in enumerate(subjects)
        ],
        cases=drawn.cases,
        class_names=tuple(class_names),
        picture_notes=volumes.in_words(drawn.step),
        provenance=provenance(runs=names, **asked),
        mixture=mixture,
        notes=[*run_subjects.noted(subjects), *drawn.notes],
        synthetic=any(subject.judged.dataset.synthetic for subject in subjects),
        embeddings=embedded.embeddings,
        embedding_notes=embedded.notes,
        embedding_classes=embedded.class_names,
    )


def _run(subject: Subject, drawn: Drawn, number: int, network: str) -> ReportRun:
    trained, summary = subject.judged.trained, subject.summary
    records = Journal(trained.run_dir).records()
    return ReportRun(
        name=subject.name,
        facts=facts(trained, summary, records, network),
        settings=settings(trained),
        protocol=summary["protocol"],
        provenance=summary["provenance"],
        averages=averages(summary, network),
        scores=drawn.scores[number],
        records=records,
        notes=summary["notes"],
    )


def _lead(subjects: Sequence[Subject], request: ReportRequest) -> str:
    """What was judged on what, of every dataset."""
    judged = dict.fromkeys(
        f"{s.judged.dataset.name}, split {s.judged.dataset.split.name}: {s.summary['n_patients']} patients, "
        f"{s.summary['n_volumes']} volumes of {request.split}"
        for s in subjects
    )
    return f"{'; '.join(judged)}. Network {request.network}, native resolution."
