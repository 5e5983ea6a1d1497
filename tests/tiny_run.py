"""A prepared dataset of a few small blocks and an untrained run on it, made without training anything."""

from pathlib import Path

import numpy as np

from dacl.atomic import write_json
from dacl.config import resolve
from dacl.data.case import Case
from dacl.data.casefile import FORMAT, case_path, write_case
from dacl.data.prepared import PreparedDataset, content_fingerprint
from dacl.methods import METHODS
from dacl.training import checkpoint

CLASSES = ("background", "RV", "Myo", "LV")
SHAPE = (3, 24, 20)
SPACING_MM = (10.0, 1.5, 1.25)
SQUARES: dict[str, object] = {"geometry": "resize", "patch_size": 32}
SPLIT = {"train": ["p1", "p2"], "val": ["p3"], "test": ["p4", "p5"], "missing": []}


def block_label(shift: int) -> np.ndarray:
    """Three nested blocks, moved down by `shift` rows."""
    label = np.zeros(SHAPE, np.uint8)
    label[:, 4 + shift : 16 + shift, 3:15] = 1
    label[:, 6 + shift : 14 + shift, 5:13] = 2
    label[:2, 8 + shift : 12 + shift, 7:11] = 3
    return label


def write_dataset(
    root: Path,
    *,
    name: str = "blocks",
    spacing_mm: tuple[float, float, float] | None = SPACING_MM,
    split: dict[str, list[str]] = SPLIT,
    unlabeled: tuple[str, ...] = (),
) -> PreparedDataset:
    """Two frames per patient; the image is the label seen through a little noise."""
    rng = np.random.default_rng(0)
    cases = {}
    for number in range(1, 6):
        for frame in ("01", "02"):
            case_id, patient = f"p{number}_frame{frame}", f"p{number}"
            label = None if patient in unlabeled else block_label(number % 3)
            image = (100 * block_label(number % 3) + rng.integers(0, 30, SHAPE)).astype(np.int16)
            source = {f"{case_id}.nii.gz": f"{name}-{case_id}"}
            write_case(
                case_path(root, case_id),
                Case(
                    id=case_id, patient=patient, image_CZHW=image[None], label_ZHW=label,
                    spacing_mm=spacing_mm, source=source,
                ),
            )  # fmt: skip
            voxels = [] if label is None else np.bincount(label.ravel(), minlength=4).tolist()
            cases[case_id] = {
                "patient": patient, "phase": "", "shape_ZHW": list(SHAPE),
                "spacing_mm": spacing_mm, "class_voxels": voxels, "source": source,
            }  # fmt: skip
    dataset = {
        "format": FORMAT, "name": name, "class_names": list(CLASSES), "modality": "MR",
        "intensity": "minmax", "synthetic": True, "cases": cases,
        "fingerprint": content_fingerprint(cases, CLASSES, "minmax"),
        "prepare_command": "dacl preprocess phantom",
    }  # fmt: skip
    write_json(root / "dataset.json", dataset)
    write_json(root / "splits.json", {"name": "fixed", **split})
    return PreparedDataset.open(root)


def write_run(
    run_dir: Path,
    dataset: PreparedDataset,
    *,
    method: str = "dacl",
    seed: int = 0,
    image: dict[str, object] = SQUARES,
) -> Path:
    """A run folder with best.pt and latest.pt of a narrow network with its initial weights."""
    config = resolve(
        "small",
        {
            "method": method, "seed": seed, "labeled": 1, "precision": "fp32",
            "network": {"width": 4}, "image": image,
        },
    )  # fmt: skip
    meta = checkpoint.RunMeta(
        dataset_name=dataset.name,
        dataset_root=str(dataset.root),
        dataset_fingerprint=dataset.fingerprint,
        class_names=dataset.class_names,
        channels=1,
        synthetic=dataset.synthetic,
        intensity=dataset.intensity,
        split_name=dataset.split.name,
        split_hash=dataset.split.hash,
        labeled_patients=dataset.split.train[:1],
    )
    run_dir.mkdir(parents=True)
    for step, name in enumerate(checkpoint.WHICH):
        state = {
            "step": step,
            "method": METHODS[method](config, 1, len(CLASSES)).state_dict(),
            "best": {"step": 0, "dice": 0.5},
            "config": config.model_dump(mode="json"),
            "meta": checkpoint.pack_meta(meta),
        }
        checkpoint.save(run_dir / f"{name}.pt", state)
    return run_dir
