"""Validation of both networks of a CPS run: a volume beside the field's way, and its share of a run's time.

The field zooms and predicts slice by slice, one network after the other, and computes medpy's Dice and HD95 of every
class for each. An untrained network's masks are empty or full; both sides therefore judge masks as a trained one makes
them, in the place of those that they have just computed.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from scipy import ndimage

from benchmarks import made_data, masks
from benchmarks.field_step import plain
from benchmarks.harness import AtMost, Bench
from benchmarks.metrics import has_medpy
from benchmarks.real_data import prepared_acdc
from dacl.config import Config, resolve
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.inference.slices import PseudoLabel
from dacl.inference.volumes import predict_pseudo_labels
from dacl.methods import METHODS, Method
from dacl.training import validation
from dacl.training.device import use_bf16
from dacl.training.feed import Feed

THREADS = None
REFERENCE = "slice by slice, scipy zoom, medpy Dice and HD95 (written by us as the field does it)"


def run(bench: Bench) -> None:
    """A volume beside the field; then the share of a run, under both sizes of configuration."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = None if bench.quick else prepared_acdc()
        if dataset is None:
            count, n_val = (6, 1) if bench.quick else (26, 10)
            dataset = made_data.write_prepared(Path(folder), count, n_val=n_val, small=bench.quick)
        cases = [case for case in dataset.cases(dataset.split.val) if case.has_label]
        _beside_the_field(bench, dataset, cases[:2])
        for preset in ("small",) if bench.quick else ("small", "paper"):
            _share_of_a_run(bench, dataset, cases, preset)


def _beside_the_field(bench: Bench, dataset: PreparedDataset, cases: Sequence[CaseInfo]) -> None:
    config = _config(bench, "paper")
    method = _method(bench, dataset, config)
    field = _method(bench, dataset, config)
    networks: list[Any] = [plain(network) for network in field.networks.values()]
    for network in networks:
        network.to(memory_format=torch.contiguous_format)
    rng = np.random.default_rng(0)
    likely = {case.id: masks.prediction(dataset.read_label(case.id), rng) for case in cases}

    def theirs() -> None:
        for case in cases:
            image_ZHW, truth = dataset.read_image(case.id)[0], dataset.read_label(case.id)
            for network in networks:
                found = _predicted(network.eval(), image_ZHW, config.image.patch_size, bench.device)
                assert found.shape == truth.shape
                if medpy:
                    _judged(likely[case.id], truth, len(dataset.class_names))

    medpy = has_medpy(bench)
    seconds = bench.interleave(
        {
            "ours": lambda: _validate(method, dataset, cases, bench.device, likely),
            "theirs": theirs,
        },
        rounds=2,
    )
    side = config.image.patch_size
    bench.ratio(
        "validation",
        f"{len(cases)} volumes, 2 networks, {side} x {side}",
        seconds["ours"],
        seconds["theirs"],
        against=REFERENCE,
        unit="ms / volume",
        per=len(cases),
        precision="bf16" if method.bf16 else "fp32",
        note="" if medpy else "medpy is not installed: the reference goes without its metrics",
    )


def _share_of_a_run(
    bench: Bench, dataset: PreparedDataset, cases: Sequence[CaseInfo], preset: str
) -> None:
    config = _config(bench, preset)
    method = _method(bench, dataset, config)
    feed = Feed(config, dataset, bench.device, unlabeled=True)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        method.losses(feed.batch(0), 0).total.backward()
        optimizer.step()

    some = cases[:2]
    whole = sum(case.shape_ZHW[0] for case in cases) / sum(case.shape_ZHW[0] for case in some)
    jobs = {
        "step": step,
        "validation": lambda: _validate(method, dataset, some, bench.device, {}),
    }
    seconds = bench.interleave(jobs, rounds=1 if preset == "paper" else 3)
    optim = config.optim
    count = -(-optim.steps // config.validate_every)
    bench.ratio(
        f"validations' share of a run, preset {preset}",
        f"{count} validations of {len(cases)} volumes, {optim.steps} steps of CPS",
        [s * whole * count for s in seconds["validation"]],
        [s * optim.steps for s in seconds["step"]],
        against="all steps of the run",
        target=AtMost(0.05),
        precision="bf16" if method.bf16 else "fp32",
        note=f"from {len(some)} volumes, by the number of slices",
    )


def _config(bench: Bench, preset: str) -> Config:
    layers = {"method": "cps", "labeled": 1}
    tiny: dict[str, Any] = (
        {"image": {"patch_size": 32}, "optim": {"steps": 100}} if bench.quick else {}
    )
    return resolve(preset, layers, tiny)


def _method(bench: Bench, dataset: PreparedDataset, config: Config) -> Method:
    made = METHODS["cps"](config, len(dataset.channels), len(dataset.class_names)).to(bench.device)
    made.bf16 = use_bf16(config.precision, bench.device)
    return made


def _validate(
    method: Method,
    dataset: PreparedDataset,
    cases: Sequence[CaseInfo],
    device: torch.device,
    likely: dict[str, np.ndarray],
) -> None:
    """What the training loop calls, each mask exchanged for the likely one of its case, where there is one."""
    predict, of_case = predict_pseudo_labels, iter(cases)

    def exchanged(*given: Any) -> dict[str, PseudoLabel]:
        said, mask_ZHW = predict(*given), likely.get(next(of_case).id)
        if mask_ZHW is None:
            return said
        return {name: PseudoLabel(mask_ZHW, label.confident_ZHW) for name, label in said.items()}

    with mock.patch.object(validation, "predict_pseudo_labels", exchanged):
        validation.validate(method, dataset, cases, device)


@torch.no_grad()
def _predicted(
    network: torch.nn.Module, image_ZHW: np.ndarray, side: int, device: torch.device
) -> np.ndarray:
    height, width = image_ZHW.shape[1:]
    mask_ZHW = np.zeros(image_ZHW.shape, np.uint8)
    for z, image_HW in enumerate(image_ZHW):
        seen = ndimage.zoom(image_HW, (side / height, side / width), order=0)
        logits = network(torch.from_numpy(seen)[None, None].to(device)).logits
        mask = torch.softmax(logits, dim=1).argmax(dim=1)[0].cpu().numpy().astype(np.uint8)
        mask_ZHW[z] = ndimage.zoom(mask, (height / side, width / side), order=0)
    return mask_ZHW


def _judged(pred_ZHW: np.ndarray, truth_ZHW: np.ndarray, n_classes: int) -> None:
    from medpy.metric import binary

    for label in range(1, n_classes):
        pred, truth = pred_ZHW == label, truth_ZHW == label
        if pred.any() and truth.any():
            binary.dc(pred, truth)
            binary.hd95(pred, truth)
