"""Eq. 3-5: the density of a feature is its mean cosine to its nearest neighbours, averaged over several scales."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from dacl.contrast import shapes

ROWS = 1024  # units scored at a time: bounds the similarity block at ROWS x K per class
SHORT = 512  # columns that numpy sorts without a partition


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
    classes, width = units_CMD.shape[:2]
    own_M = None
    if self_offset is not None:
        own_M = torch.arange(self_offset, self_offset + width, device=units_CMD.device)
    if not shapes.can_look(units_CMD):
        return _nearest_means(units_CMD, candidates_CKD, candidate_valid_CK, own_M, scales)
    # Every class at its own size: of 13 organs in a patch one fills its row and most a tenth.
    if valid_CM is None:
        valid_CM = candidate_valid_CK.new_ones(classes, width)
    density_CM = units_CMD.new_zeros(classes, width)
    for c in range(classes):
        rows, columns = valid_CM[c].nonzero()[:, 0], candidate_valid_CK[c].nonzero()[:, 0]
        own = None
        if own_M is not None:  # where it went, or nowhere
            places_K = torch.full_like(candidate_valid_CK[c], len(columns), dtype=torch.long)
            places_K[columns] = torch.arange(len(columns))
            own = places_K[own_M[rows]]
        if len(rows) and len(columns):
            units_mD = units_CMD[c].index_select(0, rows)
            candidates_kD = candidates_CKD[c].index_select(0, columns)
            density_CM[c, rows] = _nearest_means(
                units_mD[None], candidates_kD[None], None, own, scales
            )[0]
    return density_CM


def _nearest_means(
    units_CMD: Float[Tensor, "C M D"],
    candidates_CKD: Float[Tensor, "C K D"],
    valid_CK: Bool[Tensor, "C K"] | None,
    own_M: Int[Tensor, "M"] | None,
    scales: tuple[int, ...],
) -> Float[Tensor, "C M"]:
    """The densities of whole tensors.

    Args:
        units_CMD: as above.
        candidates_CKD: as above.
        valid_CK: which candidates exist; None: all.
        own_M: the column where a unit itself stands, K where it stands in none; None: nowhere.
        scales: as above.
    """
    classes, width, _ = units_CMD.shape
    if valid_CK is None:
        existing_C = torch.full((classes,), candidates_CKD.shape[1], device=units_CMD.device)
    else:
        existing_C = valid_CK.sum(dim=1)
    available_C = existing_C - int(own_M is not None)
    largest = min(max(scales), candidates_CKD.shape[1])
    # one sorted top-k serves every scale: the k nearest are a prefix of the k_max nearest
    k_CZ = torch.stack([available_C.clamp(min=1, max=min(k, largest)) for k in scales], dim=1)
    blocks = []
    for start in range(0, width, ROWS):
        block_CmD = units_CMD[:, start : start + ROWS]
        sim_CmK = _cosines(block_CmD, candidates_CKD)
        if valid_CK is not None:
            sim_CmK.masked_fill_(~valid_CK.unsqueeze(1), -torch.inf)
        if own_M is not None:
            own_Cm1 = own_M[start : start + ROWS].expand(classes, -1).unsqueeze(2)
            _erase(sim_CmK, own_Cm1)
        prefix_sums = largest_sorted(sim_CmK, largest).cumsum(dim=2)
        index_CmZ = (k_CZ - 1).unsqueeze(1).expand(-1, block_CmD.shape[1], -1)
        means_CmZ = prefix_sums.gather(2, index_CmZ) / k_CZ.unsqueeze(1)
        blocks.append(means_CmZ.mean(dim=2))
    density_CM = torch.cat(blocks, dim=1) if blocks else units_CMD.new_zeros(classes, width)
    return density_CM.masked_fill((available_C < 1).unsqueeze(1), 0.0)


def _cosines(
    units_CMD: Float[Tensor, "C M D"], candidates_CKD: Float[Tensor, "C K D"]
) -> Float[Tensor, "C M K"]:
    """Products of unit vectors."""
    classes, width, _ = units_CMD.shape
    if classes > 1 or width < ROWS or not shapes.can_look(units_CMD):
        return units_CMD @ candidates_CKD.transpose(1, 2)
    # A row of pixels through a 1x1 convolution: with several threads PyTorch asks oneDNN for it, which was faster than
    # MKL's product on the CPUs measured. It prepares itself for each new shape, and a whole block has always the same.
    channels_last_1D1M = units_CMD.unsqueeze(1).permute(0, 3, 1, 2)
    products_1K1M = F.conv2d(channels_last_1D1M, candidates_CKD[0, :, :, None, None])
    return products_1K1M.squeeze(2).transpose(1, 2)


def _erase(sim_CMK: Float[Tensor, "C M K"], column_CM1: Int[Tensor, "C M 1"]) -> None:
    """Make one column of each row -inf, in place; a column K that is none leaves the row alone."""
    existing_CM1 = column_CM1.clamp(max=sim_CMK.shape[2] - 1)
    kept_CM1 = sim_CMK.gather(2, existing_CM1)
    erased_CM1 = kept_CM1.masked_fill(column_CM1 == existing_CM1, -torch.inf)
    sim_CMK.scatter_(2, existing_CM1, erased_CM1)


def largest_sorted(values_CMK: Float[Tensor, "C M K"], k: int) -> Float[Tensor, "C M k"]:
    """The k largest of every row, largest first: the values of `topk`. May reorder `values_CMK` on the CPU."""
    if not shapes.can_look(values_CMK):
        return values_CMK.topk(k, dim=2).values
    # numpy sorts short rows in vector registers; torch's topk took six tenths of the contrast
    rows_RE = _eligible(values_CMK.flatten(0, 1), k).numpy()
    if rows_RE.shape[1] > SHORT:
        rows_RE.partition(rows_RE.shape[1] - k, axis=1)
        rows_RE = rows_RE[:, rows_RE.shape[1] - k :]
    largest_Rk = np.sort(rows_RE, axis=1)[:, : -k - 1 : -1].copy()
    return torch.from_numpy(largest_Rk).unflatten(0, values_CMK.shape[:2])


def _eligible(values_RK: Float[Tensor, "R K"], k: int) -> Float[Tensor, "R E"]:
    """Of every row the values among which its k largest are: those of the k groups of columns whose maxima are largest.

    So few values that sorting them is cheaper than a partition of the row, whose vector instructions some processors
    (Zen 4) carry out one by one.
    """
    columns = values_RK.shape[1]
    # so large that there are about as many maxima as values of the groups taken
    size = round((columns / k) ** 0.5)
    groups = columns // size if size > 1 else 0
    if groups <= k:
        return values_RK
    grouped_RSG = values_RK[:, : size * groups].unflatten(1, (size, groups))
    maxima_RG = grouped_RSG.amax(dim=1).numpy()
    kth_R1 = np.sort(maxima_RG, axis=1)[:, [groups - k]]
    taken = np.flatnonzero(maxima_RG >= kth_R1)
    if len(taken) != len(maxima_RG) * k:  # equal maxima, or nan
        return values_RK
    taken_Rk = taken.reshape(-1, k) - groups * np.arange(len(maxima_RG))[:, None]
    taken_R1k = torch.from_numpy(taken_Rk).unsqueeze(1)
    values_RE = grouped_RSG.gather(2, taken_R1k.expand(-1, size, -1)).flatten(1)
    return torch.cat([values_RE, values_RK[:, size * groups :]], dim=1)
