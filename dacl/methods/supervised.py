"""Labelled-only training of one network: the lower bound of every table, and the upper bound with all labels."""

from dacl.losses.supervised import supervised_loss
from dacl.methods.base import Batch, Method, Terms


class Supervised(Method):
    """0.5 (CE + Dice) on the labelled slices; unlabelled slices are not drawn."""

    def losses(self, batch: Batch, step: int) -> Terms:
        """L_sup of network a."""
        outputs = self.forward_networks(batch.images)
        loss = supervised_loss(outputs["a"].logits[: batch.labeled], batch.labels, self.ranks)
        health = self.feature_health(outputs, batch, step) if self.logs(step) else {}
        return Terms(loss, {"supervised": loss.detach()}, {"supervised": 1.0}, health)
