"""Labelled-only training of one network: the lower bound of every table, and the upper bound with all labels."""

from dacl.losses.supervised import supervised_loss
from dacl.methods.base import Batch, Method, Moment, Terms


class Supervised(Method):
    """0.5 (CE + Dice) on the labelled slices; unlabelled slices are not drawn."""

    def weights(self, step: int) -> dict[str, float]:
        """There is nothing to weigh."""
        return {"supervised": 1.0}

    def terms(self, batch: Batch, moment: Moment) -> Terms:
        """L_sup of network a."""
        outputs = self.forward_networks(batch.images)
        loss = supervised_loss(outputs["a"].logits[: batch.labeled], batch.labels, self.ranks)
        health = self.feature_health(outputs, batch, moment) if moment.logged else {}
        return Terms(loss, {"supervised": loss.detach()}, health)
