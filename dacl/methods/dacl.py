"""DACL: cross pseudo supervision and the soft density-guided contrast, Eq. 1 of the paper."""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor, nn

from dacl.config import Config
from dacl.contrast.bank import ClassBank, Insertion
from dacl.contrast.prototypes import at_stride, certain_classes, dropped_share, reliable_classes
from dacl.contrast.shares import Shares
from dacl.losses.ramps import contrast_weight
from dacl.methods.base import Batch, Moment, Terms
from dacl.methods.cps import Cps
from dacl.methods.density_contrast import ContrastTerm, DensityContrast
from dacl.networks.output import NetworkOutput, SegmentationNetwork
from dacl.seeding import stream


class Dacl(Cps):
    """L_sup + lambda_cross L_cross + lambda_CL(t) L_CL, L_CL the mean over the two networks."""

    def __init__(self, config: Config, channels: int, classes: int) -> None:
        super().__init__(config, channels, classes)
        self.contrast = nn.ModuleDict()
        shared: ClassBank | None = None
        for name, network in self.networks.items():
            assert isinstance(network, SegmentationNetwork)
            head_stream = stream(config.seed, "head", name)
            contrast = DensityContrast(
                config.contrast, network.feature_channels, classes, head_stream, shared
            )
            self.contrast[name] = contrast
            shared = contrast.bank if config.contrast.bank == "shared" else None
        self._insertions: dict[str, Insertion] = {}

    @property
    def seeing_own_images(self) -> list[nn.Module]:
        """The networks, and the heads where they see whole maps; else they see the sample of all ranks."""
        whole_maps = self.config.contrast.unit == "class"
        return [self.networks, self.contrast] if whole_maps else [self.networks]

    def weights(self, step: int) -> dict[str, float]:
        """lambda_cross and lambda_CL(t)."""
        config = self.config.contrast
        return super().weights(step) | {
            "contrast": contrast_weight(
                step, self.config.optim.steps, ceiling=config.weight,
                warmup_fraction=config.warmup_fraction, schedule=config.schedule,
            )
        }  # fmt: skip

    def moment(self, batch: Batch, step: int) -> Moment:
        """With the draws of both contrasts, each from a stream of its own; for the images of all ranks."""
        draws = {}
        images = len(batch.images) * self.ranks.world
        for name, contrast in self.contrast.items():
            assert isinstance(contrast, DensityContrast)
            generator = stream(self.config.seed, "contrast", name, step, device=batch.images.device)
            pixels = self.feature_pixels(name, images, batch)
            draws[name] = contrast.draw(generator, images=images, pixels=pixels)
        return replace(super().moment(batch, step), draws=draws)

    def terms(self, batch: Batch, moment: Moment) -> Terms:
        """Eq. 1."""
        outputs = self.forward_networks(batch.images)
        terms = self.co_training(outputs, batch, moment)
        idle = "contrast" in moment.idle
        results: dict[str, ContrastTerm] = {}
        shares = Shares(self.ranks, batch.labeled, len(batch.images))
        with torch.set_grad_enabled(not idle):  # without weight the bank fills, nothing else
            for name in self.network_names:
                results[name] = self.contrast[name](
                    outputs[name].features,
                    shares.of_all(self.reliable(name, outputs, batch, moment.step)),
                    moment.draws[name],
                    shares,
                    measure=moment.logged,
                )
        self._insertions = {name: result.insertion for name, result in results.items()}
        contrast = torch.stack([result.loss for result in results.values()]).mean()
        weighted = moment.weights["contrast"] * contrast
        return Terms(
            total=terms.total if idle else terms.total + weighted,
            parts=terms.parts | {"contrast": contrast.detach()},
            diagnostics=self._health(outputs, terms, results, weighted) if moment.logged else {},
        )

    @torch.no_grad()
    def reliable(
        self, name: str, outputs: dict[str, NetworkOutput], batch: Batch, step: int
    ) -> Int[Tensor, "B *S"]:
        """Class of every pixel of the decoder map, as annotated or as the network(s) asked are sure of; own images."""
        config = self.config.contrast
        sources = {
            "own": [name],
            "partner": [other for other in self.network_names if other != name],
            "mean": list(self.network_names),
        }[config.pseudo_label]
        features = outputs[name].features
        stride = batch.images.shape[-1] // features.shape[-1]
        axes = features.ndim - 2
        labels = at_stride(batch.labels, stride, axes)
        each = [
            at_stride(outputs[source].logits, stride, axes).float().softmax(dim=1)
            for source in sources
        ]
        probs = torch.stack(each).mean(dim=0)
        if config.reliability == "entropy":
            progress = step / self.config.optim.steps
            return certain_classes(labels, probs, dropped_share(progress), self.ranks)
        return reliable_classes(labels, probs, config.phi)

    def _health(
        self,
        outputs: dict[str, NetworkOutput],
        terms: Terms,
        results: dict[str, ContrastTerm],
        weighted: Tensor,
    ) -> dict[str, Tensor]:
        """What the journal holds beside the losses: means of the two networks; `gradient_share` on own images."""
        each = [result.diagnostics for result in results.values()]
        means = {key: torch.stack([found[key] for found in each]).nanmean(dim=0) for key in each[0]}
        features = [output.features for output in outputs.values()]
        share = _gradient_share(weighted, terms.total, features)
        return terms.diagnostics | means | {"gradient_share": share}

    def after_step(self, step: int) -> None:
        """Feed the banks with what the step saw."""
        for name, insertion in self._insertions.items():
            contrast = self.contrast[name]
            assert isinstance(contrast, DensityContrast)
            contrast.bank.insert(*insertion)
        self._insertions = {}


def _gradient_share(contrast: Tensor, co_training: Tensor, features: list[Tensor]) -> Tensor:
    """|g_contrast| / (|g_contrast| + |g_co-training|) at the decoder maps, in [0, 1]; nan without a contrast."""
    if not contrast.requires_grad:
        return torch.full((), torch.nan)
    norms = []
    for term in (contrast, co_training):
        found = torch.autograd.grad(term, features, retain_graph=True, materialize_grads=True)
        norms.append(torch.stack([gradient.float().norm() for gradient in found]).norm())
    return norms[0] / (norms[0] + norms[1])
