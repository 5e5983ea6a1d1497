"""Frozen, validated configurations: every field, and how a run's values are resolved.

Every value is a field here, once, with its unit and the paper's value. A run is resolved in this order, later wins:
preset, TOML file, command line. Unknown keys are errors that name the nearest known key.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dacl.errors import DaclError
from dacl.presets import PRESETS, THREE_D

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
BelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Extent = Annotated[int, Field(ge=16)]
SMALLEST_PATCH, SHALLOWEST_PATCH = 32, 16  # pixels a side, slices


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class ImageConfig(_Frozen):
    """How a scan reaches the network, in training and at inference."""

    dims: Literal[2, 3] = 2
    """2: slices and a U-Net. 3: volumes, patches of them and a V-Net."""
    geometry: Literal["resize", "resample"] = "resize"
    """`resize`: every slice becomes patch_size x patch_size, every volume volume_shape (the published protocols).
    `resample`: scans are brought to spacing_mm, training draws crops, inference sees the full field."""
    patch_size: Annotated[int, Field(ge=SMALLEST_PATCH, multiple_of=16)] = 256
    """Side of the square that the network sees in training, pixels (paper's ancestors: 256)."""
    spacing_mm: Positive = 1.5
    """In-plane spacing that `resample` brings slices to, mm. Datasets of unknown spacing keep their own grid."""
    mirror: bool = True
    """Whether augmentation mirrors and turns scans (SSL4MIS, DHC). Off where left and right are classes of their own
    and training is short: a slice is then rotated by up to 20 degrees, a volume only shifted."""
    patch_depth: Annotated[int, Field(ge=SHALLOWEST_PATCH, multiple_of=16)] = 64
    """Slices of a patch. 3D alone."""
    slice_spacing_mm: Positive = 3.0
    """Spacing between slices that `resample` brings volumes to, mm. 3D alone."""
    volume_shape: tuple[Extent, Extent, Extent] = (80, 160, 160)
    """Slices, rows and columns that `resize` brings whole volumes to (DHC: 80, 160, 160). 3D alone."""
    foreground_fraction: Fraction = 1 / 3
    """Share of labelled patches that are centred on a voxel of a random foreground class. 3D alone."""
    window_overlap: BelowOne = 0.5
    """Share of a patch that two neighbouring windows of inference have in common, per axis. 3D alone."""


class NetworkConfig(_Frozen):
    """The 2D U-Net of the ACDC literature (facts: SSL4MIS), or the V-Net of the 3D literature (facts: UA-MT)."""

    width: Annotated[int, Field(ge=4)] = 16
    """Channels at full resolution; doubled at each of the four poolings."""
    dropout: tuple[BelowOne, BelowOne, BelowOne, BelowOne, BelowOne] = (0.05, 0.1, 0.2, 0.3, 0.5)
    """Dropout probability of the five encoder stages; the decoder has none. 2D alone."""
    vnet_dropout: BelowOne = 0.5
    """Dropout probability of the V-Net, at its bottleneck and before its output. 3D alone."""
    shared_encoder: bool = False
    """One encoder with two decoders, the second with transposed convolutions ("such as MC-Net"), instead of two
    separate networks. Methods of one network have nothing to share. 2D alone."""


class OptimConfig(_Frozen):
    """Batches and the optimiser: SGD with momentum and a polynomial decay."""

    steps: Annotated[int, Field(ge=1)] = 30_000
    """Optimiser steps T (paper: 30,000)."""
    batch_labeled: Annotated[int, Field(ge=1)] = 12
    """Labelled slices per step."""
    batch_unlabeled: Annotated[int, Field(ge=1)] = 12
    """Unlabelled slices per step; methods that use none draw none."""
    lr: Positive = 0.01
    """Initial learning rate (paper: 0.01)."""
    momentum: BelowOne = 0.9
    """SGD momentum (paper: 0.9)."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-4
    """L2 penalty (paper: 1e-4)."""
    poly_power: Annotated[float, Field(ge=0.0)] = 0.9
    """lr(t) = lr * (1 - t/T)^poly_power; 0 keeps it constant."""


class CrossConfig(_Frozen):
    """Cross pseudo supervision, L_cross of Eq. 1."""

    weight: Annotated[float, Field(ge=0.0)] = 1.0
    """lambda_cross (paper: 1, constant)."""
    schedule: Literal["constant", "ramp"] = "constant"
    """`ramp`: weight * exp(-5 (1 - t/T)^2), as SSL4MIS raises it (paper: constant)."""
    samples: Literal["all", "unlabeled"] = "all"
    """Which slices of the batch are cross-supervised (paper: all)."""


class ContrastConfig(_Frozen):
    """Density-aware contrastive learning, Eq. 2-10. Caps are the paper's numbers; see `max_fraction`.

    Where the paper can be read in several ways the readings are values here; docs/decisions.md has the reasons.
    """

    weight: Annotated[float, Field(ge=0.0)] = 0.1
    """Ceiling of lambda_CL(t) (paper: 0.1)."""
    schedule: Literal["constant", "ramp"] = "ramp"
    """`ramp`: lambda_CL(t) = weight * exp(-5 (1 - t/T)^2) (paper); `constant`: weight after the warm-up."""
    warmup_fraction: Fraction = 1 / 30
    """Share of the run without contrast, in which the bank fills (paper: 1,000 of 30,000 steps)."""
    unit: Literal["pixel", "class"] = "pixel"
    """What a feature is: a reliable pixel, or the masked average of a class over one image (Eq. 2)."""
    pseudo_label: Literal["partner", "own", "mean"] = "partner"
    """Whose prediction names the class of an unlabelled pixel (paper: not stated): the partner network's, the
    network's own, or the mean of both softmaxes, which is near 1 only where the two agree."""
    reliability: Literal["threshold", "entropy"] = "threshold"
    """Which pseudo-labels count: probability above phi (Eq. 2), or all but the most uncertain share of pixels,
    80 % at the start and 10 % at the end (DGCL)."""
    phi: BelowOne = 0.9
    """Reliability threshold of a pseudo-label, phi in Eq. 2 (paper: insensitive)."""
    projection_dim: Annotated[int, Field(ge=2)] = 64
    """Width D of the projection space."""
    sample_cap: Annotated[int, Field(ge=16)] = 1024
    """At most this many reliable pixels per class, network and step are scored."""
    max_fraction: Annotated[float, Field(gt=0.0, le=0.5)] = 0.06
    """Anchors and batch keys are each at most this share of a class's reliable pixels (of all, not only of the
    `sample_cap` that are scored), but at least two, and never more than half of what is scored."""
    sampling: Literal["density", "random"] = "density"
    """Anchors and keys: the sparsest and the densest features (Eq. 6-7), or random ones (plain contrast, row II)."""
    anchors: Annotated[int, Field(ge=2)] = 256
    """N_q, the cap on anchors per class (paper: 256)."""
    positives: Annotated[int, Field(ge=2)] = 512
    """N_p+, the cap on positive keys per class (paper: 512)."""
    keys_from: Literal["batch", "both"] = "both"
    """Positive keys: all from the batch, or half from it and half from the bank (Eq. 7)."""
    negatives: Annotated[int, Field(ge=1)] = 512
    """N_p-, negatives per class (paper: 512)."""
    negatives_from: Literal["anchors", "pixels"] = "anchors"
    """`anchors`: the other classes' anchors and random reliable background; `pixels`: random out-of-class pixels."""
    background_negatives: Annotated[int, Field(ge=1)] = 256
    """Random reliable background pixels in the pool of `negatives_from = "anchors"`."""
    density_from: Literal["batch", "bank", "both"] = "both"
    """Where the neighbours of Eq. 3 are sought (paper: G_n u V_n, both; DGCL: bank)."""
    scales: tuple[Annotated[int, Field(ge=1)], ...] = (8, 16, 32)
    """Neighbour counts k of the multi-scale density, Eq. 4-5."""
    bank: Literal["per_network", "shared"] = "per_network"
    """A bank for each network, or one that both feed and read."""
    bank_size: Annotated[int, Field(ge=0)] = 1000
    """L, features kept per class and bank (paper: 1000 best); 0 switches it off, and the batch serves alone."""
    bank_insert: Annotated[int, Field(ge=1)] = 128
    """At most this many random reliable features per class, network and step enter the bank."""
    tau: Positive = 0.4
    """Temperature of Eq. 10 (paper: 0.4)."""
    denominator: Literal["with_positive", "decoupled"] = "with_positive"
    """Eq. 10 divides by negatives and the positive, or by the negatives alone (`decoupled`, as printed)."""
    reduction: Literal["mean", "sum"] = "mean"
    """Over anchors and classes: means, or the sums of Eq. 10 (about 768 times larger on ACDC)."""
    positiveness: Literal["none", "outside", "inside_attached", "inside_denominator", "claim1"] = (
        "outside"
    )
    """Where w_i of Eq. 9 acts: not at all, `outside` the logarithm and detached, inside it with gradient, inside it
    and in the denominator, or in the loss that Claim 1 is true for. docs/positiveness.md compares them."""
    tau_w: Positive = 0.4
    """Temperature of the softmax of Eq. 9 (paper: none printed, which is 1). Changing tau leaves it as it is."""

    @model_validator(mode="after")
    def _fits_together(self) -> "ContrastConfig":
        if not self.scales or list(self.scales) != sorted(set(self.scales)):
            raise ValueError("scales must be strictly ascending, k_1 < k_2 < ... (Eq. 4)")
        batch, bank = self.density_from != "bank", self.density_from != "batch"
        candidates = batch * self.sample_cap + bank * self.bank_size
        if candidates <= max(self.scales):
            raise ValueError(
                f"density_from = '{self.density_from}' seeks neighbours among {candidates} features at most, not more "
                f"than max(scales) = {max(self.scales)}: the contrast would always be 0"
            )
        if self.positiveness == "claim1" and self.tau_w == self.tau:
            raise ValueError(
                "positiveness = 'claim1' has no gradient where tau_w = tau: set another tau_w"
            )
        if self.positiveness == "inside_denominator" and self.denominator == "decoupled":
            raise ValueError(
                "positiveness = 'inside_denominator' needs denominator = 'with_positive': decoupled, w has no gradient"
            )
        return self


class JournalConfig(_Frozen):
    """How often the run writes, in steps."""

    log_every: Annotated[int, Field(ge=1)] = 50
    """Steps between two lines of losses and diagnostics."""
    validate_every: Annotated[int, Field(ge=0)] = 0
    """Steps between two validations, 0: as `validations` asks; the best is judged by network a's mean Dice."""
    validations: Annotated[int, Field(ge=1)] = 10
    """Validations of a run, evenly spaced, where `validate_every` is 0."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    """Steps between two writes of latest.pt."""
    tensorboard: bool = False
    """Write TensorBoard events too (needs the extra `tensorboard`)."""


class Config(_Frozen):
    """Everything that decides a training run, apart from the data itself."""

    method: Literal["supervised", "cps", "dacl"] = "dacl"
    """Training method."""
    preset: str = "paper"
    """The preset the run started from, or several joined by `+`: `small+literal`."""
    labeled: Annotated[int, Field(ge=1)] = 3
    """Labelled patients N: the set that the split publishes for N, else the first N in labeled_order."""
    labeled_order: Annotated[str, Field(pattern=r"^(split|random:\d+)$")] = "split"
    """`split`: as published; `random:SEED`: N patients drawn from the train list."""
    labeled_cases: tuple[str, ...] = ()
    """Labelled patients by name, instead of either; `labeled` is then their number."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of initialisation, sampling and augmentation."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Autocast type of the networks; losses, densities and weights stay fp32."""
    compile: bool = False
    """Compile a step's losses into one graph."""
    cuda_graph: bool = True
    """On a GPU: capture a step as a CUDA graph and replay it."""
    image: ImageConfig = ImageConfig()
    network: NetworkConfig = NetworkConfig()
    optim: OptimConfig = OptimConfig()
    cross: CrossConfig = CrossConfig()
    contrast: ContrastConfig = ContrastConfig()
    journal: JournalConfig = JournalConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        if self.labeled_cases and self.labeled != len(self.labeled_cases):
            raise ValueError(
                f"labeled = {self.labeled}, but labeled_cases names {len(self.labeled_cases)} patients"
            )
        if self.labeled_cases and self.labeled_order != "split":
            raise ValueError("labeled_cases and labeled_order exclude each other")
        if self.image.dims == 3 and self.network.shared_encoder:
            raise ValueError("network.shared_encoder needs the U-Net: image.dims = 2")
        images = self.optim.batch_labeled + self.optim.batch_unlabeled
        if self.contrast.unit == "class" and self.contrast.bank_insert < images:
            raise ValueError(
                f"contrast.bank_insert = {self.contrast.bank_insert} is less than the {images} images of a batch: with "
                "contrast.unit = 'class' the bank would see the first of them alone, which are labelled"
            )
        return self

    @property
    def validate_every(self) -> int:
        """Steps between two validations."""
        return self.journal.validate_every or -(-self.optim.steps // self.journal.validations)


MACHINE_KEYS = ("device", "precision", "compile", "cuda_graph")
"""How a machine computes: two runs that differ there alone are the same run, and one may go on with others."""

UNUSED: dict[str, tuple[str, ...]] = {"supervised": ("cross", "contrast"), "cps": ("contrast",)}
"""Sections that a method does not read: two runs that differ there alone are the same run."""

UNUSED_KEYS: dict[int, tuple[str, ...]] = {
    2: (
        "image.dims", "image.patch_depth", "image.slice_spacing_mm", "image.volume_shape",
        "image.foreground_fraction", "image.window_overlap", "network.vnet_dropout",
    ),
    3: ("network.dropout", "network.shared_encoder"),
}  # fmt: skip
"""Keys that 2D and 3D runs do not read. `dims` itself tells the one from the other where it is 3."""

UNSAID: dict[str, Any] = {
    "labeled_order": "split", "labeled_cases": [], "image.dims": 2, "image.mirror": True,
}  # fmt: skip
"""Keys that `recipe` leaves out at these values, so that hashes of runs from before the keys stay what they were."""

SECTIONS: dict[str, list[str]] = {
    name: list(field.annotation.model_fields)
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, _Frozen)
}


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries, `over` wins leaf by leaf."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both_nested = isinstance(value, Mapping) and isinstance(old, Mapping)
        merged[key] = merge(old, value) if both_nested else value  # type: ignore[arg-type]
    return merged


def resolve(preset: str, *layers: Mapping[str, Any]) -> Config:
    """The configuration of `preset` with `layers` laid over it in order.

    Raises:
        DaclError: unknown preset or key (with the nearest known one), or a value out of range.
    """
    values: dict[str, Any] = {}
    three_d = any(_dims(layer) == 3 for layer in layers)
    for name in preset.split("+") if isinstance(preset, str) else [preset]:
        if name not in PRESETS:
            raise DaclError(
                f"unknown preset {name!r}",
                f"presets: {', '.join(PRESETS)}; join a size and a reading with +: small+literal",
            )
        values = merge(values, PRESETS[name])
        if three_d:
            values = merge(values, THREE_D.get(name, {}))
    values["preset"] = preset
    for layer in layers:
        if layer.get("preset", preset) != preset:
            raise DaclError(
                f"preset {preset!r} is the base, but {layer['preset']!r} is set over it",
                f"a preset is a starting point: choose it with --preset {layer['preset']}",
            )
        values = merge(values, layer)
        for section in SECTIONS:
            if section in values and not isinstance(values[section], Mapping):
                raise DaclError(
                    f"{section} = {values[section]!r}: {section!r} is a section, not a value",
                    f"set one of its keys, such as {section}.{SECTIONS[section][0]}",
                )
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise DaclError(*_explain(error)) from None


def _dims(layer: Mapping[str, Any]) -> Any:
    image = layer.get("image")
    return image.get("dims") if isinstance(image, Mapping) else None


def _explain(error: ValidationError) -> tuple[str, str]:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        leaves = {key.rpartition(".")[2]: key for key in known_keys()}
        near = difflib.get_close_matches(path, known_keys(), n=1, cutoff=0.7) or [
            leaves[leaf]
            for leaf in difflib.get_close_matches(path.rpartition(".")[2], leaves, n=1, cutoff=0.6)
        ]
        return f"unknown configuration key {path!r}", (
            f"did you mean {near[0]!r}?" if near else f"keys: {', '.join(known_keys())}"
        )
    said = first["msg"].removeprefix("Value error, ")
    where = f"section {path}" if path in SECTIONS else f"key {path} = {first['input']!r}"
    return f"configuration {where}: {said}", "see docs/configuration.md for the range of every key"


def known_keys() -> list[str]:
    """Dotted names of every leaf of `Config`, as `--set` and TOML know them."""
    keys = []
    for name in Config.model_fields:
        keys += [f"{name}.{leaf}" for leaf in SECTIONS[name]] if name in SECTIONS else [name]
    return keys


def recipe(config: Config) -> dict[str, Any]:
    """`{"optim.steps": 1500, ...}`: all but seed, machine, journal, and sections that the method does not read."""
    values = config.model_dump(
        mode="json",
        exclude={"seed", "journal", *MACHINE_KEYS, *UNUSED.get(config.method, ())},
    )
    keyed = {
        f"{key}.{leaf}" if leaf else key: value
        for key, section in values.items()
        for leaf, value in (section if isinstance(section, dict) else {"": section}).items()
    }
    unused = UNUSED_KEYS[config.image.dims]
    return {
        key: value
        for key, value in keyed.items()
        if key not in unused and not (key in UNSAID and value == UNSAID[key])
    }


def settings_of(config: Config) -> dict[str, Any]:
    """`recipe` with what it leaves unsaid, to compare runs by; a key still absent is one that the run does not read."""
    return with_unsaid(recipe(config))


def with_unsaid(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `recipe` gave, with `UNSAID`."""
    return {**UNSAID, **values}


def config_hash(config: Config) -> str:
    """sha256 of `recipe`."""
    return hashlib.sha256(json.dumps(recipe(config), sort_keys=True).encode()).hexdigest()
