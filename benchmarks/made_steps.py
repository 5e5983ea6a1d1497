"""Methods and batches of a given size, as the paper trains them."""

from typing import NamedTuple

import torch
from torch import Tensor

from dacl.config import Config, resolve
from dacl.contrast.bank import ClassBank
from dacl.contrast.prototypes import at_stride
from dacl.methods import METHODS, Batch, Method
from dacl.methods.dacl import Dacl
from dacl.methods.density_contrast import DensityContrast
from dacl.networks.output import NetworkOutput, SegmentationNetwork


class Size(NamedTuple):
    """A batch, half of it labelled."""

    images: int
    side: int
    classes: int = 4
    dims: int = 2

    def __str__(self) -> str:
        return f"{self.images} x {'x'.join([str(self.side)] * self.dims)}, {self.classes} classes"


class LateDacl(Dacl):
    """DACL as it is when a run is well on: full banks, and networks sure of every pixel.

    An untrained network is sure of none. What it says is computed as ever, and then replaced by the annotation of the
    labelled half, which the other half of `batch_of` shows as well.
    """

    def __init__(self, config: Config, channels: int, classes: int) -> None:
        super().__init__(config, channels, classes)
        for contrast in self.contrast.values():
            assert isinstance(contrast, DensityContrast)
            _fill(contrast.bank)

    def reliable(
        self, name: str, outputs: dict[str, NetworkOutput], batch: Batch, step: int
    ) -> Tensor:
        """The annotation, everywhere."""
        said = super().reliable(name, outputs, batch, step)
        axes = batch.labels.ndim - 1
        labels = batch.labels.repeat(len(said) // batch.labeled, *[1] * axes)
        return at_stride(labels, SegmentationNetwork.feature_stride, axes)


METHODS_LATE: dict[str, type[Method]] = {**METHODS, "dacl": LateDacl}


def method_of(name: str, size: Size) -> Method:
    """The method at the paper's settings on batches of that size; DACL as late in a run."""
    config = resolve(
        "paper",
        {
            "method": name,
            "image": {"dims": size.dims, "patch_size": size.side, "patch_depth": size.side},
            "optim": {"batch_labeled": size.images // 2, "batch_unlabeled": size.images // 2},
            "network": {"width": 16},
        },
    )
    return METHODS_LATE[name](config, 1, size.classes)


def batch_of(size: Size) -> Batch:
    """Noise about labels that are balls of many sizes, so that every class has reliable pixels as organs have."""
    generator = torch.Generator().manual_seed(0)
    axes = torch.meshgrid(*[torch.linspace(0, 1, size.side)] * size.dims, indexing="ij")
    grid = torch.stack(axes)
    labels = torch.zeros([size.side] * size.dims, dtype=torch.long)
    for n in range(1, size.classes):
        centre = torch.rand(size.dims, generator=generator).reshape(-1, *[1] * size.dims)
        distance = (grid - centre).square().sum(dim=0).sqrt()
        labels[distance < 0.05 + 0.1 * torch.rand((), generator=generator)] = n
    labels = labels.expand(size.images // 2, *labels.shape).contiguous()
    shape = [size.side] * size.dims
    images = torch.randn(size.images, 1, *shape, generator=generator)
    images[: len(labels), 0] += labels
    return Batch(images, labels)


def _fill(bank: ClassBank) -> None:
    shape = bank.features_CLD.shape
    units = torch.nn.functional.normalize(torch.randn(shape), dim=-1)
    bank.insert(units, torch.rand(shape[:2]), torch.ones(shape[:2], dtype=torch.bool))
