"""A trained run opened together with its data, ready to be judged: its masks of any case."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.inference.postprocess import largest_component, require_post
from dacl.inference.volumes import predict_volume
from dacl.training.checkpoint import Trained, load_trained, open_data
from dacl.training.device import pick_device, use_bf16


@dataclass(frozen=True, slots=True)
class Judged:
    """One trained method on the dataset it was trained on."""

    trained: Trained
    dataset: PreparedDataset
    device: torch.device
    post: Literal["none", "largest-component"] = "none"

    def predict(self, case: CaseInfo) -> dict[str, np.ndarray]:
        """Post-processed masks of every judged network: uint8 class indices (Z, H, W) on the scan's own grid."""
        image_CZHW = self.dataset.read_image(case.id)
        config = self.trained.config.image
        masks = predict_volume(
            self.trained.method, image_CZHW, case.spacing_mm, config, self.device
        )
        if self.post == "none":
            return masks
        n_classes = len(self.dataset.class_names)
        return {name: largest_component(mask, n_classes) for name, mask in masks.items()}


def open_judged(
    path: Path,
    *,
    checkpoint: Literal["best", "latest"] = "best",
    data: Path | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
    post: Literal["none", "largest-component"] = "none",
) -> Judged:
    """Open a run folder or a checkpoint and the data it was trained on.

    Args:
        path: run folder, or a .pt file, which is its own answer to `checkpoint`.
        checkpoint: which one of a run folder.
        data: the prepared dataset; None: where the checkpoint says it was.
        device: where to compute.
        precision: of the networks.
        post: post-processing of every mask.

    Raises:
        DaclError: no such run, data, device or choice, or data other than the run's.
    """
    require_post(post)
    on = pick_device(device)
    trained = load_trained(path, on, checkpoint)
    trained.method.bf16 = use_bf16(precision, on)
    return Judged(trained, open_data(trained.meta, trained.path, data), on, post)
