"""A model that predicts: the networks of a run, a checkpoint or an exported file, and what it says of itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from dacl.config import Config, config_hash
from dacl.data.readers import sha256
from dacl.errors import DaclError
from dacl.methods.base import Method
from dacl.prediction import portable
from dacl.training.checkpoint import RunMeta, Trained, load_trained
from dacl.training.device import use_bf16


@dataclass(frozen=True, slots=True)
class Model:
    """One trained method and the network of it that answers."""

    method: Method
    config: Config
    meta: RunMeta
    network: str
    path: Path
    about: dict[str, Any]
    """What a result says of its model: plain values, no path and no clock."""
    notes: tuple[str, ...]
    """What every result of it should be read with."""

    @property
    def turns(self) -> bool:
        """Whether scans are turned to LPS for it; a run that did not record it was trained on LPS or close to it."""
        return self.meta.orientation != ""

    @property
    def channels(self) -> str:
        """How many channels it takes and which, in words."""
        names, count = self.meta.channel_names, self.meta.channels
        which = f" ({', '.join(names)})" if names else ""
        return f"{count} channel{'s' if count > 1 else ''}{which}"


def load_model(
    path: Path,
    device: torch.device,
    *,
    checkpoint: Literal["best", "latest"] = "best",
    network: str | None = None,
    precision: str = "fp32",
) -> Model:
    """A model, ready to predict.

    Args:
        path: run folder, checkpoint, or a `.safetensors` file of `dacl export`.
        device: where it computes.
        checkpoint: which one of a run folder.
        network: `a`, `b`, `mean`; None: `a`, or the one that was exported.
        precision: `fp32`, `bf16` or `auto`.

    Raises:
        DaclError: no such file or network, or a file that is no model.
    """
    if path.suffix == portable.ENDING:
        method, config, meta, facts = portable.read(path)
        network, about, path_used = network or facts["network"], facts["about"], path
    else:
        trained = load_trained(path, device, checkpoint)
        method, config, meta, path_used = trained.method, trained.config, trained.meta, trained.path
        network, about = network or "a", describe(trained)
    method.require_network(network, mean=True, of=path)
    method.to(device).bf16 = use_bf16(precision, device)
    about = {"file": path_used.name, "sha256": sha256(path_used.read_bytes()), **about}
    return Model(method, config, meta, network, path_used, about, _notes(about))


def describe(trained: Trained) -> dict[str, Any]:
    """What a result, a sidecar or an exported file says of a run. Patients are counted, not named: files travel."""
    config, meta = trained.config, trained.meta
    return {
        "run": trained.run_dir.resolve().name,
        "method": config.method,
        "preset": config.preset,
        "seed": config.seed,
        "config_hash": config_hash(config),
        "dims": config.image.dims,
        "geometry": config.image.geometry,
        "step": trained.step,
        "checkpoint_rule": trained.rule,
        "steps_run": trained.run_step,
        "steps_planned": config.optim.steps,
        "dataset": meta.dataset_name,
        "dataset_fingerprint": meta.dataset_fingerprint,
        "synthetic": meta.synthetic,
        "split": meta.split_name,
        "split_hash": meta.split_hash,
        "labeled_patients": len(meta.labeled_patients),
        "modality": meta.modality or None,
        "channels": list(meta.channel_names) or meta.channels,
        "intensity": meta.intensity,
    }


def require_alike(models: tuple[Model, ...]) -> None:
    """Refuse an ensemble whose members do not answer the same question.

    Raises:
        DaclError: they differ in classes, channels, intensity rule or orientation; names both values.
    """
    first = models[0]
    for other in models[1:]:
        for what, one, two in (
            ("class names", first.meta.class_names, other.meta.class_names),
            ("channels", first.meta.channels, other.meta.channels),
            ("channel names", first.meta.channel_names, other.meta.channel_names),
            ("intensity rule", first.meta.intensity, other.meta.intensity),
            ("orientation of the training data", first.turns, other.turns),
        ):
            if what == "channel names" and not (one and two):  # one of them did not record its own
                continue
            if one != two:
                raise DaclError(
                    f"{first.path} and {other.path} cannot be averaged: {what} {_said(one)} "
                    f"and {_said(two)}",
                    "an ensemble is of models of the same classes and the same kind of image",
                )


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "LPS" if value else "as stored"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _notes(about: dict[str, Any]) -> tuple[str, ...]:
    notes = []
    if about["synthetic"]:
        notes.append(
            f"{about['file']} was trained on {about['dataset']}, a synthetic dataset: it has seen no real scan"
        )
    if about["steps_run"] < about["steps_planned"]:
        notes.append(
            f"{about['file']} is of an unfinished run: step {about['steps_run']} of {about['steps_planned']}"
        )
    return tuple(notes)
