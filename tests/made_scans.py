"""Scans as NIfTI files, a dataset prepared from some of them, and untrained models whose masks depend on the scan."""

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from dacl.atomic import write_json
from dacl.config import Config, resolve
from dacl.data.casefile import FORMAT, case_path, write_case
from dacl.data.prepared import PreparedDataset, content_fingerprint
from dacl.data.readers import CaseSource
from dacl.data.readers.scan import read_scan
from dacl.methods import METHODS
from dacl.training import checkpoint

CLASSES = ("background", "RV", "Myo", "LV")
SHAPE_ZHW = (5, 24, 20)
SPACING_MM = (8.0, 1.5, 1.25)
LPS = np.diag([-SPACING_MM[2], -SPACING_MM[1], SPACING_MM[0], 1.0])
RESIZE = {"geometry": "resize", "patch_size": 32}
RESAMPLE = {"geometry": "resample", "patch_size": 32, "spacing_mm": 1.0}
VOLUMES = {
    "dims": 3, "geometry": "resample", "patch_size": 32, "patch_depth": 16,
    "spacing_mm": 1.0, "slice_spacing_mm": 2.0,
}  # fmt: skip


def volume(seed: int = 0) -> np.ndarray:
    """int16 (Z, H, W): bright blocks in noise, alike in no mirror image."""
    rng = np.random.default_rng(seed)
    image = rng.integers(-40, 40, SHAPE_ZHW).astype(np.int16)
    image[1:4, 3:15, 4:12] += 300
    image[2:, 10:20, 9:18] += 500
    return image


def write_scan(
    path: Path, image_ZHW: np.ndarray | None = None, *, codes: str = "LPS", placed: bool = True,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
) -> Path:  # fmt: skip
    """A NIfTI file of a volume in LPS, its axes stored in the order `codes`."""
    image_XYZ = (volume() if image_ZHW is None else image_ZHW).transpose(2, 1, 0)
    affine = np.diag([-spacing_mm[2], -spacing_mm[1], spacing_mm[0], 1.0])
    affine[:3, 3] = (12, -7, 30)
    turn = ornt_transform(axcodes2ornt("LPS"), axcodes2ornt(codes))
    stored = nib.orientations.apply_orientation(image_XYZ, turn)
    scan = nib.Nifti1Image(
        np.ascontiguousarray(stored), affine @ inv_ornt_aff(turn, image_XYZ.shape)
    )
    if not placed:
        scan.set_sform(None, code=0)
        scan.set_qform(None, code=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(scan, path)
    return path


def write_dataset(root: Path, scans: dict[str, Path]) -> PreparedDataset:
    """A dataset whose test patients are these scans; their masks are made up."""
    entries = {}
    for name, path in scans.items():
        source = CaseSource(
            id=name, patient=name, phase="", raw=path.parent, images=(path,), labels=()
        )
        case, findings = read_scan(source, len(CLASSES))
        assert case is not None, findings
        label = np.zeros(SHAPE_ZHW, np.uint8)
        label[1:3, 4:8, 4:8] = [[[1]], [[2]]]
        label[3, 4:8, 4:8] = 3
        labelled = {f.name: getattr(case, f.name) for f in case.__dataclass_fields__.values()}
        write_case(case_path(root, name), type(case)(**{**labelled, "label_ZHW": label}))
        entries[name] = {
            "patient": name, "phase": "", "shape_ZHW": SHAPE_ZHW, "spacing_mm": case.spacing_mm,
            "class_voxels": np.bincount(label.ravel(), minlength=4).tolist(), "source": case.source,
        }  # fmt: skip
    names = list(scans)
    split = {
        "name": "made",
        "train": names[:1],
        "val": names[1:2],
        "test": names[2:],
        "missing": [],
    }
    write_json(root / "splits.json", split)
    dataset = {
        "format": FORMAT, "name": "made", "class_names": CLASSES, "modality": "MR",
        "intensity": "minmax", "synthetic": False, "cases": entries,
        "fingerprint": content_fingerprint(entries, CLASSES, "minmax"), "prepare_command": "none",
    }  # fmt: skip
    write_json(root / "dataset.json", dataset)
    return PreparedDataset.open(root)


def config(
    image: dict, method: str = "cps", seed: int = 0, *, shared_encoder: bool = False
) -> Config:
    """A narrow network under this geometry."""
    return resolve(
        "small",
        {
            "method": method, "seed": seed, "labeled": 1, "precision": "fp32",
            "network": {"width": 4, "shared_encoder": shared_encoder}, "image": image, "optim": {"steps": 1},
        },
    )  # fmt: skip


def write_model(
    run_dir: Path, image: dict = RESIZE, *, method: str = "cps", seed: int = 0,
    dataset: PreparedDataset | None = None, shared_encoder: bool = False, **meta: object,
) -> Path:  # fmt: skip
    """A run folder with best.pt, of random weights; `meta` is laid over the data block."""
    facts = {
        "dataset_name": "made", "dataset_root": "nowhere", "dataset_fingerprint": "f" * 64,
        "class_names": CLASSES, "channels": 1, "synthetic": False, "intensity": "minmax",
        "split_name": "made", "split_hash": "0" * 64, "labeled_patients": ("hidden-name",),
        "channel_names": ("MR",), "modality": "MR", "orientation": "LPS",
        "spacing_low_mm": SPACING_MM, "spacing_high_mm": SPACING_MM,
    }  # fmt: skip
    if dataset is not None:
        facts |= {
            "dataset_root": str(dataset.root), "dataset_fingerprint": dataset.fingerprint,
            "split_hash": dataset.split.hash, "labeled_patients": dataset.split.train,
        }  # fmt: skip
    facts |= meta
    settings = config(image, method, seed, shared_encoder=shared_encoder)
    trained = METHODS[method](settings, facts["channels"], len(facts["class_names"]))
    _tell_bright_from_dark(trained, settings, facts["channels"])
    run_dir.mkdir(parents=True, exist_ok=True)
    state = {
        "step": 1, "method": trained.state_dict(), "best": {"step": 1, "dice": 0.5}, "rule": "best",
        "config": settings.model_dump(mode="json"), "meta": facts,
    }  # fmt: skip
    checkpoint.save(run_dir / "best.pt", state)
    return run_dir


def _tell_bright_from_dark(method: torch.nn.Module, settings: Config, channels: int) -> None:
    """Normalise every layer to what it sees of noise: a fresh network hardly sees its input, and has one class."""
    image = settings.image
    sides = [16, 32, 32] if image.dims == 3 else [32, 32]
    noise = torch.rand((2, channels, *sides), generator=torch.Generator().manual_seed(1))
    norms = [layer for layer in method.modules() if hasattr(layer, "running_mean")]
    for layer in norms:
        layer.momentum = 1.0
    method.train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        method.forward_networks(noise)
        for network in method.networks.values():
            network.classifier.weight.mul_(5)
