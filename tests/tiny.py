"""A prepared dataset of four patients, small enough that a training step takes milliseconds."""

import math
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from dacl.atomic import write_json
from dacl.config import Config, resolve
from dacl.data.case import Case
from dacl.data.casefile import case_path, write_case
from dacl.data.prepared import PreparedDataset, content_fingerprint

CLASS_NAMES = ("background", "RV", "Myo", "LV")
SHAPE_ZHW = (2, 48, 40)
SPACING_MM = (10.0, 1.5, 1.5)
TRAIN, VAL = ("p1", "p2", "p3"), ("p4",)

SMALL: dict = {
    "device": "cpu",
    "precision": "fp32",
    "labeled": 1,
    "image": {"geometry": "resample", "patch_size": 32, "spacing_mm": 1.5},
    "network": {"width": 4},
    # low phi: an untrained network is sure of nothing, and the contrast must run
    "contrast": {
        "projection_dim": 8,
        "phi": 0.3,
        "bank_size": 40,
        "scales": [2, 4],
        "sample_cap": 64,
    },
    "optim": {"steps": 12, "batch_labeled": 2, "batch_unlabeled": 2, "lr": 0.05},
    "journal": {"log_every": 5, "validate_every": 4, "checkpoint_every": 3},
}


def config(method: str = "dacl", **over) -> Config:
    """The smallest run; `over` is laid over it."""
    return resolve("small", SMALL, {"method": method}, over)


def options() -> list[str]:
    """`SMALL` as options of `dacl train`."""
    values = {k: v for k, v in SMALL.items() if not isinstance(v, dict)}
    values |= {
        f"{k}.{leaf}": x for k, v in SMALL.items() if isinstance(v, dict) for leaf, x in v.items()
    }
    return [
        "--preset",
        "small",
        *(word for k, v in values.items() for word in ("--set", f"{k}={v}")),
    ]


def heart(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of one volume: a ventricle in its muscle beside the other ventricle, with noise."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(SHAPE_ZHW)
    far = np.hypot(y - 24 - rng.integers(-3, 4), x - 18 - rng.integers(-3, 4)) + z
    label_ZHW = np.zeros(SHAPE_ZHW, np.uint8)
    label_ZHW[(far > 7) & (x > 24) & (far < 14)] = 1
    label_ZHW[far <= 7] = 2
    label_ZHW[far <= 4] = 3
    image = np.array([20, 140, 70, 180])[label_ZHW] + rng.normal(0, 12, SHAPE_ZHW)
    return image.astype(np.int16), label_ZHW


def write_dataset(
    root: Path, *, train=TRAIN, val=VAL, spacing_mm=SPACING_MM, name="tiny", seed=0
) -> Path:
    """Two frames of each patient of `train` and `val`."""
    entries = {}
    for number, patient in enumerate((*train, *val)):
        for frame in (1, 2):
            case_id = f"{patient}_frame{frame:02d}"
            image_ZHW, label_ZHW = heart(1000 * seed + 10 * number + frame)
            source = {case_id: f"{seed}-{number}-{frame}"}
            case = Case(
                id=case_id,
                patient=patient,
                image_CZHW=image_ZHW[None],
                label_ZHW=label_ZHW,
                spacing_mm=spacing_mm,
                source=source,
            )
            write_case(case_path(root, case_id), case)
            entries[case_id] = {
                "patient": patient,
                "shape_ZHW": SHAPE_ZHW,
                "spacing_mm": spacing_mm,
                "class_voxels": np.bincount(label_ZHW.ravel(), minlength=4).tolist(),
                "phase": "",
                "source": source,
            }
    split = {"name": "phantom", "train": train, "val": val, "test": (), "missing": ()}
    write_json(root / "splits.json", split)
    dataset = {
        "format": 1,
        "name": name,
        "class_names": CLASS_NAMES,
        "modality": "MR",
        "intensity": "minmax",
        "synthetic": True,
        "fingerprint": content_fingerprint(entries, CLASS_NAMES, "minmax"),
        "prepare_command": "dacl preprocess phantom",
        "cases": entries,
    }
    write_json(root / "dataset.json", dataset)
    return root


class Quiet:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.plan, self.steps, self.records, self.warnings = None, [], [], []

    def planned(self, plan) -> None:
        self.plan = plan

    def stepped(self, step) -> None:
        self.steps.append(step)

    def logged(self, record) -> None:
        self.records.append(record)

    validated = logged

    def warned(self, text, step) -> None:
        self.warnings.append((step, text))


@contextmanager
def no_pictures():
    """Runs in it leave progress.png out: drawing it takes longer than training."""
    from dacl.training.journal import Journal

    with mock.patch.object(Journal, "draw", lambda self: self.run_dir / "progress.png"):
        yield


def trainer_of(data: Path, run_dir: Path, method: str = "cps", **over):
    """A run that has not begun."""
    from dacl.training.loop import Trainer

    return Trainer(config(method, **over), PreparedDataset.open(data), run_dir)


def train(root: Path, run_dir: Path, settings: Config, should_stop=lambda: False):
    """Run a fresh training; returns the trainer."""
    from dacl.training.loop import Trainer

    trainer = Trainer(settings, PreparedDataset.open(root), run_dir)
    trainer.run(Quiet(), should_stop)
    return trainer


def differences(first, second, at: str = "") -> list[str]:
    """Where two checkpoints differ in any bit: paths into nested dictionaries, lists and tensors."""
    if type(first) is not type(second):
        return [f"{at}: {type(first).__name__} and {type(second).__name__}"]
    if isinstance(first, dict):
        if list(first) != list(second):
            return [f"{at}: keys {list(first)} and {list(second)}"]
        return [d for key in first for d in differences(first[key], second[key], f"{at}/{key}")]
    if isinstance(first, list | tuple):
        if len(first) != len(second):
            return [f"{at}: {len(first)} and {len(second)} items"]
        pairs = enumerate(zip(first, second, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{at}/{i}")]
    if isinstance(first, torch.Tensor):
        alike = first.dtype == second.dtype and first.shape == second.shape
        # as bytes: nan equals nan, 0.0 is not -0.0
        return [] if alike and first.numpy().tobytes() == second.numpy().tobytes() else [at]
    both_nan = isinstance(first, float) and math.isnan(first) and math.isnan(second)
    return [] if both_nan or first == second else [f"{at}: {first!r} and {second!r}"]


def without_wall(run_dir: Path) -> list[dict]:
    """The records of a run without what depends on the clock."""
    import json

    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "wall"} for line in lines]


def assert_same_run(first: Path, second: Path) -> None:
    """Weights, banks, optimiser, random states, best and journal of two runs are the same bits."""
    from dacl.training import checkpoint

    for name in ("latest.pt", "best.pt"):
        found = differences(checkpoint.load(first / name), checkpoint.load(second / name))
        assert found == [], f"{name}: {found}"
    assert without_wall(first) == without_wall(second)
