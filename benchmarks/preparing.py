"""Preparing raw NIfTI volumes, on one core beside the field's way, then with more workers."""

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import field_data, made_data
from benchmarks.harness import AtLeast, Bench
from benchmarks.real_data import raw_acdc
from dacl.data.prepare import prepare
from dacl.data.readers.acdc import Acdc

THREADS = 1
REFERENCE = (
    "nibabel, a gzip HDF5 file per slice and per volume (written by us as the field does it)"
)
VOLUMES = 120


def run(bench: Bench) -> None:
    """Our checks, hashes and case files of a folder, and the reference's files of the same volumes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        raw, what = _raw(bench, root)
        images = sorted(path for path in raw.rglob("*_frame??.nii*") if _mask(path).is_file())
        size = f"{len(images)} volumes{what}"

        def theirs() -> None:
            shutil.rmtree(root / "theirs", ignore_errors=True)
            for image in images:
                field_data.prepare_case(image, _mask(image), root / "theirs")

        jobs: dict[str, Callable[[], object]] = {"ours": lambda: _ours(raw, root / "ours", 1)}
        seconds = bench.interleave(jobs | {"theirs": theirs}, rounds=3, warmup=0)
        bench.ratio(
            "checked and prepared, one core",
            size,
            seconds["ours"],
            seconds["theirs"],
            against=REFERENCE,
            unit="ms / volume",
            per=len(images),
            target=AtLeast(4),
            memory_mb=bench.memory("benchmarks.preparing:memory_job", str(raw)).job_mb,
            device="cpu",
            note=f"{_megabytes(root / 'ours')} MB written, the reference {_megabytes(root / 'theirs')}",
        )
        if bench.quick:
            return
        workers = {f"{n}": partial(_ours, raw, root / "ours", n) for n in (1, 2)}
        seconds = bench.interleave(workers, rounds=3, warmup=0)
        bench.ratio(
            "two workers",
            size,
            seconds["2"],
            seconds["1"],
            against="one worker",
            unit="ms / volume",
            per=len(images),
            device="cpu",
            note="the start of both processes included",
        )


def _ours(raw: Path, root: Path, workers: int) -> None:
    shutil.rmtree(root, ignore_errors=True)
    prepare(Acdc(), raw, root, split="random:0", workers=workers)


def memory_job(raw: str) -> Callable[[], None]:
    """What a child process measures the memory of."""
    folder = tempfile.TemporaryDirectory()

    def job() -> None:
        with folder:
            _ours(Path(raw), Path(folder.name) / "ours", 1)

    return job


def _raw(bench: Bench, root: Path) -> tuple[Path, str]:
    """The first patients of a real folder, linked; or made ones."""
    real = None if bench.quick else raw_acdc()
    if real is None:
        count = 6 if bench.quick else VOLUMES
        return made_data.write_raw(root / "raw", count, small=bench.quick), ", synthetic"
    patients = sorted(path for path in real.rglob("patient*") if path.is_dir())[: VOLUMES // 2]
    for patient in patients:
        (root / "raw" / patient.name).mkdir(parents=True)
        for file in patient.iterdir():
            if "_4d" not in file.name:
                (root / "raw" / patient.name / file.name).symlink_to(file.resolve())
    return root / "raw", " of ACDC"


def _mask(image: Path) -> Path:
    return image.with_name(image.name.replace(".nii", "_gt.nii"))


def _megabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:.0f}"
