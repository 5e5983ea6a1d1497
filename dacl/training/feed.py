"""What a step sees: labelled and unlabelled slices, or patches of volumes, drawn and augmented."""

from dataclasses import fields

import torch
from torch import Tensor

from dacl.config import Config
from dacl.data.augment import Placement, draw_placements
from dacl.data.crops import draw_crops
from dacl.data.pool import SlicePool
from dacl.data.prepared import PreparedDataset
from dacl.data.sampler import ShuffledStream
from dacl.data.volume_pool import VolumePool
from dacl.methods.base import Batch
from dacl.ranks import ALONE, Ranks


class Feed:
    """The two streams of a run. The unlabelled pool is built without opening a label.

    Args:
        config: batch sizes, image geometry, seed, labelled patients.
        dataset: the prepared data.
        device: where the pixels stay and the batches appear.
        unlabeled: whether the method wants unlabelled images.
        ranks: among whom every batch is shared out: together they see the batch of one process.

    Raises:
        DaclError: `config.labeled` does not fit the split, a case cannot be read, or the ranks cannot share a batch.
    """

    def __init__(
        self,
        config: Config,
        dataset: PreparedDataset,
        device: torch.device,
        *,
        unlabeled: bool,
        ranks: Ranks = ALONE,
    ) -> None:
        self.seed = config.seed
        self.labeled_patients = dataset.labeled(
            config.labeled, order=config.labeled_order, cases=config.labeled_cases
        )
        others = [p for p in dataset.split.train if p not in self.labeled_patients]
        self.unlabeled_patients = tuple(others) if unlabeled else ()
        own = dataset.cases(self.labeled_patients)
        self.labeled_cases = [case for case in own if case.has_label]
        self.unlabeled_cases = dataset.cases(self.unlabeled_patients)
        if unlabeled:  # a frame without a mask of a labelled patient is an unlabelled scan
            self.unlabeled_cases += [case for case in own if not case.has_label]

        optim, image = config.optim, config.image
        self.mirror = image.mirror
        self._share = {"labeled": ranks.share(optim.batch_labeled, "labelled images of a batch")}
        pool = VolumePool if image.dims == 3 else SlicePool
        self.labeled = pool(dataset, self.labeled_cases, image, labels=True, device=device)
        self._labeled_order = ShuffledStream(
            len(self.labeled), optim.batch_labeled, self.seed, "labeled"
        )
        self.unlabeled: SlicePool | VolumePool | None = None
        if self.unlabeled_cases:
            self._share["unlabeled"] = ranks.share(
                optim.batch_unlabeled, "unlabelled images of a batch"
            )
            self.unlabeled = pool(dataset, self.unlabeled_cases, image, labels=False, device=device)
            self._unlabeled_order = ShuffledStream(
                len(self.unlabeled), optim.batch_unlabeled, self.seed, "unlabeled"
            )

    def batch(self, step: int) -> Batch:
        """The batch of step `step`: a function of the seed and the step, so that nothing has to be saved."""
        images, labels = self._patches(self.labeled, self._labeled_order, "labeled", step)
        assert labels is not None
        if self.unlabeled is not None:
            more, _ = self._patches(self.unlabeled, self._unlabeled_order, "unlabeled", step)
            images = torch.cat([images, more])
        return Batch(images, labels)

    def _patches(
        self, pool: SlicePool | VolumePool, order: ShuffledStream, name: str, step: int
    ) -> tuple[Tensor, Tensor | None]:
        index, mine = order.at(step), self._share[name]
        draw = (len(index), self.seed, "augment", name, step)
        if isinstance(pool, VolumePool):
            return pool.patches(index[mine], draw_crops(*draw, mirror=self.mirror)[mine])
        drawn = draw_placements(*draw, mirror=self.mirror)
        placed = Placement(*(getattr(drawn, field.name)[mine] for field in fields(drawn)))
        return pool.patches(index[mine], placed)
