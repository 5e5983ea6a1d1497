"""L_CL of one network: from its decoder map, by way of head, density and selection, to the loss of Eq. 10.

Shape suffixes as in `dacl.contrast`.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dacl.config import ContrastConfig
from dacl.contrast.bank import ClassBank, Insertion
from dacl.contrast.compactness import compactness
from dacl.contrast.density import multiscale_density
from dacl.contrast.draws import Draws, draw
from dacl.contrast.loss import anchor_losses, contrastive_loss, log_negative_mass
from dacl.contrast.positiveness import log_positiveness
from dacl.contrast.selection import (
    Chosen,
    Negatives,
    ascending,
    class_centre,
    dense_end,
    end_size,
    negatives_from_anchors,
    sparse_end,
    take,
)
from dacl.contrast.shares import WHOLE, Shares
from dacl.contrast.units import Units, class_units, pixel_units
from dacl.networks.heads import ProjectionHead


class ContrastTerm(NamedTuple):
    """The contrast of one network."""

    loss: Float[Tensor, ""]
    diagnostics: dict[str, Tensor]
    insertion: Insertion
    """What the bank takes in once the optimiser has stepped."""


class Selection(NamedTuple):
    """What one network's contrast looks at in a batch, detached but for the units themselves."""

    units: Units
    density_CM: Float[Tensor, "C M"]
    anchors: Chosen
    keys: Chosen
    """Of the batch."""
    bank_keys: Chosen
    enough_C: Bool[Tensor, "C"]
    """Whether a class has the neighbours that the scales ask for."""


class DensityContrast(nn.Module):
    """L_CL of one network: its projection head, its bank, and the path from feature map to loss.

    Args:
        config: the contrast's configuration.
        channels: width F of the decoder map.
        classes: N, background included.
        generator: draws the head's initial weights.
        bank: the bank of another network, to share it; None makes one.
    """

    def __init__(
        self,
        config: ContrastConfig,
        channels: int,
        classes: int,
        generator: torch.Generator,
        bank: ClassBank | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.classes = classes
        self.head = ProjectionHead(channels, config.projection_dim, generator)
        self.bank = bank or ClassBank(classes - 1, config.bank_size, config.projection_dim)

    def draw(self, generator: torch.Generator, *, images: int, pixels: int) -> Draws:
        """The random numbers of a step whose feature maps have `images` images and `pixels` pixels in all."""
        config, by_pixel = self.config, self.config.unit == "pixel"
        return draw(
            generator,
            pixels=pixels,
            classes=self.classes - 1,
            units=config.sample_cap if by_pixel else images,
            anchors=config.anchors,
            background=config.background_negatives if by_pixel else images,
            bank=self.bank.length,
        )

    def forward(
        self,
        features: Float[Tensor, "B F *S"],
        classes: Int[Tensor, "I *S"],
        draws: Draws,
        shares: Shares = WHOLE,
        *,
        measure: bool = True,
    ) -> ContrastTerm:
        """The loss of this step against the bank as the last step left it; `measure`: with diagnostics.

        `features` are those of this rank, `classes` and `draws` those of all: what follows from them is the same on
        every rank, the bank too.
        """
        config = self.config
        chosen = self.select(features, classes, draws, shares)
        units, anchors = chosen.units, chosen.anchors
        centre_CD = self._centre(chosen)
        anchors_CQD = take(units.units_CMD, anchors.index_CM)  # the only units a gradient reaches
        negatives = self._negatives(anchors_CQD, anchors.valid_CM, units, draws)
        cosine_CQ = (anchors_CQD * centre_CD.unsqueeze(1)).sum(dim=2)
        log_w_CQ = log_positiveness(cosine_CQ, anchors.valid_CM, config.tau_w)
        losses_CQ, weights_CQ = anchor_losses(
            cosine_CQ / config.tau,
            log_negative_mass(anchors_CQD, *negatives, config.tau),
            log_w_CQ,
            anchors.valid_CM,
            config.positiveness,
            decoupled=config.denominator == "decoupled",
        )
        active_C = _active(chosen, negatives)
        loss = contrastive_loss(losses_CQ, weights_CQ, active_C, config.reduction)
        health = self._diagnostics(chosen, cosine_CQ, log_w_CQ, active_C) if measure else {}
        return ContrastTerm(loss, health, self._insertion(chosen))

    def select(
        self,
        features: Float[Tensor, "B F *S"],
        classes: Int[Tensor, "I *S"],
        draws: Draws,
        shares: Shares = WHOLE,
    ) -> Selection:
        """The units of a batch, their densities, and what Eq. 6 and 7 choose of them and of the bank."""
        units = self._units(features, classes, draws, shares)
        fixed_CMD = units.units_CMD.detach()
        candidates_CKD, candidate_valid_CK, self_offset = self._candidates(fixed_CMD, units)
        density_CM = multiscale_density(
            fixed_CMD, candidates_CKD, candidate_valid_CK, self.config.scales,
            self_offset=self_offset, valid_CM=units.valid_CM,
        )  # fmt: skip
        anchors, keys = self._anchors_and_keys(density_CM, units, draws)
        bank_keys = self._bank_keys(draws)
        enough_C = self._enough_neighbours(candidate_valid_CK)
        return Selection(units, density_CM, anchors, keys, bank_keys, enough_C)

    def _units(
        self, features: Tensor, classes: Tensor, draws: Draws, shares: Shares = WHOLE
    ) -> Units:
        config, out_of_class = self.config, self.config.negatives_from == "pixels"
        if config.unit == "class":
            return class_units(
                self.head, features, classes, shares,
                n_classes=self.classes, out_of_class=out_of_class,
            )  # fmt: skip
        return pixel_units(
            self.head, features, classes, draws, shares,
            dim=config.projection_dim, n_classes=self.classes, cap=config.sample_cap,
            others=config.negatives if out_of_class else config.background_negatives,
            out_of_class=out_of_class,
        )  # fmt: skip

    def _candidates(self, fixed_CMD: Tensor, units: Units) -> tuple[Tensor, Tensor, int | None]:
        """Where neighbours are sought (Eq. 3), which of them exist, and where the units themselves stand among them."""
        bank = self.bank
        match self.config.density_from:
            case "bank":
                return bank.features_CLD, bank.valid_CL, None
            case "batch":
                return fixed_CMD, units.valid_CM, 0
        return (
            torch.cat([bank.features_CLD, fixed_CMD], dim=1),
            torch.cat([bank.valid_CL, units.valid_CM], dim=1),
            bank.length,
        )

    def _anchors_and_keys(
        self, density_CM: Tensor, units: Units, draws: Draws
    ) -> tuple[Chosen, Chosen]:
        """Eq. 6 and the batch half of Eq. 7."""
        config = self.config
        from_bank = config.keys_from == "both" and config.bank_size > 0
        key_cap = config.positives // 2 if from_bank else config.positives
        drawn_C = units.valid_CM.sum(dim=1)
        if config.unit == "pixel":
            ends_C = end_size(units.reliable_C, drawn_C, config.max_fraction)
            anchors_C, keys_C = ends_C.clamp(max=config.anchors), ends_C.clamp(max=key_cap)
        else:  # a batch holds a handful of class vectors: all are anchors, the denser half are keys
            anchors_C, keys_C = drawn_C, (drawn_C + 1) // 2
        order_CM = ascending(self._basis(density_CM, draws.unit_CM), units.valid_CM)
        return (
            sparse_end(order_CM, units.valid_CM, anchors_C, config.anchors),
            dense_end(order_CM, units.valid_CM, keys_C, key_cap),
        )

    def _bank_keys(self, draws: Draws) -> Chosen:
        """The bank's half of Eq. 7, by the density each feature had when it was inserted."""
        valid_CL = self.bank.valid_CL
        half_C = valid_CL.sum(dim=1) // 2  # clipped, so that keys stay the dense part
        if self.config.keys_from == "batch":
            half_C = torch.zeros_like(half_C)
        order_CL = ascending(self._basis(self.bank.density_CL, draws.bank_CL), valid_CL)
        return dense_end(order_CL, valid_CL, half_C, self.config.positives // 2)

    def _basis(self, density_CM: Tensor, chance_CM: Tensor) -> Tensor:
        """What anchors and keys are the two ends of: density, or chance for the plain contrast."""
        if self.config.sampling == "density":
            return density_CM
        return chance_CM[:, : density_CM.shape[1]]

    def _centre(self, chosen: Selection) -> Float[Tensor, "C D"]:
        """Eq. 8: of the keys of the batch and of those of the bank."""
        keys, bank_keys = chosen.keys, chosen.bank_keys
        of_batch_CSD = take(chosen.units.units_CMD.detach(), keys.index_CM)
        of_bank_CSD = take(self.bank.features_CLD, bank_keys.index_CM)
        return class_centre(
            torch.cat([of_batch_CSD, of_bank_CSD], dim=1),
            torch.cat([keys.valid_CM, bank_keys.valid_CM], dim=1),
        )

    def _negatives(
        self, anchors_CQD: Tensor, anchor_valid_CQ: Tensor, units: Units, draws: Draws
    ) -> Negatives:
        if self.config.negatives_from == "pixels":
            return Negatives(units.others_XRD, units.other_valid_XR)
        return negatives_from_anchors(
            anchors_CQD,
            anchor_valid_CQ,
            units.others_XRD[0],
            units.other_valid_XR[0],
            self.config.negatives,
            draws.anchor_CQ[:, : anchor_valid_CQ.shape[1]],
            draws.background_G[: units.other_valid_XR.shape[1]],
        )

    def _enough_neighbours(self, candidate_valid_CK: Tensor) -> Bool[Tensor, "C"]:
        candidates_C = candidate_valid_CK.sum(dim=1)
        if self.config.sampling == "random":
            return candidates_C >= 0  # nothing asks for the density
        # class vectors are too few for the largest scale; density then clips k
        return candidates_C >= (max(self.config.scales) + 1 if self.config.unit == "pixel" else 2)

    def _insertion(self, chosen: Selection) -> Insertion:
        """The first `bank_insert` units of a class: pixels stand in random order, class vectors are never so many."""
        first = (slice(None), slice(self.config.bank_insert))
        units = chosen.units
        return Insertion(
            units.units_CMD.detach()[first], chosen.density_CM[first], units.valid_CM[first]
        )

    @torch.no_grad()
    def _diagnostics(
        self, chosen: Selection, cosine_CQ: Tensor, log_w_CQ: Tensor, active_C: Tensor
    ) -> dict[str, Tensor]:
        """One number per foreground class each; docs/health.md says what they mean."""
        units, density_CM = chosen.units, chosen.density_CM
        anchors, keys = chosen.anchors, chosen.keys
        filled_C = self.bank.valid_CL.sum(dim=1).float()
        anchor_density_CQ = density_CM.gather(1, anchors.index_CM)
        spread_C = _masked_mean((log_w_CQ.exp() - 1).square(), anchors.valid_CM).sqrt()
        if self.config.positiveness == "none":
            spread_C = spread_C * torch.nan  # w is not used
        key_density_CS = density_CM.gather(1, keys.index_CM)
        return {
            "reliable": units.reliable_C.float(),
            "bank_fill": filled_C / max(self.bank.length, 1),
            "anchors": anchors.valid_CM.sum(dim=1).float() * active_C,
            "density": _masked_mean(density_CM, units.valid_CM),
            "anchor_density": _masked_mean(anchor_density_CQ, anchors.valid_CM),
            "compactness": compactness(units.units_CMD, units.valid_CM),
            "key_density": _masked_mean(key_density_CS, keys.valid_CM),
            "positiveness": _masked_mean(cosine_CQ, anchors.valid_CM),
            "weight_spread": spread_C,
        }


def _active(chosen: Selection, negatives: Negatives) -> Bool[Tensor, "C"]:
    """Which classes have a loss: those with two anchors, a key, a negative and enough neighbours."""
    keyed_C = chosen.keys.valid_CM.any(dim=1) | chosen.bank_keys.valid_CM.any(dim=1)
    return (
        (chosen.anchors.valid_CM.sum(dim=1) >= 2)
        & keyed_C
        & negatives.valid_CR.any(dim=1)
        & chosen.enough_C
    )


def _masked_mean(values_CM: Tensor, valid_CM: Tensor) -> Tensor:
    """Mean over what is valid, nan where nothing is."""
    total_C = (values_CM * valid_CM).sum(dim=1)
    return total_C / valid_CM.sum(dim=1)
