"""Pixels for a look at the embeddings: by class, spread over patients, the same for every checkpoint.

A decoder map is coarser than the scan. Two pixels in one cell of it would have the same feature, and be each other's
nearest neighbour for no merit of the network: in every grid looked at, chosen pixels lie in cells of their own.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Integer

from dacl.callbacks import OnProgress
from dacl.config import ImageConfig
from dacl.data.case import SpacingMm
from dacl.data.grid import network_pixels
from dacl.data.prepared import CaseInfo, PreparedDataset
from dacl.data.volume_grid import network_voxels
from dacl.errors import DaclError
from dacl.seeding import stream_seed


@dataclass(frozen=True, slots=True)
class CellGrid:
    """The cells of a network's map: `stride` pixels of its input grid along each side, in 3D along z too."""

    image: ImageConfig
    stride: int

    @property
    def key(self) -> tuple[str | float | int, ...]:
        """Grids of equal keys have equal cells."""
        image = self.image
        if image.dims == 3:
            spacings = (image.slice_spacing_mm, image.spacing_mm)
            sizes = image.volume_shape if image.geometry == "resize" else spacings
            return f"{image.geometry} 3D", *map(float, sizes), self.stride
        size = image.patch_size if image.geometry == "resize" else image.spacing_mm
        return image.geometry, float(size), self.stride

    def cells(
        self, shape_HW: tuple[int, int], spacing_mm: SpacingMm | None
    ) -> tuple[Integer[np.ndarray, "H"], Integer[np.ndarray, "W"]]:
        """Row and column of the cell that each row and column of the scan lies in."""
        if self.image.dims == 3:
            _, rows_H, columns_W = network_voxels((1, *shape_HW), spacing_mm, self.image)
        else:
            rows_H, columns_W = network_pixels(shape_HW, spacing_mm, self.image)
        return rows_H.numpy() // self.stride, columns_W.numpy() // self.stride

    def layers(self, slices: int, spacing_mm: SpacingMm | None) -> Integer[np.ndarray, "Z"]:
        """The layer of cells that each slice of the scan lies in: in 2D its own."""
        if self.image.dims == 2:
            return np.arange(slices)
        slices_Z, _, _ = network_voxels((slices, 1, 1), spacing_mm, self.image)
        return slices_Z.numpy() // self.stride


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """N chosen pixels, in the order of case, slice, row, column."""

    cases: tuple[CaseInfo, ...]
    patients: tuple[str, ...]
    """Of the cases, in the order of the split."""
    case_N: Integer[np.ndarray, "N"]
    """Index into `cases`."""
    patient_N: Integer[np.ndarray, "N"]
    """Index into `patients`."""
    zyx_N3: Integer[np.ndarray, "N 3"]
    """On the scan's own grid, from 0."""
    class_N: Integer[np.ndarray, "N"]
    """As annotated."""
    asked_C: tuple[int, ...]
    """Pixels asked for of every class, background included."""

    @property
    def found_C(self) -> tuple[int, ...]:
        """Pixels there are of every class."""
        return tuple(np.bincount(self.class_N, minlength=len(self.asked_C)).tolist())


def draw_pixels(
    dataset: PreparedDataset,
    cases: Sequence[CaseInfo],
    grids: Sequence[CellGrid],
    *,
    points: int,
    seed: int,
    report: OnProgress = lambda *_: None,
) -> Pixels:
    """Draw as many pixels of every class, within a class as many of every patient as there are to take.

    One pixel of each cell is kept by chance, for each grid in turn; of those, a patient's share of a
    class is drawn evenly over his frames and slices. What a patient lacks the others give (`even_shares`); what a
    class lacks no other class gives.

    Args:
        dataset: where the annotations lie.
        cases: labelled ones.
        grids: of the maps to be looked at; order and repetition change nothing.
        points: in total, shared by all classes.
        seed: of every draw.
        report: told after each case.

    Raises:
        DaclError: fewer points than classes.
    """
    n_classes = len(dataset.class_names)
    if points < n_classes:
        raise DaclError(
            f"{points} points for {n_classes} classes", f"ask for --points {10 * n_classes} or more"
        )
    asked_C = np.full(n_classes, points // n_classes)
    asked_C[: points % n_classes] += 1
    distinct = [grid for _, grid in sorted({grid.key: grid for grid in grids}.items())]
    patients = tuple(dict.fromkeys(case.patient for case in cases))
    kept = []
    for number, case in enumerate(cases):
        report(number, len(cases), case.id)
        zyxc_M4, key_M = _candidates(dataset, case, distinct, int(asked_C.max()), seed)
        where_M2 = np.tile([number, patients.index(case.patient)], (len(key_M), 1))
        kept.append((np.concatenate([where_M2, zyxc_M4], axis=1), key_M))
    report(len(cases), len(cases), "")
    rows_M6, key_M = (np.concatenate(column) for column in zip(*kept, strict=True))
    rng = np.random.default_rng(stream_seed(seed, "cluster shares"))
    chosen = []
    for label, asked in enumerate(asked_C.tolist()):
        of_class = [
            np.flatnonzero((rows_M6[:, 5] == label) & (rows_M6[:, 1] == patient))
            for patient in range(len(patients))
        ]
        shares = even_shares(np.array([len(mine) for mine in of_class]), asked, rng)
        for mine, share in zip(of_class, shares.tolist(), strict=True):
            chosen.append(mine[np.argsort(key_M[mine], kind="stable")[:share]])
    rows_N6 = rows_M6[np.concatenate(chosen)]
    rows_N6 = rows_N6[np.lexsort(rows_N6[:, [4, 3, 2, 0]].T)]
    return Pixels(
        cases=tuple(cases),
        patients=patients,
        case_N=rows_N6[:, 0],
        patient_N=rows_N6[:, 1],
        zyx_N3=rows_N6[:, 2:5],
        class_N=rows_N6[:, 5],
        asked_C=tuple(asked_C.tolist()),
    )


def even_shares(
    available_P: Integer[np.ndarray, "P"], total: int, rng: np.random.Generator
) -> Integer[np.ndarray, "P"]:
    """Share `total` out evenly among those who have it: nobody gives more than he has, nor 2 more than who has more."""
    total = min(total, int(available_P.sum()))
    level = bisect_right(
        range(total + 1), total, key=lambda n: int(np.minimum(available_P, n).sum())
    )
    shares_P = np.minimum(available_P, level - 1)
    able = rng.permutation(np.flatnonzero(available_P > shares_P))
    shares_P[able[: total - int(shares_P.sum())]] += 1
    return shares_P


def _candidates(
    dataset: PreparedDataset, case: CaseInfo, grids: Sequence[CellGrid], most: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """z, y, x and class of pixels in cells of their own, with random keys: of a class those with the lowest keys.

    No more than `most` of a class are asked of a case, and the lowest keys of a whole are among the lowest of its
    parts: the rest of a slice need not be kept. Slices that share a layer of cells of some grid are one part.
    """
    rng = np.random.default_rng(stream_seed(seed, "cluster pixels", case.id))
    truth_ZHW = dataset.read_label(case.id)
    slices, height, width = truth_ZHW.shape
    layers, planes = [], []
    for grid in grids:
        rows_H, columns_W = grid.cells((height, width), case.spacing_mm)
        planes.append(rows_H[:, None] * (columns_W.max() + 1) + columns_W)
        layers.append(grid.layers(slices, case.spacing_mm))
    apart = [z for z in range(1, slices) if all(layer_Z[z] != layer_Z[z - 1] for layer_Z in layers)]
    rows, keys = [], []
    for low, high in pairwise([0, *apart, slices]):
        truth_zHW = truth_ZHW[low:high]
        flat_S = rng.permutation(truth_zHW.size)
        for layer_Z, cell_HW in zip(layers, planes, strict=True):
            layer_z = layer_Z[low:high] - layer_Z[low]
            cell_zHW = layer_z[:, None, None] * (cell_HW.max() + 1) + cell_HW
            flat_S = rng.permutation(_one_per_cell(cell_zHW.ravel(), flat_S))
        class_S, key_S = truth_zHW.ravel()[flat_S].astype(np.int64), rng.random(len(flat_S))
        taken = _lowest(class_S, key_S, most)
        z, y, x = np.unravel_index(flat_S[taken], truth_zHW.shape)
        rows.append(np.stack([z + low, y, x, class_S[taken]], axis=1))
        keys.append(key_S[taken])
    rows_M4, key_M = np.concatenate(rows), np.concatenate(keys)
    taken = _lowest(rows_M4[:, 3], key_M, most)
    return rows_M4[taken], key_M[taken]


def _lowest(class_S: np.ndarray, key_S: np.ndarray, most: int) -> np.ndarray:
    """Indices of the `most` lowest keys of every class."""
    each = (np.flatnonzero(class_S == label) for label in np.unique(class_S))
    return np.concatenate([mine[np.argsort(key_S[mine], kind="stable")[:most]] for mine in each])


def _one_per_cell(cell_P: np.ndarray, flat_S: np.ndarray) -> np.ndarray:
    """Of pixels in random order, one per cell: of those written to a cell the last stays, which is any of them."""
    winner = np.full(int(cell_P.max()) + 1, -1)
    winner[cell_P[flat_S]] = flat_S
    return winner[winner >= 0]
