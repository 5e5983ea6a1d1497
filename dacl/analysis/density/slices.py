"""Densities of the pixels of one slice, on the scan's own grid: where on the anatomy the sparse fringe lies.

Legend: H and W pixels of the scan, N classes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch.nn.functional import normalize

from dacl.analysis.density.units import Space, as_contrast
from dacl.analysis.volume_maps import at_voxels
from dacl.contrast.density import multiscale_density
from dacl.contrast.prototypes import at_stride
from dacl.contrast.selection import ascending, end_size, sparse_end
from dacl.data.case import SpacingMm
from dacl.data.grid import network_pixels, to_native_confident, to_network
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.data.volume_grid import image_to_network, network_voxels
from dacl.errors import DaclError
from dacl.inference.slices import STRIDE
from dacl.inference.volumes import probabilities
from dacl.methods.dacl import Dacl
from dacl.methods.density_contrast import DensityContrast
from dacl.networks.output import SegmentationNetwork
from dacl.training.checkpoint import Trained


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceDensity:
    """One slice of a case as the network sees it."""

    case: str
    z: int
    """From 0."""
    spacing_mm: SpacingMm | None
    image_HW: Float[np.ndarray, "H W"]
    truth_HW: Integer[np.ndarray, "H W"]
    predicted_HW: Integer[np.ndarray, "H W"]
    density_HW: Float[np.ndarray, "H W"]
    """Of every pixel among the units of the class it is predicted to be; nan on background."""
    anchor_HW: Bool[np.ndarray, "H W"]
    """Pixels at the sparse end of their class (Eq. 6), of those with probability above phi."""

    def summary(self) -> dict[str, int]:
        """Anchor pixels, pixels of the predicted foreground, and how many of each are of another class in truth."""
        wrong_HW = self.predicted_HW != self.truth_HW
        predicted_HW = self.predicted_HW > 0
        return {
            "anchors": int(self.anchor_HW.sum()),
            "wrong_anchors": int((self.anchor_HW & wrong_HW).sum()),
            "predicted": int(predicted_HW.sum()),
            "wrong_predicted": int((predicted_HW & wrong_HW).sum()),
        }


def choose_slice(
    dataset: PreparedDataset, cases: list[CaseInfo], case_id: str | None, z: int | None
) -> tuple[CaseInfo, int]:
    """The case and slice asked for; without, the middle case, and the middle one of its slices with every class it has.

    Args:
        dataset: where they lie.
        cases: labelled ones of the split.
        case_id: of the dataset, or None.
        z: from 0, or None.

    Raises:
        DaclError: no such labelled case of the split, or no such slice.
    """
    by_id = {case.id: case for case in cases}
    if case_id is not None and case_id not in by_id:
        raise DaclError(
            f"{case_id!r} is no labelled case of the split",
            f"its cases: {', '.join(list(by_id)[:6])}{', ...' if len(by_id) > 6 else ''}",
        )
    case = cases[len(cases) // 2] if case_id is None else by_id[case_id]
    truth_ZHW = dataset.read_label(case.id)
    if z is None:
        classes = np.array([len(np.unique(truth_HW)) for truth_HW in truth_ZHW])
        fullest = np.flatnonzero(classes == classes.max())
        z = int(fullest[len(fullest) // 2])
    if not 0 <= z < len(truth_ZHW):
        raise DaclError(
            f"{case.id} has no slice {z + 1}", f"choose --slice from 1 to {len(truth_ZHW)}"
        )
    return case, z


@torch.no_grad()
def slice_density(
    trained: Trained,
    dataset: PreparedDataset,
    case: CaseInfo,
    z: int,
    *,
    space: Space,
    network: str,
    device: torch.device,
) -> SliceDensity:
    """Predict one slice, and the density of each pixel among the bank and the slice's pixels of its predicted class.

    Of the two, those in which the run seeks neighbours (`contrast.density_from`); anchors are those of Eq. 6, even of a
    run that draws its anchors at random.
    """
    image_CZHW, phi = dataset.read_image(case.id), trained.config.contrast.phi
    seen = as_contrast(trained, space).to(device).eval()
    look = _cells_of_volume if trained.config.image.dims == 3 else _cells_of_slice
    features_FHW, probs_NHW, predicted_HW, at = look(seen, image_CZHW, case, z, network, device)
    confidence_HW, class_HW = probs_NHW.max(dim=0)
    contrast = seen.contrast[network]
    assert isinstance(contrast, DensityContrast)
    # At a border a pixel may be predicted to be of another class than the cell of the decoder map that it lies in.
    shown_NHW = torch.zeros((seen.classes, *class_HW.shape), dtype=torch.bool)
    shown_NHW[predicted_HW.long(), at[0], at[1]] = True
    density_NHW, anchor_HW = _densities(
        contrast, features_FHW, class_HW, confidence_HW > phi, shown_NHW.to(device)
    )
    return SliceDensity(
        case=case.id,
        z=z,
        spacing_mm=case.spacing_mm,
        image_HW=image_CZHW[0, z],
        truth_HW=dataset.read_label(case.id)[z],
        predicted_HW=predicted_HW.numpy(),
        density_HW=density_NHW.cpu()[predicted_HW.long(), at[0], at[1]].numpy(),
        anchor_HW=(anchor_HW.cpu()[at] & (class_HW.cpu()[at] == predicted_HW)).numpy(),
    )


class _Cells(NamedTuple):
    """What a network says of a slice: on the cells of its decoder map, and on the scan's own grid."""

    features_FHW: torch.Tensor
    probs_NHW: torch.Tensor
    """At the pixel of the network's grid that stands for the cell."""
    predicted_HW: torch.Tensor
    """Class indices on the scan's own grid, on the CPU."""
    at: tuple[torch.Tensor, torch.Tensor]
    """Row and column of the cell that each row and column of the scan lies in, (H, 1) and (1, W)."""


def _cells_of_slice(
    seen: Dacl, image_CZHW: np.ndarray, case: CaseInfo, z: int, network: str, device: torch.device
) -> _Cells:
    image, shape_HW = seen.config.image, case.shape_ZHW[1:]
    inputs = to_network(image_CZHW[:, z : z + 1], case.spacing_mm, image, STRIDE).to(device)
    output = seen.forward_networks(inputs)[network]
    probs_BNHW = output.logits.float().softmax(dim=1)
    stride = inputs.shape[-1] // output.features.shape[-1]
    rows_H, columns_W = network_pixels(shape_HW, case.spacing_mm, image)
    native, _ = to_native_confident(
        probs_BNHW, shape_HW, case.spacing_mm, image, seen.config.contrast.phi
    )
    return _Cells(
        output.features[0],
        probs_BNHW[0, :, ::stride, ::stride],
        native[0].cpu(),
        (rows_H[:, None] // stride, columns_W[None, :] // stride),
    )


def _cells_of_volume(
    seen: Dacl, image_CZHW: np.ndarray, case: CaseInfo, z: int, network: str, device: torch.device
) -> _Cells:
    """The layer of cells that the slice lies in, each cell from the window in which it lies most centrally."""
    image, stride = seen.config.image, SegmentationNetwork.feature_stride
    volume_Cdhw = image_to_network(image_CZHW, case.spacing_mm, image)
    slices_Z, rows_H, columns_W = network_voxels(case.shape_ZHW, case.spacing_mm, image)
    plane = [torch.arange(0, extent, stride) for extent in volume_Cdhw.shape[2:]]
    layer = slices_Z[z : z + 1] // stride * stride
    cells_M3 = torch.cartesian_prod(layer, *plane)

    def logits_and_features(windows: torch.Tensor) -> torch.Tensor:
        output = seen.forward_networks(windows, (network,))[network]
        logits = at_stride(output.logits, stride, 3)
        return torch.cat([logits.float(), output.features.float()], dim=1)

    found_MX = at_voxels(logits_and_features, volume_Cdhw, cells_M3, image, stride, device)
    found_XHW = found_MX.T.unflatten(1, (len(plane[0]), len(plane[1])))
    for some, probs in probabilities(seen, image_CZHW, case.spacing_mm, image, device):
        if some.start <= z < some.stop:
            predicted_HW = probs[network][:, z - some.start].max(dim=0).indices.cpu()
            break
    return _Cells(
        found_XHW[seen.classes :],
        found_XHW[: seen.classes].softmax(dim=0),
        predicted_HW,
        (rows_H[:, None] // stride, columns_W[None, :] // stride),
    )


def _densities(
    contrast: DensityContrast,
    features_FHW: torch.Tensor,
    class_HW: torch.Tensor,
    sure_HW: torch.Tensor,
    shown_NHW: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """On the grid of the decoder map, density of every cell among the units of each class, and which are anchors.

    The units of a class are the cells predicted to be of it. Other cells of which a pixel is shown as of the class are
    held against those units; all others, and background, are nan.
    """
    config, bank = contrast.config, contrast.bank
    density_NHW = torch.full(shown_NHW.shape, torch.nan, device=class_HW.device)
    anchor_HW = torch.zeros_like(class_HW, dtype=torch.bool)
    for n in range(1, len(shown_NHW)):
        mine_HW = class_HW == n
        others_HW = shown_NHW[n] & ~mine_HW
        if not (mine_HW | others_HW).any():
            continue
        units_1MD, others_1MD = (
            normalize(contrast.head(features_FHW.movedim(0, -1)[cells_HW].float()), dim=-1)[None]
            for cells_HW in (mine_HW, others_HW)
        )
        everywhere_1KD, there_1K = _neighbours(contrast, units_1MD, n)
        density_1M = multiscale_density(
            units_1MD, everywhere_1KD, there_1K, config.scales,
            self_offset=None if config.density_from == "bank" else bank.length,
        )  # fmt: skip
        density_NHW[n][mine_HW] = density_1M[0]
        if there_1K.any():
            density_NHW[n][others_HW] = multiscale_density(
                others_1MD, everywhere_1KD, there_1K, config.scales
            )[0]
        if mine_HW.any():
            anchor_HW[mine_HW] = _sparse(density_1M, sure_HW[mine_HW][None], contrast)
    return density_NHW, anchor_HW


def _neighbours(
    contrast: DensityContrast, units_1MD: torch.Tensor, n: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. 3: the bank's rows of class n and then the units, and which of them this run seeks neighbours among."""
    sought, bank = contrast.config.density_from, contrast.bank
    everywhere_1KD = torch.cat([bank.features_CLD[n - 1][None], units_1MD], dim=1)
    in_bank_1L = bank.valid_CL[n - 1][None] & (sought != "batch")
    in_slice_1M = torch.full(units_1MD.shape[:2], sought != "bank", device=units_1MD.device)
    return everywhere_1KD, torch.cat([in_bank_1L, in_slice_1M], dim=1)


def _sparse(
    density_1M: torch.Tensor, sure_1M: torch.Tensor, contrast: DensityContrast
) -> torch.Tensor:
    """Which units Eq. 6 takes as anchors: as many as a batch of them would give."""
    config = contrast.config
    sure_1 = sure_1M.sum(dim=1)
    end_1 = end_size(sure_1, sure_1, config.max_fraction)
    chosen = sparse_end(ascending(density_1M, sure_1M), sure_1M, end_1, config.anchors)
    marks_M = torch.zeros_like(sure_1M[0])
    marks_M[chosen.index_CM[0][chosen.valid_CM[0]]] = True
    return marks_M
