"""`dacl analyze density` as a function: from a checkpoint to numbers, pictures and a record of how they were made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dacl.analysis.density.figure import draw_slice, draw_units
from dacl.analysis.density.slices import SliceDensity, choose_slice, slice_density
from dacl.analysis.density.units import ClassDensity, Space, choose_space, densities_of_batches
from dacl.atomic import write_json
from dacl.callbacks import OnProgress
from dacl.config import config_hash
from dacl.data.prepared import PreparedDataset
from dacl.errors import DaclError
from dacl.protocol import provenance
from dacl.run_layout import evaluation_folder
from dacl.training.checkpoint import Trained, load_trained, open_data
from dacl.training.device import device_name, pick_device
from dacl.training.journal import Journal
from dacl.training.progress import (
    Panel,
    compactness_panel,
    density_panel,
    draw_panels,
    feature_panel,
)
from dacl.training.records import Record

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityRequest:
    """What to look at."""

    split: Literal["val", "test"] = "test"
    """Where the slice comes from; the batches are of the training patients."""
    space: Literal["auto", "projection", "features"] = "auto"
    """`auto`: the projection where the method has one."""
    network: Literal["a", "b"] = "a"
    checkpoint: Literal["best", "latest"] = "best"
    batches: int = 8
    seed: int = 0
    """Of dropout in the batches."""
    case: str | None = None
    z: int | None = None
    """Slice of the case, from 0."""
    data: Path | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityAnalysis:
    """What was found."""

    run: str
    """`dacl seed 0 (name of the run's folder)`: several configurations may share a method."""
    step: int
    synthetic: bool
    dataset: str
    class_names: tuple[str, ...]
    space: Space
    classes: tuple[ClassDensity, ...]
    slice_: SliceDensity
    records: tuple[Record, ...]
    """The run's journal; empty where it is not beside the checkpoint."""
    protocol: dict[str, Any]
    provenance: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def label(self) -> str:
        """Run, network and step."""
        return f"{self.run}, network {self.protocol['network']}, step {self.step}"


def analyze_density(
    path: Path, request: DensityRequest = DensityRequest(), report: OnProgress = lambda *_: None
) -> DensityAnalysis:
    """Look at the densities of a run folder or a checkpoint.

    Raises:
        DaclError: no such checkpoint, data, network, case or slice; a split that training saw or without a labelled
            case; a projection where there is none; features that are not finite.
    """
    device = pick_device(request.device)
    report(0, 3, "reading the checkpoint")
    trained = load_trained(path, device, request.checkpoint)
    trained.method.require_network(request.network, mean=False)
    space = choose_space(trained, request.space)
    dataset = open_data(trained.meta, trained.path, request.data)
    labeled = dataset.judged_cases(request.split)
    wanted = request.case or median_case(trained, request.split)
    case, z = choose_slice(dataset, labeled, wanted, request.z)
    report(1, 3, f"{request.batches} batches")
    classes = densities_of_batches(
        trained, dataset, space=space, network=request.network, batches=request.batches,
        seed=request.seed, device=device,
    )  # fmt: skip
    _require_finite(classes, trained)
    report(2, 3, case.id)
    found = slice_density(
        trained, dataset, case, z, space=space, network=request.network, device=device
    )
    report(3, 3, "")
    records = tuple(Journal(trained.run_dir).records())
    return DensityAnalysis(
        run=f"{trained.config.method} seed {trained.config.seed} ({trained.run_dir.resolve().name})",
        step=trained.step,
        synthetic=dataset.synthetic,
        dataset=dataset.name,
        class_names=dataset.class_names,
        space=space,
        classes=tuple(classes),
        slice_=found,
        records=records,
        protocol=_protocol(trained, dataset, request, space, found),
        provenance=provenance(
            method=trained.config.method,
            preset=trained.config.preset,
            seed=trained.config.seed,
            config_hash=config_hash(trained.config),
            checkpoint=trained.path.name,
            checkpoint_step=trained.step,
            dropout_seed=request.seed,
            device=device_name(device),
            precision="fp32",
        ),
        notes=tuple(_notes(trained, classes, space, records)),
    )


def median_case(trained: Trained, split: str) -> str | None:
    """The case that `dacl evaluate` shows as the median of this checkpoint; None where it was not evaluated."""
    folder = evaluation_folder(trained.run_dir, split, trained.path.stem)
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return str(summary["shown_cases"]["median"]["case"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _protocol(
    trained: Trained,
    dataset: PreparedDataset,
    request: DensityRequest,
    space: Space,
    shown: SliceDensity,
) -> dict[str, Any]:
    """What was looked at, and how."""
    optim, contrast = trained.config.optim, trained.config.contrast
    unlabeled = optim.batch_unlabeled if trained.method.uses_unlabeled else 0
    return {
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "synthetic": dataset.synthetic,
        "split": dataset.split.name,
        "split_hash": dataset.split.hash,
        "labeled_patients": list(trained.meta.labeled_patients),
        "space": space,
        "network": request.network,
        "checkpoint_rule": trained.rule,
        "batches": request.batches,
        "batch_slices": [optim.batch_labeled, unlabeled],
        "sampling": contrast.sampling,
        "scales": list(contrast.scales),
        # `as_contrast`: the decoder map is looked at without a bank
        "neighbours_from": contrast.density_from if space == "projection" else "batch",
        "slice": {"evaluated_on": request.split, "case": shown.case, "slice": shown.z + 1},
    }


def _require_finite(classes: list[ClassDensity], trained: Trained) -> None:
    broken = [found.name for found in classes if not _finite(found)]
    if broken:
        raise DaclError(
            f"{trained.path}: features of {', '.join(broken)} are not finite",
            "the run has diverged: take an earlier checkpoint, or train again with a lower --lr",
        )


def _finite(found: ClassDensity) -> bool:
    # The sum of finite unit vectors is finite.
    return bool(
        abs(found.units_MD.sum()) < float("inf") and abs(found.density_M.sum()) < float("inf")
    )


def _notes(
    trained: Trained, classes: list[ClassDensity], space: Space, records: tuple[Record, ...]
) -> list[str]:
    """What the numbers and pictures should be read with."""
    return [
        *_notes_on_space(trained, space),
        *_notes_on_classes(classes),
        *_notes_on_journal(trained, records),
    ]


def _notes_on_space(trained: Trained, space: Space) -> list[str]:
    config = trained.config
    notes = []
    if space == "features" and config.method != "dacl":
        notes.append(
            f"{config.method} has no contrast: anchors and keys are those that DACL would choose in the "
            "decoder map, without a bank"
        )
    elif space == "features":
        notes.append(
            "in the decoder map, without projection and bank: not what the contrast itself compares"
        )
    elif config.contrast.unit == "class":
        notes.append(
            "units of this run are class vectors: the slice shows pixels among those of the bank"
        )
    if config.contrast.sampling == "random":
        notes.append(
            "this run draws anchors and keys at random (plain contrast): density plays no part in them. The slice "
            "shows the anchors that Eq. 6 would choose"
        )
    return notes


def _notes_on_classes(classes: list[ClassDensity]) -> list[str]:
    notes = []
    for found in classes:
        if len(found.density_M) < 2:
            notes.append(
                f"{found.name}: {len(found.density_M)} reliable units in these batches, nothing to draw"
            )
        elif found.active_batches == 0:
            notes.append(
                f"{found.name}: too few units or neighbours for the contrast in every batch looked at"
            )
    return notes


def _notes_on_journal(trained: Trained, records: tuple[Record, ...]) -> list[str]:
    if not records:
        return [
            f"no metrics.jsonl beside {trained.path.name}: nothing is known of the densities during training"
        ]
    if not training_panels(records):
        return [
            "the journal holds neither densities nor compactness: the run is of an earlier version of dacl"
        ]
    return []


def training_panels(records: tuple[Record, ...]) -> list[Panel]:
    """How density and compactness moved: the panels of the journal that have numbers."""
    train = [record for record in records if record["kind"] == "train"]
    panels = [density_panel(train), compactness_panel(train), feature_panel(train)]
    return [panel for panel in panels if any(lines.curves for lines in panel.lines)]


def write_density_analysis(analysis: DensityAnalysis, out: Path) -> list[Path]:
    """density.json and the pictures: units, slice, and training where the journal has it. Returns what was written."""
    out.mkdir(parents=True, exist_ok=True)
    data = f"{analysis.dataset}{' (synthetic)' if analysis.synthetic else ''}"
    where = f"{data}: {analysis.label}, {analysis.space}"
    written: list[Path] = []

    def both(stem: str) -> list[Path]:
        written.extend(paths := [out / f"{stem}.png", out / f"{stem}.svg"])
        return paths

    if any(len(found.density_M) >= 2 for found in analysis.classes):
        batches = analysis.protocol["batches"]
        draw_units(
            both("units"), analysis.classes, title=f"{where}, {batches} training batches",
            at_random=analysis.protocol["sampling"] == "random",
        )  # fmt: skip
    found = analysis.slice_
    draw_slice(
        both("slice"), found, analysis.class_names,
        title=f"{where}\n{found.case}, slice {found.z + 1}",
    )  # fmt: skip
    panels = training_panels(analysis.records)
    if panels:
        for path in both("training"):
            draw_panels(panels, analysis.records, path, title=f"{data}: {analysis.run}")
    written.append(out / "density.json")
    write_json(written[-1], _density_json(analysis))
    return written


def _density_json(analysis: DensityAnalysis) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "synthetic": analysis.synthetic,
        "protocol": analysis.protocol,
        "provenance": analysis.provenance,
        "classes": {found.name: found.summary() for found in analysis.classes},
        "slice": analysis.slice_.summary(),
        "notes": list(analysis.notes),
    }
