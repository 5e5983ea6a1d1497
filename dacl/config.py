"""Frozen, validated configurations: presets, TOML in, resolved TOML out.

Every value is a field here, once, with its unit and the paper's value. A run is resolved in this order, later wins:
preset, TOML file, command line. Unknown keys are errors that name the nearest known key.
"""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dacl.errors import DaclError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class ImageConfig(_Frozen):
    """How a slice reaches the network, in training and at inference."""

    geometry: Literal["resize", "resample"] = "resize"
    """`resize`: every slice becomes patch_size x patch_size (the published protocol).
    `resample`: slices are brought to spacing_mm in plane, training draws crops, inference sees the full field."""
    patch_size: Annotated[int, Field(ge=32, multiple_of=16)] = 256
    """Side of the square that the network sees in training, pixels (paper's ancestors: 256)."""
    spacing_mm: Positive = 1.5
    """In-plane spacing that `resample` brings slices to, mm. Datasets of unknown spacing keep their own grid."""


class NetworkConfig(_Frozen):
    """The 2D U-Net of the ACDC literature (facts: SSL4MIS)."""

    width: Annotated[int, Field(ge=4)] = 16
    """Channels at full resolution; doubled at each of the four poolings."""
    dropout: tuple[Fraction, Fraction, Fraction, Fraction, Fraction] = (0.05, 0.1, 0.2, 0.3, 0.5)
    """Dropout probability of the five encoder stages; the decoder has none."""
    shared_encoder: bool = False
    """One encoder with two decoders, the second with transposed convolutions ("such as MC-Net"), instead of two
    separate networks. Methods of one network have nothing to share."""


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
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
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
    phi: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """Reliability threshold of a pseudo-label, phi in Eq. 2 (paper: insensitive)."""
    projection_dim: Annotated[int, Field(ge=2)] = 64
    """Width D of the projection space."""
    sample_cap: Annotated[int, Field(ge=16)] = 4096
    """At most this many reliable pixels per class, network and step are scored."""
    max_fraction: Annotated[float, Field(gt=0.0, le=0.5)] = 0.06
    """Anchors and batch keys are each at most this share of a class's reliable pixels (of all, not only of the
    `sample_cap` that are scored), but at least two, and never more than half of what is scored."""
    sampling: Literal["density", "random"] = "density"
    """Anchors and keys: the sparsest and the densest features (Eq. 6-7), or random ones (plain contrast, row II)."""
    anchors: Annotated[int, Field(ge=1)] = 256
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
        if self.density_from == "bank" and self.bank_size <= max(self.scales):
            raise ValueError(
                f"density_from = 'bank' needs a bank of more than max(scales) = {max(self.scales)} features"
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
    validate_every: Annotated[int, Field(ge=1)] = 200
    """Steps between two validations; the best is judged by network a's mean foreground Dice."""
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
    """Labelled patients: the first N of the split's published order."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of initialisation, sampling and augmentation."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Autocast type of the networks; losses, densities and weights stay fp32."""
    compile: bool = False
    """torch.compile the networks."""
    image: ImageConfig = ImageConfig()
    network: NetworkConfig = NetworkConfig()
    optim: OptimConfig = OptimConfig()
    cross: CrossConfig = CrossConfig()
    contrast: ContrastConfig = ContrastConfig()
    journal: JournalConfig = JournalConfig()


PRESETS: dict[str, dict[str, Any]] = {
    # The recipe of SSL4MIS that DACL's table presumes: 256x256, 12+12 slices, 30,000 steps. For a GPU.
    "paper": {},
    # For a CPU: 1.5 mm in plane, 128x128 crops in training, the full field at inference, 4+4 slices.
    "small": {
        "image": {"geometry": "resample", "patch_size": 128, "spacing_mm": 1.5},
        "optim": {"steps": 3000, "batch_labeled": 4, "batch_unlabeled": 4},
        "journal": {"log_every": 25, "validate_every": 250, "checkpoint_every": 250},
    },
    # The printed equations as near as they can be computed; docs/decisions.md lists each gap that is left.
    "literal": {
        "contrast": {
            "unit": "class",
            "bank": "shared",
            "denominator": "decoupled",
            "reduction": "sum",
            "positiveness": "inside_attached",
            "tau_w": 1.0,
        },
    },
    # DGCL (Wang et al., CVPR 2023), from which density and sampling come; docs/decisions.md lists each gap.
    "dgcl": {
        "contrast": {
            "weight": 0.5,
            "schedule": "constant",
            "reliability": "entropy",
            "projection_dim": 256,
            "sample_cap": 10_000,
            "max_fraction": 0.5,
            "anchors": 200,
            "positives": 100,
            "negatives_from": "pixels",
            "density_from": "bank",
            "bank_size": 10_000,
            "bank_insert": 1000,
            "tau": 0.5,
            "positiveness": "none",
        },
    },
}
"""Starting points. `paper` and `small` are sizes, the others readings of the contrast: `small+literal` is both."""

UNUSED: dict[str, tuple[str, ...]] = {"supervised": ("cross", "contrast"), "cps": ("contrast",)}
"""Sections that a method does not read: two runs that differ there alone are the same run."""


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
    for name in preset.split("+") if isinstance(preset, str) else [preset]:
        if name not in PRESETS:
            raise DaclError(
                f"unknown preset {name!r}",
                f"presets: {', '.join(PRESETS)}; join a size and a reading with +: small+literal",
            )
        values = merge(values, PRESETS[name])
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
        exclude={
            "seed",
            "device",
            "precision",
            "compile",
            "journal",
            *UNUSED.get(config.method, ()),
        },
    )
    return {
        f"{key}.{leaf}" if leaf else key: value
        for key, section in values.items()
        for leaf, value in (section if isinstance(section, dict) else {"": section}).items()
    }


def config_hash(config: Config) -> str:
    """sha256 of `recipe`."""
    return hashlib.sha256(json.dumps(recipe(config), sort_keys=True).encode()).hexdigest()


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """`["contrast.tau=0.2", ...]` -> nested dictionary; values are read as TOML, else as text.

    Raises:
        DaclError: an item without `=`.
    """
    values: dict[str, Any] = {}
    for item in assignments:
        key, equals, text = item.partition("=")
        if not equals:
            raise DaclError(f"--set {item!r} has no '='", "write --set contrast.tau=0.2")
        try:
            value: Any = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        values = merge(values, value)
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """The nested dictionary of a TOML file.

    Raises:
        DaclError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise DaclError(
            f"no configuration file {path}", "give --config an existing TOML file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DaclError(f"{path} is not valid TOML: {error}", "mend the line named above") from None
    except OSError as error:
        raise DaclError(
            f"cannot read {path}: {error.strerror}", "give a readable TOML file"
        ) from None


def to_toml(config: Config) -> str:
    """The resolved configuration as TOML that `read_toml` and `resolve` turn into an equal one."""
    import tomli_w

    return tomli_w.dumps(config.model_dump(mode="json"))
