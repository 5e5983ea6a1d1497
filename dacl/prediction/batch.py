"""Many scans into one folder: what is there already is respected, what fails is reported, the rest goes on."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dacl.callbacks import OnProgress
from dacl.data.readers import Finding, relative
from dacl.errors import DaclError, out_of_memory
from dacl.prediction.images import Scan
from dacl.prediction.predictor import Predictor
from dacl.prediction.scan import Unusable, folder_of
from dacl.prediction.sidecar import files_by_name

Existing = Literal["refuse", "skip", "overwrite"]


@dataclass(frozen=True, slots=True)
class Written:
    """One scan's files, and what its sidecar says."""

    name: str
    mask: Path
    sidecar: Path
    probabilities: Path | None
    classes: list[dict[str, Any]]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of every scan."""

    written: tuple[Written, ...]
    skipped: tuple[str, ...]
    failed: tuple[Finding, ...]


def predict_all(
    predictor: Predictor,
    scans: Sequence[Scan],
    out: Path,
    *,
    probabilities: bool = False,
    existing: Existing = "refuse",
    report: OnProgress = lambda *_: None,
) -> Outcome:
    """Write `<name>.nii.gz`, `<name>.json` and, where asked, `<name>_probabilities.nii.gz` of every scan.

    Args:
        predictor: what predicts.
        scans: see `find_scans`.
        out: folder, made where it is not there.
        probabilities: write them, too.
        existing: what to do about outputs that are there: refuse before anything is computed; `skip` scans whose
            sidecar says that the same models made them from the same files with the same options; `overwrite`,
            which also removes probabilities that a sidecar names and nobody asks for now.
        report: progress, scan by scan.

    Raises:
        DaclError: outputs that are there, or that would replace an image or another scan's.
    """
    targets = [_Target.of(scan, out, probabilities) for scan in scans]
    _check_images(targets)
    _check_apart(targets)
    skipped = _finished(predictor, targets) if existing == "skip" else set()
    todo = [target for target in targets if target.scan.name not in skipped]
    if existing != "overwrite":
        _require_absent(todo, len(targets), skipping=existing == "skip")
    written: list[Written] = []
    failed: list[Finding] = []
    for done, target in enumerate(todo):
        report(done, len(todo), target.scan.name)
        try:
            written.append(target.predict(predictor))
        except Unusable as error:
            failed += error.findings
        except Exception as error:
            if not (isinstance(error, DaclError) or out_of_memory(error)):
                raise
            failed.append(_failure(target.scan, error))
    report(len(todo), len(todo), "")
    return Outcome(tuple(written), tuple(sorted(skipped)), tuple(failed))


@dataclass(frozen=True, slots=True)
class _Target:
    scan: Scan
    mask: Path
    sidecar: Path
    probabilities: Path | None

    @classmethod
    def of(cls, scan: Scan, out: Path, probabilities: bool) -> "_Target":
        name = scan.name
        probable = out / f"{name}_probabilities.nii.gz" if probabilities else None
        return cls(scan, out / f"{name}.nii.gz", out / f"{name}.json", probable)

    def files(self) -> list[Path]:
        files = (self.mask, self.sidecar, self.probabilities)
        return [file for file in files if file is not None]

    def predict(self, predictor: Predictor) -> Written:
        self._withdraw()
        found = predictor.predict_scan(self.scan.name, self.scan.channels, self.probabilities)
        found.save(self.mask, overwrite=True)
        return Written(
            self.scan.name, self.mask, self.sidecar, self.probabilities,
            found.record["classes"], found.warnings,
        )  # fmt: skip

    def said(self) -> dict[str, Any]:
        """What the sidecar says; nothing where there is none, or it is no JSON of ours."""
        try:
            said = json.loads(self.sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def _withdraw(self) -> None:
        """Remove the sidecar, which must not vouch for what is replaced, and its probabilities where none are asked."""
        stale = self.mask.with_name(f"{self.scan.name}_probabilities.nii.gz")
        if self.probabilities is None and self.said().get("probabilities") == stale.name:
            stale.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)


def _require_absent(todo: Sequence[_Target], total: int, *, skipping: bool) -> None:
    """Refuse outputs that are there of scans that are to be predicted."""
    there = [files[0] for target in todo if (files := [*filter(Path.exists, target.files())])]
    if not there:
        return
    made = (
        "not finished by these models with these options from these images"
        if skipping
        else "there already"
    )
    raise DaclError(
        f"{len(there)} of {total} outputs are {made}, such as {there[0]}",
        "choose another folder, or --overwrite" + ("" if skipping else " or --skip-existing"),
    )


def _check_images(targets: Sequence[_Target]) -> None:
    images = {_place(file) for target in targets for file in target.scan.channels}
    for target in targets:
        for file in (target.mask, target.probabilities):
            if file is not None and _place(file) in images:
                raise DaclError(
                    f"{file} is one of the images: its mask would replace it",
                    "choose another --out",
                )


def _check_apart(targets: Sequence[_Target]) -> None:
    """A scan called `x_probabilities` has the mask that the probabilities of `x` would be."""
    owners: dict[str, str] = {}
    for target in targets:
        for file in target.files():
            other = owners.setdefault(str(file), target.scan.name)
            if other != target.scan.name:
                raise DaclError(
                    f"{file} would be written for {other} and for {target.scan.name}",
                    "predict them into different folders",
                )


def _place(file: Path) -> str:
    """Where a file lies; some file systems hold a.NII.GZ and a.nii.gz for one."""
    return str(file.resolve()).casefold()


def _finished(predictor: Predictor, targets: Sequence[_Target]) -> set[str]:
    """Names of the scans whose sidecar says that the same models made them of these files with the same options."""
    models, options = [model.about for model in predictor.models], predictor.options
    finished = set()
    for target in targets:
        said, probable = target.said(), target.probabilities
        wanted = (models, options, probable and probable.name)
        if not said or wanted != tuple(map(said.get, ("models", "options", "probabilities"))):
            continue
        files = [file for file in (target.mask, probable) if file is not None]
        if all(file.exists() for file in files) and _made_of(said, target.scan):
            finished.add(target.scan.name)
    return finished


def _made_of(said: dict[str, Any], scan: Scan) -> bool:
    """Whether the sidecar names just the scan's files, with the bytes that they have now."""
    try:
        return bool(said["image"]["files"] == files_by_name(_hashes(scan)))
    except (OSError, KeyError, TypeError):
        return False


def _hashes(scan: Scan) -> dict[str, str]:
    """sha256 of every file of a scan, by its path under the folder that holds them all."""
    folder, hashes = folder_of(scan.channels), {}
    for file in scan.channels:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        hashes[relative(file.absolute(), folder)] = digest
    return hashes


def _failure(scan: Scan, error: BaseException) -> Finding:
    name = scan.channels[0].name
    if isinstance(error, DaclError):
        return Finding(case=scan.name, file=name, problem=error.message, fix=error.hint)
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    fix = "close other programs, or choose --device cpu; without --tta and --probabilities less is held"
    return Finding(case=scan.name, file=name, problem=f"out of memory ({line})", fix=fix)
