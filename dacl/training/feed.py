"""What a step sees: labelled and unlabelled slices, or patches of volumes, drawn and augmented."""

import torch
from torch import Tensor

from dacl.config import Config
from dacl.data.augment import draw_placements
from dacl.data.crops import draw_crops
from dacl.data.pool import SlicePool
from dacl.data.prepared import PreparedDataset
from dacl.data.sampler import ShuffledStream
from dacl.data.volume_pool import VolumePool
from dacl.methods.base import Batch


class Feed:
    """The two streams of a run. The unlabelled pool is built without opening a label.

    Args:
        config: batch sizes, image geometry, seed, labelled patients.
        dataset: the prepared data.
        device: where the pixels stay and the batches appear.
        unlabeled: whether the method wants unlabelled images.

    Raises:
        DaclError: `config.labeled` does not fit the split, or a case cannot be read.
    """

    def __init__(
        self, config: Config, dataset: PreparedDataset, device: torch.device, *, unlabeled: bool
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
        pool = VolumePool if image.dims == 3 else SlicePool
        self.labeled = pool(dataset, self.labeled_cases, image, labels=True, device=device)
        self._labeled_order = ShuffledStream(
            len(self.labeled), optim.batch_labeled, self.seed, "labeled"
        )
        self.unlabeled: SlicePool | VolumePool | None = None
        if self.unlabeled_cases:
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
        index = order.at(step)
        draw = (len(index), self.seed, "augment", name, step)
        if isinstance(pool, VolumePool):
            return pool.patches(index, draw_crops(*draw, mirror=self.mirror))
        return pool.patches(index, draw_placements(*draw, mirror=self.mirror))
