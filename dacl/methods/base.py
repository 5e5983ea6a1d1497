"""What a training method is: networks, losses of a batch, and what happens after the step.

Legend: B images, A of them labelled and in front, C channels, N classes with background; *S the spatial axes, H W of
slices or D H W of volumes. A method never asks which: its networks and the shape of its batch know.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dacl.config import Config
from dacl.contrast.compactness import labeled_compactness_and_density
from dacl.contrast.draws import Draws
from dacl.errors import DaclError
from dacl.networks.output import NetworkOutput, SegmentationNetwork
from dacl.networks.unet import UNet
from dacl.networks.vnet import VNet
from dacl.ranks import ALONE, Ranks
from dacl.seeding import stream, stream_seed

# Faster than the default layout in 2D and 3D, on the CPU and on GPUs with tensor cores.
_CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}

MEASURED_PIXELS = 1024
"""Annotated pixels of a class whose compactness and density a logged step measures, at most."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's images. The unlabelled ones have no label tensor at all."""

    images: Float[Tensor, "B C *S"]
    labels: Int[Tensor, "A *S"]
    """Class indices of the first A images, int64."""

    @property
    def labeled(self) -> int:
        """A."""
        return self.labels.shape[0]


@dataclass(frozen=True, slots=True)
class Terms:
    """What one step minimises, and what is worth writing down."""

    total: Tensor
    """Scalar, with gradient."""
    parts: dict[str, Tensor]
    """Detached scalars: each term before its weight."""
    diagnostics: dict[str, Tensor] = field(default_factory=dict)
    """Detached: vectors with one number per foreground class, or scalars. Only on steps that `Method.logs`."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the losses of a step depend on beside its batch, settled before anything is computed."""

    step: int
    """Counted from 0. Not for arithmetic on tensors: a captured step (`dacl.training.replay`) keeps its own."""
    weights: dict[str, Tensor]
    """Weight of each part of the loss: scalars on the batch's device, so that a compiled step serves all steps."""
    idle: frozenset[str] = frozenset()
    """The parts of weight 0."""
    logged: bool = False
    """Whether the diagnostics will be written down; nobody reads those of other steps."""
    draws: dict[str, Draws] = field(default_factory=dict)
    """The random numbers of each network's contrast."""
    measure_scores: dict[str, Float[Tensor, "P"]] = field(default_factory=dict)
    """Of a logged step and each network: scores of the annotated pixels; those of highest score are measured."""


class Method(nn.Module):
    """Base of every method: owns networks, heads, banks and teachers, so one state_dict is all of it.

    Args:
        config: the run's configuration.
        channels: image channels C.
        classes: N, background included.
    """

    network_names: ClassVar[tuple[str, ...]] = ("a",)
    uses_unlabeled: ClassVar[bool] = False
    """Whether the loop draws unlabelled slices for it."""

    def __init__(self, config: Config, channels: int, classes: int) -> None:
        super().__init__()
        self.config = config
        self.classes = classes
        self.bf16 = False
        """Whether the networks run under bfloat16 autocast; the loop decides by device and configuration."""
        self.ranks: Ranks = ALONE
        """Who trains together: a batch is this rank's share of one, and losses are of the whole."""
        networks: list[SegmentationNetwork] = []
        for name in self.network_names:
            networks.append(self._build_network(name, channels, classes, networks))
        self.networks = nn.ModuleDict(dict(zip(self.network_names, networks, strict=True)))

    def _build_network(
        self, name: str, channels: int, classes: int, before: list[SegmentationNetwork]
    ) -> SegmentationNetwork:
        settings = self.config.network
        shares = settings.shared_encoder and len(before) > 0
        network: SegmentationNetwork
        # Networks differ by their initial draw alone, each from a stream of its own.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(self.config.seed, "network", name))
            if self.config.image.dims == 3:
                network = VNet(channels, classes, settings.width, settings.vnet_dropout)
            else:
                network = UNet(
                    channels, classes, settings.width, settings.dropout,
                    upsampling="transposed" if shares else "bilinear",
                )  # fmt: skip
        if shares:
            network.encoder = before[0].encoder
        return network.to(memory_format=_CHANNELS_LAST[self.config.image.dims])  # type: ignore[call-overload]

    def forward_networks(
        self, images: Float[Tensor, "B C *S"], names: tuple[str, ...] | None = None
    ) -> dict[str, NetworkOutput]:
        """Every network, or those named, on every image; everything after it runs in fp32 outside autocast."""
        images = images.contiguous(memory_format=_CHANNELS_LAST[images.ndim - 2])
        bf16 = self.bf16 and not (self.training and _empty_on_cpu(images))
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=bf16):
            encoded = None
            if self.config.network.shared_encoder:
                first = self.networks[self.network_names[0]]
                assert isinstance(first, SegmentationNetwork)
                encoded = first.encode(images)
            return {
                name: self.networks[name](images, encoded) for name in names or self.network_names
            }

    def logs(self, step: int) -> bool:
        """Whether the step's diagnostics will be written down."""
        done = step + 1
        return done % self.config.journal.log_every == 0 or done == self.config.optim.steps

    @torch.no_grad()
    def feature_health(
        self, outputs: dict[str, NetworkOutput], batch: Batch, moment: Moment
    ) -> dict[str, Tensor]:
        """Per foreground class, of the annotated pixels in the decoder map, means of the networks; nan where absent.

        `feature_compactness` and `feature_density`: see `dacl.contrast.compactness`. Every method has them. Of several
        ranks each measures its own images.
        """
        found = [
            labeled_compactness_and_density(
                output.features[: batch.labeled],
                batch.labels,
                moment.measure_scores[name],
                n_classes=self.classes, cap=MEASURED_PIXELS, scales=self.config.contrast.scales,
            )
            for name, output in outputs.items()
        ]  # fmt: skip
        compactness_C, density_C = (
            torch.stack(each).mean(dim=0) for each in zip(*found, strict=True)
        )
        return {"feature_compactness": compactness_C, "feature_density": density_C}

    def losses(self, batch: Batch, step: int) -> Terms:
        """The terms of step `step`, counted from 0."""
        return self.terms(batch, self.moment(batch, step))

    def weights(self, step: int) -> dict[str, float]:
        """Weight of each part of the loss at step `step`."""
        raise NotImplementedError

    def terms(self, batch: Batch, moment: Moment) -> Terms:
        """The losses of a batch; what most methods write, with `weights`.

        It never looks at a value on a device or in a compiled graph, logged steps apart, and changes nothing but the
        statistics of batch norms and what `after_step` is to take.
        """
        raise NotImplementedError

    def moment(self, batch: Batch, step: int) -> Moment:
        """Weights, draws and duties of step `step`."""
        weights = self.weights(step)
        device = batch.images.device
        logged = self.logs(step)
        scores = {}
        for name in self.network_names if logged else ():
            generator = stream(self.config.seed, "feature health", name, step, device=device)
            pixels = self.feature_pixels(name, batch.labeled, batch)
            scores[name] = torch.rand(pixels, generator=generator, device=device)
        return Moment(
            step,
            {name: torch.full((), weight, device=device) for name, weight in weights.items()},
            idle=frozenset(name for name, weight in weights.items() if weight == 0),
            logged=logged,
            measure_scores=scores,
        )

    def feature_pixels(self, name: str, images: int, batch: Batch) -> int:
        """Pixels of a network's decoder maps of so many images of the batch's size."""
        network = self.networks[name]
        assert isinstance(network, SegmentationNetwork)
        size = batch.images.shape[2:]
        return images * math.prod(-(-side // network.feature_stride) for side in size)

    @property
    def seeing_own_images(self) -> list[nn.Module]:
        """The modules that see this rank's images alone, whose batch statistics are to be synchronised."""
        return [self.networks]

    def after_step(self, step: int) -> None:
        """Runs after the optimiser's step: teachers, banks."""

    @property
    def judged(self) -> tuple[str, ...]:
        """Names under which `predict` answers: the networks, and their mean where there are two."""
        return (*self.network_names, "mean") if len(self.network_names) > 1 else self.network_names

    def require_network(self, name: str, *, mean: bool, of: Path | None = None) -> None:
        """Refuse a name that no network of this method has.

        Args:
            name: asked for.
            mean: accept `mean` where there are two networks: only probabilities have a mean, maps and densities do not.
            of: the file that the method was read from, for the message; None: the method's own name.

        Raises:
            DaclError: there is no such network; says which there are.
        """
        names = self.judged if mean else self.network_names
        if name not in names:
            raise DaclError(
                f"{of or self.config.method} has no network {name!r}", f"it has {', '.join(names)}"
            )

    @torch.no_grad()
    def predict(self, images: Float[Tensor, "B C *S"]) -> dict[str, Float[Tensor, "B N *S"]]:
        """Class probabilities of each judged network, fp32, from one pass; `mean` averages the softmaxes."""
        outputs = self.forward_networks(images)
        probs = {name: out.logits.float().softmax(dim=1) for name, out in outputs.items()}
        if "mean" in self.judged:
            probs["mean"] = torch.stack(list(probs.values())).mean(dim=0)
        return probs

    @torch.no_grad()
    def embed(self, images: Float[Tensor, "B C *S"], network: str = "a") -> Float[Tensor, "B F *s"]:
        """The stride-2 decoder map of one network: what the contrast reads, fp32."""
        return self.forward_networks(images, (network,))[network].features.float()


def _empty_on_cpu(images: Float[Tensor, "B C *S"]) -> bool:
    """Whether a batch on the CPU holds nothing but 0, as a patch of air or of the padding around a head does.

    Every map is constant then, each batch norm multiplies the rounding of its gradient by 1 / sqrt(eps) = 316, and in
    bfloat16 what reaches the first stages of a V-Net is infinite. In fp32 it is not. Of no compiled step is it asked,
    nor on other devices, whose steps may be captured: a look at a value would end either.
    """
    if images.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not images.any()
