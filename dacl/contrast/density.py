"""Eq. 3-5: the density of a feature is its mean cosine to its nearest neighbours, averaged over several scales."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ROWS = 1024  # units scored at a time: bounds the similarity block at ROWS x K per class
# Rows and columns that a class is cut down to: in tiles every value is computed as in the padded block, to the bit.
TILE = 128


@torch.no_grad()
def multiscale_density(
    units_CMD: Float[Tensor, "C M D"],
    candidates_CKD: Float[Tensor, "C K D"],
    candidate_valid_CK: Bool[Tensor, "C K"],
    scales: tuple[int, ...],
    *,
    self_offset: int | None = None,
    valid_CM: Bool[Tensor, "C M"] | None = None,
) -> Float[Tensor, "C M"]:
    """d_v of every unit, in [-1, 1].

    Args:
        units_CMD: unit vectors whose density is asked for; padded rows get a value that means nothing.
        candidates_CKD: unit vectors among which neighbours are sought, G_n u V_n.
        candidate_valid_CK: which candidates exist.
        scales: k_1 < ... < k_n; a scale beyond what exists uses all there are.
        self_offset: candidate `self_offset + i` is unit i itself and is not its own neighbour (otherwise one of
            the k is always the point itself, with cosine 1). None when the units are not among the candidates.
        valid_CM: which units exist, where some are padding.

    Returns:
        The mean over scales of the mean cosine to the k nearest; 0 for a class without neighbours.
    """
    if units_CMD.device.type != "cpu":
        return _padded(units_CMD, candidates_CKD, candidate_valid_CK, scales, self_offset)
    # No device to wait for: every class at its own size. Of 13 organs in a patch one fills its row and most a tenth.
    density_CM = units_CMD.new_zeros(units_CMD.shape[:2])
    for c in range(len(units_CMD)):
        rows = units_CMD.shape[1] if valid_CM is None else _extent(valid_CM[c])
        columns = _extent(candidate_valid_CK[c])
        if rows and columns:
            density_CM[c : c + 1, :rows] = _padded(
                units_CMD[c : c + 1, :rows],
                candidates_CKD[c : c + 1, :columns],
                candidate_valid_CK[c : c + 1, :columns],
                scales,
                self_offset,
            )
    return density_CM


def _extent(valid_M: Bool[Tensor, "M"]) -> int:
    """What to keep of a class's row: up to the last that is valid, in whole TILEs."""
    places = valid_M.nonzero()
    if not len(places):
        return 0
    return min(-(-(int(places[-1]) + 1) // TILE) * TILE, len(valid_M))


def _padded(
    units_CMD: Tensor,
    candidates_CKD: Tensor,
    candidate_valid_CK: Tensor,
    scales: tuple[int, ...],
    self_offset: int | None,
) -> Float[Tensor, "C M"]:
    available_C = candidate_valid_CK.sum(dim=1) - (0 if self_offset is None else 1)
    largest = min(max(scales), candidates_CKD.shape[1])
    # one sorted top-k serves every scale: the k nearest are a prefix of the k_max nearest
    k_CZ = torch.stack([available_C.clamp(min=1, max=min(k, largest)) for k in scales], dim=1)
    blocks = []
    for start in range(0, units_CMD.shape[1], ROWS):
        block_CmD = units_CMD[:, start : start + ROWS]
        sim_CmK = block_CmD @ candidates_CKD.transpose(1, 2)
        sim_CmK.masked_fill_(~candidate_valid_CK.unsqueeze(1), -torch.inf)
        if self_offset is not None:
            sim_CmK.diagonal(offset=self_offset + start, dim1=1, dim2=2).fill_(-torch.inf)
        nearest = sim_CmK.topk(largest, dim=2, sorted=True).values
        prefix_sums = nearest.cumsum(dim=2)
        index_CmZ = (k_CZ - 1).unsqueeze(1).expand(-1, block_CmD.shape[1], -1)
        means_CmZ = prefix_sums.gather(2, index_CmZ) / k_CZ.unsqueeze(1)
        blocks.append(means_CmZ.mean(dim=2))
    density_CM = torch.cat(blocks, dim=1) if blocks else units_CMD.new_zeros(units_CMD.shape[:2])
    return density_CM.masked_fill((available_C < 1).unsqueeze(1), 0.0)
