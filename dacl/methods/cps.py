"""Cross pseudo supervision (Chen et al., CVPR 2021): row I of the paper's Table 2, and what DACL stands on."""

import torch

from dacl.losses.consistency import cross_pseudo_supervision
from dacl.losses.supervised import supervised_loss
from dacl.methods.base import Batch, Method, Terms
from dacl.networks.unet import UNetOutput


class Cps(Method):
    """Two networks of different initialisation teach each other by hard pseudo-labels: L_sup + lambda_cross L_cross."""

    network_names = ("a", "b")
    uses_unlabeled = True

    def losses(self, batch: Batch, step: int) -> Terms:
        """Eq. 1 without the contrast."""
        return self.co_training(self.forward_networks(batch.images_BCHW), batch)

    def co_training(self, outputs: dict[str, UNetOutput], batch: Batch) -> Terms:
        """L_sup summed over the two networks, L_cross over the configured samples."""
        logits_a, logits_b = outputs["a"].logits_BCHW, outputs["b"].logits_BCHW
        supervised = supervised_loss(logits_a[: batch.labeled], batch.labels_AHW) + supervised_loss(
            logits_b[: batch.labeled], batch.labels_AHW
        )
        start = batch.labeled if self.config.cross.samples == "unlabeled" else 0
        if start < len(logits_a):
            cross = cross_pseudo_supervision(logits_a[start:], logits_b[start:])
        else:  # every slice is labelled: a mean over no pixels would be nan
            cross = torch.zeros_like(supervised)
        return Terms(
            total=supervised + self.config.cross.weight * cross,
            parts={"supervised": supervised.detach(), "cross": cross.detach()},
            weights={"supervised": 1.0, "cross": self.config.cross.weight},
        )
