"""The Python API: `Predictor.load("runs/RUN")`, then `.predict("scan.nii.gz")`, then `.save("masks/scan.nii.gz")`."""

from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8

from dacl.atomic import write_json
from dacl.data import intensity
from dacl.data.case import Case
from dacl.data.nifti_names import ENDINGS, stem_of
from dacl.data.orientation import from_canonical
from dacl.data.prepared import Geometry
from dacl.errors import DaclError
from dacl.inference.export import ProbabilityFile, write_nifti
from dacl.inference.postprocess import largest_component, require_post
from dacl.label_map import mask_of
from dacl.prediction.ensemble import averaged
from dacl.prediction.model import Model, load_model, require_alike
from dacl.prediction.scan import read_for, remarks
from dacl.prediction.sidecar import class_sizes, sidecar
from dacl.training.device import device_name, pick_device, precision_name

PathLike = str | Path


@dataclass(frozen=True, slots=True)
class Prediction:
    """The mask of one scan."""

    name: str
    mask_ZHW: UInt8[np.ndarray, "Z H W"]
    """Class indices on the scan's own grid, held as dacl holds volumes: rows and columns of a slice as seen, LPS."""
    class_names: tuple[str, ...]
    """By class index; 0 is background."""
    geometry: Geometry
    warnings: tuple[str, ...]
    """In what the scan, or the model, is not what it should be."""
    record: dict[str, Any] = field(repr=False)
    """What the sidecar says of scan, models, options and software."""

    @property
    def mask_XYZ(self) -> UInt8[np.ndarray, "X Y Z"]:
        """Class indices in the voxel order of the file, as nibabel shows it."""
        return from_canonical(self.mask_ZHW.transpose(2, 1, 0), self.geometry.orientation)

    @property
    def volumes_ml(self) -> dict[str, float | None]:
        """Volume of every class in the foreground, ml; None where the scan's spacing is unknown."""
        sizes = class_sizes(self.mask_ZHW, self.class_names, self.geometry.spacing_mm)
        return {each["name"]: each["volume_ml"] for each in sizes[1:]}

    def save(self, path: PathLike, *, overwrite: bool = False) -> tuple[Path, Path]:
        """Write the mask, with the scan's own header, and its sidecar beside it; returns both paths.

        Args:
            path: ends in `.nii.gz` or `.nii`; the sidecar takes its name, with `.json`.
            overwrite: replace files that are there.

        Raises:
            DaclError: another ending, or a file that is there.
        """
        mask = _nifti_name(path)
        beside = mask.with_name(f"{stem_of(mask)}.json")
        there = [file for file in (mask, beside) if file.exists()]
        if there and not overwrite:
            raise DaclError(
                f"{there[0]} is there already", "save with overwrite=True, or elsewhere"
            )
        beside.unlink(missing_ok=True)  # it must not vouch for another mask
        write_nifti(mask, self.mask_ZHW, self.geometry)
        write_json(beside, {**self.record, "mask": mask.name})
        return mask, beside


class Predictor:
    """Models that answer together: their class probabilities are averaged.

    Args:
        models: one or more, alike in classes, channels and intensity rule.
        device: where they compute.
        tta: average over the mirror images in plane, too: four passes instead of one.
        post: what is done to a mask: `largest-component` keeps the largest component of every class.

    Raises:
        DaclError: the models do not answer the same question, TTA of a model trained without mirror images, or another
            `post`.
    """

    def __init__(
        self,
        models: Sequence[Model],
        device: torch.device,
        *,
        tta: bool = False,
        post: Literal["none", "largest-component"] = "none",
    ) -> None:
        self.models, self.device, self.tta, self.post = tuple(models), device, tta, post
        require_post(post)
        require_alike(self.models)
        unmirrored = [model for model in self.models if not model.config.image.mirror]
        if tta and unmirrored:
            raise DaclError(
                f"{unmirrored[0].path} was trained without mirror images (image.mirror = false): "
                "it takes left for right in them",
                "predict without TTA",
            )

    @classmethod
    def load(
        cls,
        *paths: PathLike,
        checkpoint: Literal["best", "latest"] = "best",
        network: Literal["a", "b", "mean"] | None = None,
        tta: bool = False,
        post: Literal["none", "largest-component"] = "none",
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        precision: Literal["auto", "fp32", "bf16"] = "fp32",
    ) -> "Predictor":
        """Load models: run folders, checkpoints, or `.safetensors` files of `dacl export`.

        Args:
            paths: one, or several for an ensemble.
            checkpoint: which one of a run folder.
            network: whose probabilities count; None: `a`, or the network that was exported.
            tta: see the class.
            post: see the class.
            device: where to compute.
            precision: of the networks; fp32 gives the same mask everywhere.

        Raises:
            DaclError: no such model, network, device or choice, or models that are not alike.
        """
        if not paths:
            raise DaclError("no model", "name a run folder or a checkpoint")
        on = pick_device(device)
        models = [
            load_model(Path(path), on, checkpoint=checkpoint, network=network, precision=precision)
            for path in paths
        ]
        return cls(models, on, tta=tta, post=post)

    @property
    def class_names(self) -> tuple[str, ...]:
        """By class index; 0 is background."""
        return self.models[0].meta.class_names

    @property
    def options(self) -> dict[str, Any]:
        """What decides a mask beside scan and models."""
        return {
            "network": [model.network for model in self.models],
            "tta": self.tta,
            "post": self.post,
            "device": device_name(self.device),
            "precision": precision_name(self.models[0].method.bf16, self.device),
        }

    def predict(
        self, image: PathLike | Sequence[PathLike], *, probabilities: PathLike | None = None
    ) -> Prediction:
        """Segment one scan; the same scan gives the same mask, bit for bit.

        Args:
            image: a NIfTI file, or a file per channel in the model's order.
            probabilities: write the class probabilities to this file, 4D NIfTI (X, Y, Z, class); a file that is there
                is replaced.

        Raises:
            DaclError: the scan cannot be read, is damaged, or has other channels than the model takes.
        """
        channels = [Path(path) for path in ([image] if isinstance(image, str | Path) else image)]
        if not channels:
            raise DaclError("no image", f"the model takes {self.models[0].channels}")
        wanted = None if probabilities is None else _nifti_name(probabilities)
        return self.predict_scan(stem_of(channels[0]), channels, wanted)

    def predict_scan(
        self, name: str, channels: Sequence[Path], probabilities: Path | None = None
    ) -> Prediction:
        """`predict`, with the name that the scan is recorded under."""
        case = read_for(self.models[0], name, channels)
        geometry = Geometry(
            spacing_mm=case.spacing_mm, affine=case.affine,
            header=case.header, orientation=case.orientation,
        )  # fmt: skip
        mask_ZHW = self._mask(case, geometry, probabilities)
        if self.post == "largest-component":
            mask_ZHW = largest_component(mask_ZHW, len(self.class_names))
        notes = [note for model in self.models for note in model.notes]
        warnings = tuple(dict.fromkeys([*notes, *remarks(case, self.models)]))
        record = sidecar(
            case, mask_ZHW, self.class_names,
            models=[model.about for model in self.models], options=self.options,
            warnings=warnings, probabilities=probabilities,
        )  # fmt: skip
        return Prediction(name, mask_ZHW, self.class_names, geometry, warnings, record)

    def _mask(self, case: Case, geometry: Geometry, probabilities: Path | None) -> np.ndarray:
        shape_ZHW = case.image_CZHW.shape[1:]
        image_CZHW = intensity.apply(
            self.models[0].meta.intensity, case.image_CZHW, slope=case.slope, inter=case.inter
        )
        mask_ZHW = np.empty(shape_ZHW, np.uint8)
        held = probabilities and ProbabilityFile(
            probabilities, geometry, shape_ZHW, len(self.class_names)
        )
        with closing(held) if held else nullcontext():
            slabs = averaged(self.models, image_CZHW, case.spacing_mm, self.device, tta=self.tta)
            for z, probs_NzHW in slabs:
                mask_ZHW[z] = mask_of(probs_NzHW)
                if held:
                    held.write(z, probs_NzHW.cpu().numpy())
            if held:
                held.save()
        return mask_ZHW


def _nifti_name(path: PathLike) -> Path:
    if not str(path).endswith(ENDINGS):
        raise DaclError(f"{path} is no name of a NIfTI file", "end it in .nii.gz")
    return Path(path)
