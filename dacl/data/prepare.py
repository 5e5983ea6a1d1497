"""Preparing: a raw folder in, checks of every case, a prepared dataset out.

Nothing is put in its place before every case has been checked. A case that has been checked is written aside, because
reading it a second time would take as long again; with a finding in any case, all of that is removed. A case file that
is already there, intact and from the same source files, is kept, so that an interrupted preparation goes on where it
stopped. ``dataset.json`` is written last and removed before the first case that is put in its place again: a folder
without it is not a dataset.
"""

import multiprocessing
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dacl import __version__
from dacl.atomic import write_json
from dacl.data import intensity
from dacl.data.casefile import FORMAT, case_path, holds, write_case
from dacl.data.entries import Entry, entry_of, with_source
from dacl.data.notes import twins
from dacl.data.prepared import PreparedDataset, content_fingerprint, withdraw
from dacl.data.readers import WHOLE_DATASET, CaseSource, Discovery, Finding, Reader, relative
from dacl.data.report import PreparationReport, report_of
from dacl.data.split_files import SplitFile
from dacl.data.splits import Split, check_name, resolve
from dacl.errors import DaclError
from dacl.folder_lock import kept_out

OnStage = Callable[[str, int, int], None]
"""``progress(stage, done, total)`` with stage ``check`` or ``write``."""

# What an interrupted preparation may have left in its folder before dataset.json.
_OURS = {"cases", "splits.json", "splits.json.partial", "dataset.json.partial"}

_CHECKED = ".checked"

T = TypeVar("T")


class BadCases(DaclError):
    """Some cases cannot be prepared; ``findings`` says which and why. Nothing was written."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        n, cases = len(findings), len({finding.case for finding in findings})
        counted = f"{n} finding{'s' * (n != 1)} in {cases} case{'s' * (cases != 1)}"
        message = f"{counted}, nothing was written"
        hint = "mend them as the table says"
        if all(finding.case != WHOLE_DATASET for finding in findings):
            hint += ", or leave those cases out with --skip-bad"
        super().__init__(message, hint)
        self.findings = tuple(findings)


def prepare(
    reader: Reader,
    raw: Path,
    root: Path | None,
    *,
    split: str | SplitFile | None = None,
    rule: str | None = None,
    skip_bad: bool = False,
    workers: int = 1,
    progress: OnStage | None = None,
) -> PreparationReport:
    """Check every case of ``raw`` and write the prepared dataset to ``root``.

    Args:
        reader: of the raw layout.
        raw: the raw folder.
        root: the folder to write to; None only checks.
        split: name of a split, or a file that holds one; None is the raw folder's own, else the reader's default.
        rule: intensity rule, recorded now and applied on reading; None is the reader's default.
        skip_bad: leave bad cases out instead of raising.
        workers: processes.
        progress: called after each case.

    Raises:
        BadCases: a case has a finding and ``skip_bad`` is off.
        DaclError: another layout, an unknown split or rule, a folder in use, a full disk.
    """
    if rule is not None:
        intensity.check_rule(rule)
    found = reader.discover(raw)
    reader = found.reader or reader
    rule = rule or found.default_intensity
    _check_split(split, found)
    if root is not None:
        _check_target(root, raw, reader.name, found.name)
    progress = progress or (lambda *_: None)
    with _alone(root):
        entries, findings = _check_all(reader, found, root, workers, progress)
        try:
            good = _usable(entries, findings, skip_bad=skip_bad, raw=raw)
            chosen = _split(split, found, good)
        except DaclError:
            _remove_checked(root)
            raise
        split_options = split.options if isinstance(split, SplitFile) else ("--split", chosen.name)
        command = shlex.join([
            "dacl", "preprocess", reader.name, *(found.arguments or (str(raw),)), str(root),
            *reader.options, *split_options, "--intensity", rule, *["--skip-bad"] * skip_bad,
        ])  # fmt: skip
        dataset = _index(found, reader.name, rule, good, twins(good, chosen), command)
        written = 0 if root is None else _write(root, chosen, dataset, list(good), progress)
    return report_of(
        found,
        chosen,
        good,
        rule=rule,
        root=root,
        findings=findings,
        fingerprint=dataset["fingerprint"],
        written=written,
    )


@contextmanager
def _alone(root: Path | None) -> Iterator[None]:
    """Keep other preparations out of ``root``, which would mix their cases; a new one that stays empty is removed."""
    if root is None:
        yield
        return
    taken = DaclError(
        f"another process is preparing {root}", "wait for it, or give another folder as OUT"
    )
    cases, lock, is_new = root / "cases", root / ".lock", not root.exists()
    with ExitStack() as held:
        try:
            root.mkdir(parents=True, exist_ok=True)
            held.enter_context(kept_out(lock, taken))
        except OSError as error:
            hint = "free some space or choose another folder"
            raise DaclError(f"cannot write {root}: {error.strerror}", hint) from error
        try:
            yield
        finally:
            if is_new:
                with suppress(OSError):
                    if cases.exists():
                        cases.rmdir()
                    lock.unlink(missing_ok=True)
                    root.rmdir()


def _usable(
    entries: Mapping[str, Entry], findings: Sequence[Finding], *, skip_bad: bool, raw: Path
) -> dict[str, Entry]:
    """The cases without a finding, of patients without one; raises where findings, or the lack of cases, end it."""
    if findings and (not skip_bad or any(f.case == WHOLE_DATASET for f in findings)):
        raise BadCases(findings)
    bad = {finding.case for finding in findings}
    good = {i: e for i, e in entries.items() if i not in bad and e.patient not in bad}
    if not good:
        raise DaclError(f"no usable case in {raw}", "see the findings with --check")
    return good


def _check_target(root: Path, raw: Path, reader: str, name: str) -> None:
    """Refuse to write over raw data, over another dataset, or among files of another kind."""
    if root.resolve() == raw.resolve():
        raise DaclError(f"{root} is the raw folder itself", "give another folder as OUT")
    if (root / "dataset.json").is_file():
        try:
            held = PreparedDataset.open(root)
        except DaclError:
            # Preparing again is how a damaged dataset is mended.
            return
        if held.name != name:
            message = f"{root} holds the dataset {held.name!r}, this one is {name!r}"
            raise DaclError(message, "give another folder as OUT")
        if held.reader not in ("", reader):
            message = f"{root} was prepared by `dacl preprocess {held.reader}`, not by `{reader}`"
            raise DaclError(message, "give another folder as OUT")
    elif root.exists() and not root.is_dir():
        raise DaclError(f"{root} is a file", "give a folder as OUT")
    elif root.exists() and any(
        path.name not in _OURS and not path.name.startswith(".") for path in root.iterdir()
    ):
        message = f"{root} holds files that are not a prepared dataset"
        raise DaclError(message, "give a new or an empty folder as OUT")


def _check_all(
    reader: Reader, found: Discovery, root: Path | None, workers: int, progress: OnStage
) -> tuple[dict[str, Entry], list[Finding]]:
    findings = list(found.findings)
    entries: dict[str, Entry] = {}
    owner: dict[tuple[str, str], str] = {}
    check = partial(_check_one, reader, len(found.class_names), root)
    results = zip(found.sources, _map(check, found.sources, workers), strict=True)
    for done, (source, (entry, problems)) in enumerate(results, start=1):
        findings += problems
        if entry is not None:
            entries[source.id] = entry
            first = owner.setdefault((entry.image_sha256, entry.label_sha256), source.id)
            if first != source.id:
                file = relative(source.images[0], source.raw)
                problem = f"duplicate: image and mask are those of {first}"
                fix = "remove one of the two"
                findings.append(Finding(case=source.id, file=file, problem=problem, fix=fix))
        progress("check", done, len(found.sources))
    return entries, findings


def _check_one(
    reader: Reader, n_classes: int, root: Path | None, source: CaseSource
) -> tuple[Entry | None, list[Finding]]:
    """Check a case, and write it aside if it is sound and not there.

    Raises:
        DaclError: the reader gives what no case may be.
    """
    case, findings = reader.read(source)
    if case is None or findings:
        return None, findings
    if case.id != source.id:
        raise DaclError(
            f"the reader {reader.name!r} gives case {case.id} for {source.id}",
            "a case has the id of its source",
        )
    case = with_source(case)
    entry = entry_of(case, n_classes)
    if root is not None:
        aside = _aside(root, case.id)
        if holds(case_path(root, case.id), case):
            # of another source, by a preparation that was interrupted
            aside.unlink(missing_ok=True)
        elif not holds(aside, case):
            write_case(aside, case)
    return entry, findings


def _write(
    root: Path, split: Split, dataset: dict[str, Any], case_ids: Sequence[str], progress: OnStage
) -> int:
    """Put the checked cases in their place, then the split and the index; how many cases took their place now."""
    written = 0
    for done, case_id in enumerate(case_ids, start=1):
        written += _put_in_place(root, case_id)
        progress("write", done, len(case_ids))
    _remove_checked(root)
    withdraw(root)  # of two new files neither stands beside the other's old one
    write_json(root / "splits.json", {**asdict(split), "hash": split.hash})
    write_json(root / "dataset.json", dataset)
    return written


def _put_in_place(root: Path, case_id: str) -> bool:
    """Let the checked case take its place; returns whether there was one to do so."""
    aside = _aside(root, case_id)
    if not aside.exists():
        return False
    # From here on the old index would name what it does not describe.
    withdraw(root)
    aside.replace(case_path(root, case_id))
    return True


def _aside(root: Path, case_id: str) -> Path:
    path = case_path(root, case_id)
    return path.with_name(path.name + _CHECKED)


def _remove_checked(root: Path | None) -> None:
    """Remove what was written aside."""
    for path in root.glob(f"cases/*{_CHECKED}") if root is not None else ():
        path.unlink()


def _map(
    work: Callable[[CaseSource], T], sources: Sequence[CaseSource], workers: int
) -> Iterator[T]:
    """Yield ``work(source)`` in order, from this process or from several."""
    if workers <= 1 or len(sources) < 2:
        yield from map(work, sources)
        return
    # Spawned, because forking a process that has started threads (torch, HDF5) can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(workers, len(sources)), mp_context=context, initializer=_leave_ctrl_c_to_parent
    )
    try:
        yield from pool.map(work, sources)
    except BrokenProcessPool as error:
        message = "a worker process died, probably for lack of memory"
        raise DaclError(message, "go on with --workers 1") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_ctrl_c_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check_split(split: str | SplitFile | None, found: Discovery) -> None:
    """Refuse a split that cannot be before any case is read."""
    if isinstance(split, SplitFile):
        _from_file(split, found)
    elif found.split is None or split not in (None, found.split.name):
        check_name(split or found.default_split, found.name)


def _from_file(split: SplitFile, found: Discovery) -> Split:
    masked = {source.patient for source in found.sources if source.labels}
    return split.read({source.id: source.patient for source in found.sources}, masked)


def _split(asked: str | SplitFile | None, found: Discovery, entries: Mapping[str, Entry]) -> Split:
    patients = {entry.patient for entry in entries.values()}
    labeled = {entry.patient for entry in entries.values() if entry.labeled}
    if isinstance(asked, SplitFile):
        split = _from_file(asked, found).restricted_to(patients)
    elif found.split is not None and asked in (None, found.split.name):
        split = found.split.restricted_to(patients)
    else:
        split = resolve(asked or found.default_split, found.name, labeled, patients - labeled)
    if not split.train:
        message = f"none of the training patients of split {split.name!r} is here"
        raise DaclError(message, "choose another split, for example --split random:0")
    return split


def _index(
    found: Discovery,
    reader: str,
    rule: str,
    entries: Mapping[str, Entry],
    notes: Sequence[str],
    command: str,
) -> dict[str, Any]:
    """Return the content of dataset.json."""
    indexed = ("patient", "phase", "source", "shape_ZHW", "spacing_mm", "class_voxels")
    cases = {
        case_id: {name: getattr(entry, name) for name in indexed}
        for case_id, entry in sorted(entries.items())
    }
    return {
        "format": FORMAT,
        "name": found.name,
        "reader": reader,
        "class_names": found.class_names,
        "modality": found.modality,
        "channels": found.channels or (found.modality,),
        "intensity": rule,
        "synthetic": found.synthetic,
        "fingerprint": content_fingerprint(cases, found.class_names, rule, found.reading),
        "dacl_version": __version__,
        "prepare_command": command,
        "notes": notes,
        "cases": cases,
    }
