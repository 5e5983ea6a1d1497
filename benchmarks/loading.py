"""Drawing and augmenting a batch, on one thread, beside a file per slice and scipy per sample."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import field_data, made_data
from benchmarks.harness import AtLeast, AtMost, Bench
from benchmarks.real_data import prepared_acdc
from dacl.config import ImageConfig, resolve
from dacl.data.augment import draw_placements
from dacl.data.pool import Patches, SlicePool
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.data.sampler import ShuffledStream
from dacl.methods import METHODS
from dacl.training.device import use_bf16
from dacl.training.feed import Feed

THREADS = 1
BATCH = 24
REFERENCE = "a gzip HDF5 file per slice, scipy per sample (written by us as the field does it)"
CPU = torch.device("cpu")


def run(bench: Bench) -> None:
    """A batch beside the reference, the same samples; the dataset in memory; the share of a step; growth."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = None if bench.quick else prepared_acdc()
        what = "" if dataset is None else f"{dataset.name}: "
        if dataset is None:
            count = 6 if bench.quick else made_data.ACDC_VOLUMES
            dataset = made_data.write_prepared(Path(folder) / "ours", count, small=bench.quick)
        cases = _up_to(made_data.ACDC_SLICES, dataset)
        image = _image(bench.quick)
        pool = SlicePool(dataset, cases, image, labels=True, device=CPU)
        files = [
            path
            for case in cases
            for path in field_data.write_slices(
                case.id,
                dataset.read_image(case.id)[0],
                dataset.read_label(case.id),
                Path(folder) / "theirs",
            )
        ]
        _beside_the_field(bench, pool, files, f"{what}{len(pool)} slices, {_square(image)}")
        _in_memory(bench, dataset, cases, what)
        _share_of_a_step(bench, dataset)


def _beside_the_field(bench: Bench, pool: SlicePool, files: Sequence[Path], size: str) -> None:
    order = ShuffledStream(len(pool), BATCH, 0, "labeled")
    step = {"ours": 0, "theirs": 0}

    def ours() -> Patches:
        step["ours"] += 1
        placement = draw_placements(BATCH, 0, "augment", step["ours"])
        return pool.patches(order.at(step["ours"]), placement)

    def theirs() -> tuple[torch.Tensor, torch.Tensor]:
        step["theirs"] += 1
        drawn = draw_placements(BATCH, 0, "augment", step["theirs"])
        draws = zip(
            order.at(step["theirs"]).tolist(),
            drawn.quarter_turns_B.tolist(),
            drawn.flip_axis_B.tolist(),
            drawn.degrees_B.tolist(),
            strict=True,
        )
        side = pool.image.patch_size
        return field_data.batch(
            field_data.sample(files[i], turns, axis, int(degrees), side)
            for i, turns, axis, degrees in draws
        )

    differing = compared = 0
    for _ in range(1 if bench.quick else 10):
        (images, labels), (their_images, their_labels) = ours(), theirs()
        assert labels is not None
        same = (images == their_images).flatten(1).all(1) & (labels == their_labels).flatten(1).all(
            1
        )
        differing += int((~same).sum())
        compared += len(same)
    for _ in range(1 if bench.quick else 300):  # as in a run, most lookups are then kept ones
        ours()
    seconds = bench.interleave({"ours": ours, "theirs": theirs}, rounds=21)
    bench.ratio(
        "a batch drawn and augmented",
        size,
        seconds["ours"],
        seconds["theirs"],
        against=REFERENCE,
        unit="ms / slice",
        per=BATCH,
        target=AtLeast(10),
        device="cpu",
        note=f"same seed: {differing} of {compared} samples differ",
    )


def _in_memory(bench: Bench, dataset: PreparedDataset, cases: list[CaseInfo], what: str) -> None:
    image = _image(bench.quick)
    for share in (2, 1) if bench.quick else (4, 2, 1):
        some = cases[: max(1, len(cases) // share)]
        made: list[SlicePool] = []

        def build(some: list[CaseInfo] = some, made: list[SlicePool] = made) -> None:
            made[:] = [SlicePool(dataset, some, image, labels=True, device=CPU)]

        seconds = bench.interleave({"ours": build}, rounds=3)["ours"]
        (pool,) = made
        bench.figure(
            "a dataset read into memory" if share == 1 else "growth with the dataset: reading",
            f"{what}{len(pool)} slices",
            seconds,
            unit="s",
            target=AtMost(3) if share == 1 else None,
            memory_mb=(pool.pixels_CP.nbytes + pool.size_S2.nbytes) / 1e6
            + (0 if pool.mask_pixels is None else pool.mask_pixels.nbytes / 1e6),
            device="cpu",
        )
        draw = _drawing(pool)
        seconds = bench.interleave({"ours": draw}, rounds=11)["ours"]
        per_slice = [1e3 * s / BATCH for s in seconds]
        name = "growth with the dataset: drawing"
        bench.figure(name, f"{what}{len(pool)} slices", per_slice, unit="ms / slice", device="cpu")


def _drawing(pool: SlicePool) -> Callable[[], Any]:
    order, steps = ShuffledStream(len(pool), BATCH, 0, "labeled"), iter(range(10**9))

    def draw() -> Patches:
        step = next(steps)
        return pool.patches(order.at(step), draw_placements(BATCH, 0, "augment", step))

    return draw


def _share_of_a_step(bench: Bench, dataset: PreparedDataset) -> None:
    """What `Feed.batch` takes of a whole step of CPS, on the device that trains."""
    for preset, rounds in (("small", 5),) if bench.quick else (("small", 5), ("paper", 1)):
        config = resolve(preset, {"method": "cps", "labeled": 1})
        if bench.quick:
            config = resolve(preset, {"method": "cps", "labeled": 1, "image": {"patch_size": 32}})
        feed = Feed(config, dataset, bench.device, unlabeled=True)
        method = METHODS["cps"](config, len(dataset.channels), len(dataset.class_names)).to(
            bench.device
        )
        method.bf16 = use_bf16(config.precision, bench.device)
        optimizer = torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9)
        steps = iter(range(10**9))

        def draw(feed: Feed = feed, steps: Any = steps) -> Any:
            return feed.batch(next(steps))

        def step(
            draw: Callable[[], Any] = draw, method: Any = method, optimizer: Any = optimizer
        ) -> None:
            optimizer.zero_grad()
            method.losses(draw(), 0).total.backward()
            optimizer.step()

        seconds = bench.interleave({"batch": draw, "step": step}, rounds=rounds)
        optim = config.optim
        bench.ratio(
            "a batch's share of a step",
            f"{optim.batch_labeled}+{optim.batch_unlabeled} at {_square(config.image)}",
            seconds["batch"],
            seconds["step"],
            against="the whole step of CPS",
            unit="ms",
            target=AtMost(0.05),
            precision="bf16" if method.bf16 else "fp32",
        )


def _image(quick: bool) -> ImageConfig:
    image = resolve("paper").image
    return ImageConfig(geometry=image.geometry, patch_size=32) if quick else image


def _up_to(slices: int, dataset: PreparedDataset) -> list[CaseInfo]:
    """Labelled cases, in order, until they have as many slices as ACDC's training patients."""
    chosen: list[CaseInfo] = []
    for case in (case for case in dataset.infos.values() if case.has_label):
        if sum(c.shape_ZHW[0] for c in chosen) >= slices:
            break
        chosen.append(case)
    return chosen


def _square(image: ImageConfig) -> str:
    return f"{image.patch_size} x {image.patch_size}"
