"""Density and selection: exact neighbours beside scikit-learn's, the whole contrast, and how both grow."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import AtLeast, Bench
from benchmarks.made_steps import Size, batch_of, method_of
from dacl.contrast.density import multiscale_density
from dacl.methods.dacl import Dacl

THREADS = None
SCALES = (8, 16, 32)
COSINE = "scikit-learn's NearestNeighbors, brute force, cosine"
EUCLIDEAN = "the same, Euclidean on unit vectors (the order is that of the cosine)"


class Case(NamedTuple):
    """Units of every class, sought among a full bank and themselves."""

    classes: int
    units: int
    bank: int
    dim: int = 64

    def __str__(self) -> str:
        return f"{self.classes} classes x {self.units} units, bank {self.bank}, D {self.dim}"


CASES = (Case(3, 1024, 1000), Case(13, 1024, 1000), Case(3, 4096, 1000))
GROWTH = (Case(3, 1024, 4000), Case(3, 1024, 10_000), Case(3, 1024, 1000, 128))


def run(bench: Bench) -> None:
    """Exact densities, the same to 1e-5; what they take with the bank; the contrast as a whole, by class count."""
    for case in (Case(2, 200, 50),) if bench.quick else CASES:
        _beside_scikit_learn(bench, case)
    for case in () if bench.quick else GROWTH:
        seconds = bench.interleave({"ours": ours(case)}, rounds=7)["ours"]
        bench.figure("growth: densities", str(case), [1e3 * s for s in seconds], unit="ms")
    for size in (Size(2, 32),) if bench.quick else (Size(8, 128), Size(24, 256), Size(8, 256, 14)):
        seconds = bench.interleave({"ours": contrast_job(*size)}, rounds=7)["ours"]
        bench.figure(
            "the contrast of both networks, forward and backward", str(size),
            [1e3 * s for s in seconds], unit="ms",
            memory_mb=bench.memory("benchmarks.density:contrast_job", *size).job_mb,
        )  # fmt: skip


def _beside_scikit_learn(bench: Bench, case: Case) -> None:
    jobs: dict[str, Callable[[], Any]] = {
        "ours": ours(case),
        "cosine": scikit_learn(case, "cosine"),
        "euclidean": scikit_learn(case, "euclidean"),
    }
    difference = max(
        float(np.abs(jobs[name]() - jobs["ours"]().numpy()).max())
        for name in ("cosine", "euclidean")
    )
    seconds = bench.interleave(jobs, rounds=7)
    memory_mb = bench.memory("benchmarks.density:ours_job", *case).job_mb
    for metric, against, target in (
        ("cosine", COSINE, AtLeast(3)),
        ("euclidean", EUCLIDEAN, None),
    ):
        bench.ratio(
            "exact densities", str(case), seconds["ours"], seconds[metric], against=against,
            unit="ms", target=target, note=f"largest difference {difference:.0e}",
            memory_mb=memory_mb,
        )  # fmt: skip


def ours(case: Case) -> Callable[[], Tensor]:
    """Densities of all classes, by the library."""
    units, candidates = _vectors(case)
    there = torch.ones(candidates.shape[:2], dtype=torch.bool)
    return lambda: multiscale_density(units, candidates, there, SCALES, self_offset=case.bank)


def ours_job(*case: int) -> Callable[[], Tensor]:
    """As `ours`, for a process of its own."""
    return ours(Case(*case))


def scikit_learn(case: Case, metric: str) -> Callable[[], np.ndarray]:
    """The same numbers from scikit-learn's neighbours, class by class; the first neighbour is the unit itself."""
    from sklearn.neighbors import NearestNeighbors

    units, candidates = (each.numpy() for each in _vectors(case))

    def densities() -> np.ndarray:
        rows = []
        for units_MD, candidates_KD in zip(units, candidates, strict=True):
            search = NearestNeighbors(n_neighbors=max(SCALES) + 1, algorithm="brute", metric=metric)
            distance_MK = search.fit(candidates_KD).kneighbors(units_MD)[0][:, 1:]
            cosine_MK = 1 - (distance_MK if metric == "cosine" else distance_MK**2 / 2)
            rows.append(np.mean([cosine_MK[:, :k].mean(axis=1) for k in SCALES], axis=0))
        return np.stack(rows)

    return densities


def contrast_job(images: int, side: int, classes: int, dims: int) -> Callable[[], None]:
    """L_CL of both networks on maps of a batch, with its gradient at the maps."""
    size = Size(images, side, classes, dims)
    method, batch = method_of("dacl", size), batch_of(size)
    assert isinstance(method, Dacl)
    step = method.config.optim.steps // 2
    with torch.no_grad():
        outputs = method.forward_networks(batch.images)
    moment = method.moment(batch, step)

    def once() -> None:
        for name, contrast in method.contrast.items():
            features = outputs[name].features.detach().requires_grad_()
            classes = method.reliable(name, outputs, batch, step)
            contrast(features, classes, moment.draws[name], measure=False).loss.backward()

    return once


def _vectors(case: Case) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (case.classes, case.bank + case.units, case.dim)
    candidates = torch.nn.functional.normalize(torch.randn(shape, generator=generator), dim=-1)
    return candidates[:, case.bank :].contiguous(), candidates
