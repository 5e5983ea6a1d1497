"""Embeddings of chosen pixels: what a network's map holds in the cells they lie in.

Legend: N pixels, B slices, D width of the space, h and w cells of the map.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from dacl.analysis.density.units import choose_space
from dacl.analysis.pixels import CellGrid, Pixels
from dacl.analysis.volume_maps import at_voxels
from dacl.callbacks import OnProgress
from dacl.data.grid import to_network
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.data.volume_grid import image_to_network, network_voxels
from dacl.errors import DaclError
from dacl.inference.slices import STRIDE
from dacl.methods.base import Method
from dacl.methods.density_contrast import DensityContrast
from dacl.training.checkpoint import Trained

SLICES_AT_ONCE = 4
"""More are no faster on a CPU and take memory: of a CT slice 200 MB each."""
EmbeddingSpace = Literal["features", "projection", "logits"]
SPACES: dict[EmbeddingSpace, str] = {
    "features": "decoder map before the last stage, which every method has",
    "projection": "the contrast's projection of that map, each embedding of length 1",
    "logits": "the network's output before the softmax, on its own grid",
}


def require_space(trained: Trained, space: EmbeddingSpace, network: str) -> None:
    """DaclError unless the method has this network, and a projection head where one is asked for."""
    trained.method.require_network(network, mean=False, of=trained.path)
    if space == "projection":
        choose_space(trained, "projection")


def cell_grid(
    trained: Trained, space: EmbeddingSpace, network: str, device: torch.device
) -> CellGrid:
    """The cells of the map that `embed_pixels` reads, found by running the network on an empty image."""
    sides = [2 * STRIDE] * trained.config.image.dims
    image = torch.zeros((1, trained.meta.channels, *sides), device=device)
    with torch.no_grad():
        cells = _Map(trained.method, space, network)(image).shape[-1]
    return CellGrid(trained.config.image, image.shape[-1] // cells)


@torch.no_grad()
def embed_pixels(
    trained: Trained,
    dataset: PreparedDataset,
    pixels: Pixels,
    *,
    space: EmbeddingSpace,
    network: str,
    device: torch.device,
    report: OnProgress = lambda *_: None,
) -> Float[np.ndarray, "N D"]:
    """float32 embeddings of every pixel, in the order of `pixels`.

    Args:
        trained: in evaluation mode on `device`.
        dataset: where the images lie.
        pixels: which.
        space: see `SPACES`.
        network: whose.
        device: where the network is.
        report: told after each case.

    Raises:
        DaclError: embeddings that are not finite.
    """
    grid = cell_grid(trained, space, network, device)
    seen = _Map(trained.method, space, network)
    parts = []
    for number, case in enumerate(pixels.cases):
        report(number, len(pixels.cases), case.id)
        mine = pixels.case_N == number
        if not mine.any():
            continue
        read = _of_volume if trained.config.image.dims == 3 else _of_slices
        image_CZHW, zyx_M3 = dataset.read_image(case.id), pixels.zyx_N3[mine]
        parts.append(read(seen, image_CZHW, case, zyx_M3, grid, device).cpu())
    report(len(pixels.cases), len(pixels.cases), "")
    found_ND = torch.cat(parts)
    if not found_ND.isfinite().all():
        broken = int((~found_ND.isfinite()).any(dim=1).sum())
        raise DaclError(
            f"{trained.path}: {broken} of {len(found_ND)} embeddings are not finite",
            "the run has diverged: take an earlier checkpoint, or train again with a lower --lr",
        )
    return found_ND.numpy()


@dataclass(frozen=True, slots=True)
class _Map:
    """One network's map of a space, and the embedding of its cells."""

    method: Method
    space: EmbeddingSpace
    network: str

    def __call__(self, images: Tensor) -> Tensor:
        if self.space == "logits":
            return self.method.forward_networks(images, (self.network,))[
                self.network
            ].logits.float()
        return self.method.embed(images, self.network)

    def embedding(self, features_MF: Tensor) -> Float[Tensor, "M D"]:
        if self.space != "projection":
            return features_MF
        contrast = self.method.get_submodule(f"contrast.{self.network}")
        assert isinstance(contrast, DensityContrast)
        return normalize(contrast.head(features_MF), dim=1)


def _of_slices(
    seen: _Map,
    image_CZHW: np.ndarray,
    case: CaseInfo,
    zyx_M3: np.ndarray,
    grid: CellGrid,
    device: torch.device,
) -> Float[Tensor, "M D"]:
    z_M, y_M, x_M = zyx_M3.T
    rows_H, columns_W = grid.cells(case.shape_ZHW[1:], case.spacing_mm)
    parts, slices = [], np.unique(z_M)
    for start in range(0, len(slices), SLICES_AT_ONCE):
        block = slices[start : start + SLICES_AT_ONCE]
        images = to_network(image_CZHW[:, block], case.spacing_mm, grid.image, STRIDE)
        map_BDhw = seen(images.to(device))
        # Pixels are sorted by slice, so that blocks joined are in their order.
        here = np.isin(z_M, block)
        at = (np.searchsorted(block, z_M[here]), rows_H[y_M[here]], columns_W[x_M[here]])
        b, y, x = (torch.from_numpy(index).to(device) for index in at)
        parts.append(seen.embedding(map_BDhw[b, :, y, x]))
    return torch.cat(parts)


def _of_volume(
    seen: _Map,
    image_CZHW: np.ndarray,
    case: CaseInfo,
    zyx_M3: np.ndarray,
    grid: CellGrid,
    device: torch.device,
) -> Float[Tensor, "M D"]:
    voxels = network_voxels(case.shape_ZHW, case.spacing_mm, grid.image)
    voxel_M3 = torch.stack([of_axis[at] for of_axis, at in zip(voxels, zyx_M3.T, strict=True)], 1)
    volume_Cdhw = image_to_network(image_CZHW, case.spacing_mm, grid.image)
    return seen.embedding(at_voxels(seen, volume_Cdhw, voxel_M3, grid.image, grid.stride, device))
