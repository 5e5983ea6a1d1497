"""DACL: cross pseudo supervision and the soft density-guided contrast, Eq. 1-10 of the paper.

Shape suffixes as in `dacl.contrast`.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dacl.config import Config, ContrastConfig
from dacl.contrast.bank import ClassBank
from dacl.contrast.density import multiscale_density
from dacl.contrast.loss import anchor_losses, contrastive_loss
from dacl.contrast.positiveness import positiveness
from dacl.contrast.prototypes import masked_average_pool, reliable_classes
from dacl.contrast.selection import (
    Chosen,
    Negatives,
    class_centre,
    dense_end,
    negatives_from_anchors,
    random_members,
    sparse_end,
    take,
)
from dacl.losses.ramps import contrast_weight
from dacl.methods.base import Batch, Terms
from dacl.methods.cps import Cps
from dacl.networks.heads import ProjectionHead
from dacl.seeding import stream


class Units(NamedTuple):
    """What is compared: unit vectors of every foreground class, and of the pool of negatives."""

    units_CMD: Float[Tensor, "C M D"]
    valid_CM: Bool[Tensor, "C M"]
    reliable_C: Int[Tensor, "C"]
    """How many reliable units the class had before `sample_cap` cut them."""
    others_XRD: Float[Tensor, "X R D"]
    """`pixels`: out-of-class units of every class (X = C). `anchors`: background units (X = 1)."""
    other_valid_XR: Bool[Tensor, "X R"]


class ContrastTerm(NamedTuple):
    """The contrast of one network."""

    loss: Float[Tensor, ""]
    diagnostics: dict[str, Tensor]
    insertion: tuple[Tensor, Tensor, Tensor]
    """Arguments of ClassBank.insert once the optimiser has stepped."""


class DensityContrast(nn.Module):
    """L_CL of one network: its projection head, its bank, and the path from feature map to loss.

    Args:
        config: the contrast's configuration.
        channels: width F of the decoder map.
        classes: N, background included.
        generator: draws the head's initial weights.
    """

    def __init__(
        self, config: ContrastConfig, channels: int, classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config = config
        self.classes = classes
        self.head = ProjectionHead(channels, config.projection_dim, generator)
        self.bank = ClassBank(classes - 1, config.bank_size, config.projection_dim)

    def forward(
        self,
        features_BFHW: Float[Tensor, "B F H W"],
        classes_BHW: Int[Tensor, "B H W"],
        generator: torch.Generator,
    ) -> ContrastTerm:
        """The loss of this step against the bank as the last step left it."""
        build = self._pixel_units if self.config.unit == "pixel" else self._class_units
        units = build(features_BFHW, classes_BHW, generator)

        fixed_CMD, bank = units.units_CMD.detach(), self.bank
        density_CM = multiscale_density(
            fixed_CMD,
            torch.cat([bank.features_CLD, fixed_CMD], dim=1),
            torch.cat([bank.valid_CL, units.valid_CM], dim=1),
            self.config.scales,
            self_offset=bank.length,
        )
        anchors, keys = self._sparse_and_dense(density_CM, units)
        bank_keys = self._bank_keys()
        centre_CD = class_centre(
            torch.cat(
                [take(fixed_CMD, keys.index_CM), take(bank.features_CLD, bank_keys.index_CM)], dim=1
            ),
            torch.cat([keys.valid_CM, bank_keys.valid_CM], dim=1),
        )
        anchors_CQD = take(units.units_CMD, anchors.index_CM)  # the only units a gradient reaches
        negatives = self._negatives(anchors_CQD, anchors.valid_CM, units, generator)
        cosine_CQ = (anchors_CQD * centre_CD.unsqueeze(1)).sum(dim=2)
        weights_CQ = (
            positiveness(cosine_CQ, anchors.valid_CM, self.config.tau_w)
            if self.config.positiveness == "outside"
            else anchors.valid_CM.to(cosine_CQ.dtype)
        )
        losses_CQ = anchor_losses(
            cosine_CQ, anchors_CQD, negatives.features_CRD, negatives.valid_CR, self.config.tau
        )
        active_C = (
            (anchors.valid_CM.sum(dim=1) >= 2)
            & keys.valid_CM.any(dim=1)
            & negatives.valid_CR.any(dim=1)
            & self._enough_neighbours(units)
        )
        loss = contrastive_loss(losses_CQ, weights_CQ, active_C)

        insert = slice(
            self.config.bank_insert
        )  # units stand in random order: the first are a random subset
        return ContrastTerm(
            loss,
            self._diagnostics(units, density_CM, anchors, keys, cosine_CQ, weights_CQ, active_C),
            (fixed_CMD[:, insert], density_CM[:, insert], units.valid_CM[:, insert]),
        )

    def _pixel_units(
        self, features_BFHW: Tensor, classes_BHW: Tensor, generator: torch.Generator
    ) -> Units:
        """Reliable pixels, drawn first and projected after: the head never sees the whole map."""
        config = self.config
        features_PF = features_BFHW.movedim(1, -1).flatten(0, 2)
        classes_P = classes_BHW.flatten()
        member_NP = classes_P == torch.arange(self.classes, device=classes_P.device).unsqueeze(1)
        own = random_members(member_NP[1:], config.sample_cap, generator)
        if config.negatives_from == "pixels":
            other_member = (classes_P >= 0) & ~member_NP[1:]
            other = random_members(other_member, config.negatives, generator)
        else:
            other = random_members(member_NP[:1], config.background_negatives, generator)

        index_T = torch.cat([own.index_CM.flatten(), other.index_CM.flatten()])
        valid_T = torch.cat([own.valid_CM.flatten(), other.valid_CM.flatten()])
        drawn = valid_T.nonzero().squeeze(1)
        units_TD = features_PF.new_zeros((len(index_T), config.projection_dim), dtype=torch.float32)
        if len(drawn) > 1:  # batch statistics need two
            projected = nn.functional.normalize(self.head(features_PF[index_T[drawn]]), dim=-1)
            units_TD = units_TD.index_copy(0, drawn, projected)
        else:
            units_TD = units_TD + features_PF[:0].sum()  # 0, with a graph
            own, other = (Chosen(c.index_CM, torch.zeros_like(c.valid_CM)) for c in (own, other))
        own_TD, other_TD = units_TD.split([own.index_CM.numel(), other.index_CM.numel()])
        return Units(
            own_TD.unflatten(0, own.index_CM.shape),
            own.valid_CM,
            member_NP[1:].sum(dim=1),
            other_TD.unflatten(0, other.index_CM.shape).detach(),
            other.valid_CM,
        )

    def _class_units(
        self, features_BFHW: Tensor, classes_BHW: Tensor, generator: torch.Generator
    ) -> Units:
        """One vector per image and class (Eq. 2), of the projected map as the paper has it."""
        features_PF = features_BFHW.movedim(1, -1).flatten(0, 2)
        map_BDHW = self.head(features_PF).unflatten(0, classes_BHW.shape).movedim(-1, 1)
        pooled_NBD, present_NB = masked_average_pool(map_BDHW, classes_BHW, self.classes)
        units_NBD = nn.functional.normalize(pooled_NBD, dim=-1)
        if self.config.negatives_from == "anchors":
            others, other_valid = units_NBD[:1], present_NB[:1]
        else:
            classes = range(1, self.classes)
            rest = [[n for n in range(self.classes) if n != own] for own in classes]
            others = torch.stack([units_NBD[indices].flatten(0, 1) for indices in rest])
            other_valid = torch.stack([present_NB[indices].flatten() for indices in rest])
        return Units(
            units_NBD[1:], present_NB[1:], present_NB[1:].sum(dim=1), others.detach(), other_valid
        )

    def _sparse_and_dense(self, density_CM: Tensor, units: Units) -> tuple[Chosen, Chosen]:
        """Eq. 6 and the batch half of Eq. 7."""
        config = self.config
        key_cap = config.positives if config.bank_size == 0 else config.positives // 2
        drawn_C = units.valid_CM.sum(dim=1)
        if config.unit == "pixel":
            # Both ends stay small against the class: with few pixels the caps alone would call half of them sparse.
            share_C = (units.reliable_C * config.max_fraction).long().clamp(min=2)
            ends_C = torch.minimum(share_C, drawn_C // 2)
            anchors_C, keys_C = ends_C.clamp(max=config.anchors), ends_C.clamp(max=key_cap)
        else:  # a batch holds a handful of class vectors: all are anchors, the denser half are keys
            anchors_C, keys_C = drawn_C, (drawn_C + 1) // 2
        return (
            sparse_end(density_CM, units.valid_CM, anchors_C, config.anchors),
            dense_end(density_CM, units.valid_CM, keys_C, key_cap),
        )

    def _bank_keys(self) -> Chosen:
        """The bank's half of Eq. 7, by the density each feature had when it was inserted."""
        valid_CL = self.bank.valid_CL
        half_C = valid_CL.sum(dim=1) // 2  # clipped, so that keys stay the dense part
        return dense_end(self.bank.density_CL, valid_CL, half_C, self.config.positives // 2)

    def _negatives(
        self, anchors_CQD: Tensor, anchor_valid_CQ: Tensor, units: Units, generator: torch.Generator
    ) -> Negatives:
        if self.config.negatives_from == "pixels":
            return Negatives(units.others_XRD, units.other_valid_XR)
        return negatives_from_anchors(
            anchors_CQD,
            anchor_valid_CQ,
            units.others_XRD[0],
            units.other_valid_XR[0],
            self.config.negatives,
            generator,
        )

    def _enough_neighbours(self, units: Units) -> Bool[Tensor, "C"]:
        candidates_C = self.bank.valid_CL.sum(dim=1) + units.valid_CM.sum(dim=1)
        # class vectors are too few for the largest scale; density then clips k
        needed = max(self.config.scales) + 1 if self.config.unit == "pixel" else 2
        return candidates_C >= needed

    def _diagnostics(
        self,
        units: Units,
        density_CM: Tensor,
        anchors: Chosen,
        keys: Chosen,
        cosine_CQ: Tensor,
        weights_CQ: Tensor,
        active_C: Tensor,
    ) -> dict[str, Tensor]:
        filled_C = self.bank.valid_CL.sum(dim=1).float()
        return {
            "reliable": units.reliable_C.float(),
            "bank_fill": filled_C / max(self.bank.length, 1),
            "anchors": anchors.valid_CM.sum(dim=1).float() * active_C,
            "density": _masked_mean(density_CM, units.valid_CM),
            "anchor_density": _masked_mean(
                density_CM.gather(1, anchors.index_CM), anchors.valid_CM
            ),
            "key_density": _masked_mean(density_CM.gather(1, keys.index_CM), keys.valid_CM),
            "positiveness": _masked_mean(cosine_CQ.detach(), anchors.valid_CM),
            "weight_spread": _masked_mean((weights_CQ - 1).square(), anchors.valid_CM).sqrt(),
        }


class Dacl(Cps):
    """L_sup + lambda_cross L_cross + lambda_CL(t) L_CL, L_CL the mean over the two networks."""

    def __init__(self, config: Config, channels: int, classes: int) -> None:
        super().__init__(config, channels, classes)
        self.contrast = nn.ModuleDict(
            {
                name: DensityContrast(
                    config.contrast,
                    2 * config.network.width,
                    classes,
                    stream(config.seed, "head", name),
                )
                for name in self.network_names
            }
        )
        self._insertions: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def losses(self, batch: Batch, step: int) -> Terms:
        """Eq. 1."""
        outputs = self.forward_networks(batch.images_BCHW)
        terms = self.co_training(outputs, batch)
        weight = contrast_weight(
            step,
            self.config.optim.steps,
            ceiling=self.config.contrast.weight,
            warmup_fraction=self.config.contrast.warmup_fraction,
        )
        results: dict[str, ContrastTerm] = {}
        with torch.set_grad_enabled(weight > 0):  # without weight the bank fills, nothing else
            for name, partner in (("a", "b"), ("b", "a")):
                features = outputs[name].features
                stride = batch.images_BCHW.shape[-1] // features.shape[-1]
                with torch.no_grad():
                    grid = (..., slice(None, None, stride), slice(None, None, stride))
                    classes_BHW = reliable_classes(
                        batch.labels_AHW[grid],
                        outputs[partner].logits_BCHW[grid].float().softmax(dim=1),
                        self.config.contrast.phi,
                    )
                generator = stream(self.config.seed, "contrast", name, step, device=features.device)
                results[name] = self.contrast[name](features, classes_BHW, generator)
        self._insertions = {name: result.insertion for name, result in results.items()}
        contrast = torch.stack([result.loss for result in results.values()]).mean()
        return Terms(
            total=terms.total + weight * contrast if weight > 0 else terms.total,
            parts=terms.parts | {"contrast": contrast.detach()},
            weights=terms.weights | {"contrast": weight},
            diagnostics={
                key: torch.stack([result.diagnostics[key] for result in results.values()]).mean(
                    dim=0
                )
                for key in results["a"].diagnostics
            },
        )

    def after_step(self, step: int) -> None:
        """Feed the banks with what the step saw."""
        for name, insertion in self._insertions.items():
            contrast = self.contrast[name]
            assert isinstance(contrast, DensityContrast)
            contrast.bank.insert(*insertion)
        self._insertions = {}


def _masked_mean(values_CM: Tensor, valid_CM: Tensor) -> Tensor:
    total_C = (values_CM * valid_CM).sum(dim=1)
    return total_C / valid_CM.sum(dim=1).clamp(min=1)
