"""A scan as a model sees it, and in what it differs from the scans that the model was trained on."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dacl.data.case import Case
from dacl.data.orientation import CANONICAL, is_oblique_stack
from dacl.data.readers import CaseSource, Finding
from dacl.data.readers.scan import read_scan
from dacl.errors import DaclError
from dacl.prediction.model import Model

FAR = 1.5
"""Factor beyond the training spacings from which resampling no longer makes a scan alike."""
SAME = 1.05
"""Factor within which a spacing counts as one of the training spacings."""


class Unusable(DaclError):
    """A scan that cannot be predicted, with every finding that says why."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        first = findings[0]
        more = f" (and {len(findings) - 1} more findings)" if len(findings) > 1 else ""
        super().__init__(f"{first.file}: {first.problem}{more}", first.fix)
        self.findings = tuple(findings)


def read_for(model: Model, name: str, channels: Sequence[Path]) -> Case:
    """The scan of these files, a file per channel, turned to LPS where the model was trained so.

    Raises:
        Unusable: another number of channels than the model takes, or what `dacl preprocess` would refuse.
    """
    source = CaseSource(
        id=name, patient=name, phase="", raw=folder_of(channels),
        images=tuple(file.absolute() for file in channels), labels=(),
    )  # fmt: skip
    if len(channels) != model.meta.channels:
        found = ", ".join(file.name for file in channels)
        plural = "s" if len(channels) > 1 else ""
        problem = f"{len(channels)} channel{plural}, the model takes {model.channels}"
        fix = "a file per channel: NAME_0000.nii.gz, NAME_0001.nii.gz, ... in the model's order"
        raise Unusable([Finding(case=name, file=found, problem=problem, fix=fix)])
    case, findings = read_scan(source, len(model.meta.class_names), turn=model.turns)
    if findings or case is None:
        raise Unusable(findings)
    return case


def folder_of(channels: Sequence[Path]) -> Path:
    """The deepest folder that holds all files of a scan: their names in reports and records are relative to it."""
    return Path(os.path.commonpath([file.absolute().parent for file in channels]))


def remarks(case: Case, models: Sequence[Model]) -> list[str]:
    """What the mask of this scan should be read with: where the scan is unlike those of training."""
    found = _orientation(case, models[0])
    for model in models:
        found += _spacing(case, model)
    found += _intensities(case, models[0].meta.intensity)
    return list(dict.fromkeys(found))


def _orientation(case: Case, model: Model) -> list[str]:
    if not model.turns:
        return [
            "the orientation of the training volumes is unknown: the scan was taken as it is stored"
        ]
    if not case.orientation:
        oblique = is_oblique_stack(case.affine)
        why = (
            "its slices are oblique to every axis of the body"
            if oblique
            else "the header has neither sform nor qform"
        )
        return [f"{why}: the scan was taken as it is stored, as if that were {CANONICAL}"]
    if model.meta.orientation is None and case.orientation != CANONICAL:
        return [
            f"turned from {case.orientation} to {CANONICAL}; the checkpoint is of a version that did not record "
            "the orientation of its training volumes"
        ]
    return []


def _spacing(case: Case, model: Model) -> list[str]:
    image, meta = model.config.image, model.meta
    resizes = image.geometry == "resize"
    if meta.spacing_low_mm is None or meta.spacing_high_mm is None:
        unknown = (
            "the spacing of the training scans is not known, and the model resizes every scan to one shape: "
            "whether this scan's voxels are like theirs cannot be told"
        )
        return [unknown] if resizes else []
    assert case.spacing_mm is not None
    factor = SAME if resizes else FAR
    off = [
        f"{axis} {mm:g} (training {_range(low, high)})"
        for axis, mm, low, high in zip(
            "zyx", case.spacing_mm, meta.spacing_low_mm, meta.spacing_high_mm, strict=True
        )
        if not low / factor <= mm <= high * factor
    ]
    if not off:
        return []
    why = (
        "it resizes scans, whatever their spacing" if resizes else "far outside what was trained on"
    )
    return [f"spacing unlike that of the training scans: {', '.join(off)} mm; {why}"]


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _intensities(case: Case, rule: str) -> list[str]:
    if not rule.startswith("hu:"):
        return []
    slices = [image_HW for image_ZHW in case.image_CZHW for image_HW in image_ZHW]
    stored = float(min(map(np.min, slices))), float(max(map(np.max, slices)))
    low, high = sorted(
        value * case.slope + case.inter for value in stored
    )  # a slope may be negative
    if low < 0:
        return []
    return [
        f"values from {low:g} to {high:g} are hardly Hounsfield units, where air is -1000; the model windows them "
        f"by {rule}"
    ]
