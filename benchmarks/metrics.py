"""Dice, JC, ASD, ASSD and HD95 of every class, beside medpy 0.5.2 computing the same numbers class by class."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import masks
from benchmarks.harness import AtLeast, AtMost, Bench
from benchmarks.real_data import acdc_validation_masks
from dacl.metrics.conventions import CONVENTIONS, score_volume

THREADS = 1
NAMES = ("dice", "jc", "asd_vox", "assd_vox", "hd95_vox")
MEDPY = "medpy 0.5.2"
Pair = tuple[np.ndarray, np.ndarray]


def ours(pairs: Sequence[Pair], n_classes: int) -> np.ndarray:
    """The five numbers, in voxels, of every foreground class of every pair."""
    names = tuple(str(c) for c in range(n_classes))
    rule = CONVENTIONS["ssl4mis"]
    return np.array(
        [
            [[getattr(s, name) for name in NAMES] for s in scores]
            for pred, truth in pairs
            for scores in [score_volume(pred, truth, names, spacing_mm=None, convention=rule)]
        ]
    )


def by_medpy(pairs: Sequence[Pair], n_classes: int) -> np.ndarray:
    """The same as evaluation scripts of the field get them: five calls for every class."""
    from medpy.metric import binary

    functions = (binary.dc, binary.jc, binary.asd, binary.assd, binary.hd95)
    return np.array(
        [
            [[f(pred == c, truth == c) for f in functions] for c in range(1, n_classes)]
            for pred, truth in pairs
        ]
    )


def run(bench: Bench) -> None:
    """Hearts, scattered predictions, an abdomen; then growth with classes and with the volume."""
    medpy = has_medpy(bench)
    rng = np.random.default_rng(0)
    hearts, size = _hearts(bench, rng)
    _beside_medpy(bench, "all metrics", size, hearts, 4, AtLeast(20), medpy=medpy)
    shape = hearts[0][1].shape
    wild = [(masks.scattered(rng, 4, truth.shape), truth) for _, truth in hearts[:2]]
    _beside_medpy(
        bench,
        "scattered predictions",
        f"2 volumes like {_text(shape)}",
        wild,
        4,
        AtLeast(1.5),
        medpy=medpy,
    )
    _abdomen(bench, medpy=medpy)
    _growth(bench)


def _hearts(bench: Bench, rng: np.random.Generator) -> tuple[list[Pair], str]:
    truths = [] if bench.quick else acdc_validation_masks()
    size = f"{len(truths)} validation volumes of ACDC"
    if not truths:
        shape = (4, 40, 48) if bench.quick else masks.HEART
        truths = [masks.heart(rng, shape) for _ in range(2 if bench.quick else 20)]
        size = f"{len(truths)} synthetic hearts {_text(shape)}"
    return [(masks.prediction(truth, rng), truth) for truth in truths], size


def _beside_medpy(
    bench: Bench,
    name: str,
    size: str,
    pairs: list[Pair],
    n_classes: int,
    target: AtLeast,
    *,
    medpy: bool,
) -> None:
    jobs: dict[str, Callable[[], Any]] = {"ours": lambda: ours(pairs, n_classes)}
    note = ""
    if medpy:
        found: list[np.ndarray] = []
        jobs["medpy"] = lambda: found.append(by_medpy(pairs, n_classes))
    seconds = bench.interleave(jobs, rounds=3, warmup=0 if medpy else 1)
    if medpy:
        note = _difference(ours(pairs, n_classes), found[0])
    unit, per = "ms / volume", len(pairs)
    if medpy:
        bench.ratio(
            name,
            size,
            seconds["ours"],
            seconds["medpy"],
            against=MEDPY,
            target=target,
            note=note,
            unit=unit,
            per=per,
        )
    else:
        values = [s * 1e3 / len(pairs) for s in seconds["ours"]]
        bench.figure(name, size, values, unit=unit, note="medpy is not installed: no ratio")


def _abdomen(bench: Bench, *, medpy: bool) -> None:
    shape = (16, 48, 48) if bench.quick else masks.ABDOMEN
    n_classes = 14
    pair = abdomen_pair(n_classes, shape)
    voxels = np.bincount(pair[1].ravel())[1:]
    size = f"{_text(shape)}, 13 organs of {voxels.min()} to {voxels.max()} voxels"
    seconds = bench.interleave({"ours": lambda: ours([pair], n_classes)}, rounds=7)["ours"]
    memory = bench.memory("benchmarks.metrics:abdomen_job", n_classes, shape)
    both: dict[str, Any] = {"memory_mb": memory.job_mb}
    bench.figure("all metrics, time", size, seconds, unit="s", target=AtMost(1.2), **both)
    bench.figure(
        "all metrics, memory of the process",
        size,
        [memory.peak_mb],
        unit="MB",
        target=AtMost(1500),
        **both,
    )
    if not medpy:
        return

    def measure() -> dict[str, Any]:
        found: list[np.ndarray] = []
        taken = bench.interleave(
            {"medpy": lambda: found.append(by_medpy([pair], n_classes))}, rounds=1, warmup=0
        )
        return {"seconds": taken["medpy"], "numbers": found[0].tolist()}

    bench.say(f"medpy on {size}: minutes, unless it is cached")
    kept, day = bench.cached("medpy abdomen", MEDPY, size, measure)
    bench.ratio(
        "all metrics",
        size,
        seconds,
        kept["seconds"],
        against=MEDPY,
        target=AtLeast(250),
        cached_on=day,
        note=_difference(ours([pair], n_classes), np.array(kept["numbers"])),
        **both,
    )


def _growth(bench: Bench) -> None:
    side = 48 if bench.quick else 256
    for n_classes in (4, 9, 14):
        _grown(bench, "growth with classes", n_classes, side)
    for side_now in (side,) if bench.quick else (side // 2, 2 * side):
        _grown(bench, "growth with the volume", 9, side_now)


def _grown(bench: Bench, name: str, n_classes: int, side: int) -> None:
    shape = (side * 3 // 8, side, side)
    pair = abdomen_pair(n_classes, shape)
    seconds = bench.interleave({"ours": lambda: ours([pair], n_classes)}, rounds=3)["ours"]
    memory = bench.memory("benchmarks.metrics:abdomen_job", n_classes, shape)
    bench.figure(
        name, f"{n_classes} classes, {_text(shape)}", seconds, unit="s", memory_mb=memory.job_mb
    )


def abdomen_pair(n_classes: int, shape: Sequence[int]) -> Pair:
    """A prediction and its reference, the same for the same arguments."""
    rng = np.random.default_rng(1)
    truth = masks.abdomen(rng, n_classes - 1, (shape[0], shape[1], shape[2]))
    return masks.prediction(truth, rng), truth


def abdomen_job(n_classes: int, shape: Sequence[int]) -> Callable[[], np.ndarray]:
    """What a child process measures the memory of."""
    pair = abdomen_pair(n_classes, shape)
    return lambda: ours([pair], n_classes)


def _difference(first: np.ndarray, second: np.ndarray) -> str:
    return f"largest difference {np.abs(first - second).max():.3g}"


def has_medpy(bench: Bench) -> bool:
    """Whether the extra `oracle` is installed; otherwise a line that says so."""
    try:
        import medpy  # noqa: F401
    except ImportError:
        bench.say("medpy is not installed, no ratios: pip install 'dacl[oracle]'")
        return False
    return True


def _text(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)
