"""The volumes that differ most between two sides, and in which class."""

from dataclasses import dataclass

import numpy as np

from dacl.experiments.case_scores import SharedCells
from dacl.experiments.comparison.signed_rank import DECIMALS
from dacl.metrics.means import defined_mean

MOVED = 3
"""Cases shown in either direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedCase:
    """A volume that the side changed: foreground means over seeds, and the class that changed most."""

    case: str
    patient: str
    reference: float
    side: float
    class_name: str
    class_reference: float
    class_side: float


def moved_cases(
    cells: SharedCells, n: int, better: float
) -> tuple[tuple[MovedCase, ...], tuple[MovedCase, ...]]:
    """The volumes that were improved most and those worsened most, at most `MOVED` of each, most first.

    Args:
        cells: of the runs of the side, then of those of the reference.
        n: runs of the side.
        better: 1 where higher values are better, -1 where lower ones are.
    """
    side_VC, reference_VC = cells.values_SVC[:n].mean(axis=0), cells.values_SVC[n:].mean(axis=0)
    side_V, reference_V = defined_mean(side_VC.T), defined_mean(reference_VC.T)
    gain_V = np.round(better * (side_V - reference_V), DECIMALS)

    def moved(v: int) -> MovedCase:
        c = int(np.nanargmax(np.abs(side_VC[v] - reference_VC[v])))
        return MovedCase(
            case=cells.cases[v], patient=cells.patients[v],
            reference=float(reference_V[v]), side=float(side_V[v]),
            class_name=cells.classes[c],
            class_reference=float(reference_VC[v, c]), class_side=float(side_VC[v, c]),
        )  # fmt: skip

    up = sorted(np.flatnonzero(gain_V > 0), key=lambda v: (-gain_V[v], cells.cases[v]))[:MOVED]
    down = sorted(np.flatnonzero(gain_V < 0), key=lambda v: (gain_V[v], cells.cases[v]))[:MOVED]
    return tuple(moved(int(v)) for v in up), tuple(moved(int(v)) for v in down)
