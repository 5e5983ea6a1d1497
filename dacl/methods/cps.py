"""Cross pseudo supervision (Chen et al., CVPR 2021): row I of the paper's Table 2, and what DACL stands on."""

import torch
from torch import Tensor

from dacl.losses.consistency import cross_pseudo_supervision
from dacl.losses.ramps import scheduled
from dacl.losses.supervised import supervised_loss
from dacl.methods.base import Batch, Method, Moment, Terms
from dacl.networks.output import NetworkOutput


class Cps(Method):
    """Two networks of different initialisation teach each other by hard pseudo-labels: L_sup + lambda_cross L_cross."""

    network_names = ("a", "b")
    uses_unlabeled = True

    def weights(self, step: int) -> dict[str, float]:
        """lambda_cross, constant or ramped up."""
        cross = self.config.cross
        ramped = scheduled(cross.schedule, cross.weight, step, self.config.optim.steps)
        return {"supervised": 1.0, "cross": ramped}

    def terms(self, batch: Batch, moment: Moment) -> Terms:
        """Eq. 1 without the contrast."""
        return self.co_training(self.forward_networks(batch.images), batch, moment)

    def co_training(self, outputs: dict[str, NetworkOutput], batch: Batch, moment: Moment) -> Terms:
        """L_sup summed over the two networks, L_cross over the configured samples."""
        logits_a, logits_b = outputs["a"].logits, outputs["b"].logits
        supervised = supervised_loss(
            logits_a[: batch.labeled], batch.labels, self.ranks
        ) + supervised_loss(logits_b[: batch.labeled], batch.labels, self.ranks)
        start = batch.labeled if self.config.cross.samples == "unlabeled" else 0
        if start < len(logits_a):
            disagreement = cross_pseudo_supervision(logits_a[start:], logits_b[start:])
        else:  # every slice is labelled: a mean over no pixels would be nan
            disagreement = torch.zeros_like(supervised)
        health = self._co_training_health(outputs, batch, moment) if moment.logged else {}
        return Terms(
            total=supervised + moment.weights["cross"] * disagreement,
            parts={"supervised": supervised.detach(), "cross": disagreement.detach()},
            diagnostics=health,
        )

    @torch.no_grad()
    def _co_training_health(
        self, outputs: dict[str, NetworkOutput], batch: Batch, moment: Moment
    ) -> dict[str, Tensor]:
        """Per foreground class: `feature_health`, of its own unlabelled slices, nan where a network finds none.

        `confident`: share of the pixels called so with probability above phi, mean of the networks. `agreement`: Dice
        between the two networks' predictions.
        """
        predicted, confident = [], []
        classes_C1 = torch.arange(1, self.classes, device=batch.images.device).unsqueeze(1)
        for output in outputs.values():
            probs = output.logits[batch.labeled :].float().softmax(dim=1)
            confidence, winner = (x.flatten() for x in probs.max(dim=1))
            predicted.append(winner == classes_C1)
            sure_C = (predicted[-1] & (confidence > self.config.contrast.phi)).sum(dim=1)
            confident.append(sure_C / predicted[-1].sum(dim=1))
        a_CP, b_CP = predicted
        return self.feature_health(outputs, batch, moment) | {
            "confident": torch.stack(confident).mean(dim=0),
            "agreement": 2 * (a_CP & b_CP).sum(dim=1) / (a_CP.sum(dim=1) + b_CP.sum(dim=1)),
        }
