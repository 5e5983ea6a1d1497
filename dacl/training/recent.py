"""The losses of the steps since the last record, and the end of a run in which one of them is not finite."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dacl.errors import DaclError
from dacl.methods import Method
from dacl.methods.base import Terms
from dacl.ranks import Ranks
from dacl.training.checkpoint import held_by


class Diverged(DaclError):
    """A loss, or a weight, became NaN or infinite."""


class RecentLosses:
    """Total and parts of every step since the last record, one tensor a step.

    They stay on the device and are looked at when they are logged and before anything is saved: each look waits for
    the device.

    Args:
        run_dir: the run's folder, in which the last good checkpoint is.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._names: Sequence[str] = ()
        self.of_steps: list[Tensor] = []
        """Each (1 + parts,), on the device."""

    def add(self, terms: Terms, ranks: Ranks) -> None:
        """Keep a step's losses, means over the ranks."""
        self._names = ["total", *terms.parts]
        self.of_steps.append(ranks.mean(torch.stack([terms.total, *terms.parts.values()])))

    def restore(self, of_steps: Sequence[Tensor], device: torch.device) -> None:
        """Those that a checkpoint holds."""
        self.of_steps = [losses.to(device) for losses in of_steps]

    def taken(self, step: int) -> list[float]:
        """Their means, total first, after `step` steps; they are recent no longer.

        Raises:
            Diverged: as `require_finite`.
        """
        means = self.require_finite(step).mean(dim=0).tolist()
        self.of_steps = []
        return means

    def require_finite(self, step: int) -> Tensor:
        """All of them after `step` steps, (steps, 1 + parts), on the CPU.

        Raises:
            Diverged: one of them is not finite.
        """
        if not self.of_steps:
            return torch.zeros(0)
        losses = torch.stack(self.of_steps).cpu().double()  # MPS has no double
        broken = (~losses.isfinite()).nonzero()
        if len(broken):
            row, column = broken[0].tolist()
            at = step - len(losses) + row + 1
            finite = losses[row].isfinite().tolist()
            parts = [name for name, fine in zip(self._names, finite, strict=True) if not fine]
            term = next((part for part in parts if part != "total"), self._names[column])
            value = losses[row, self._names.index(term)]
            raise Diverged(
                f"the loss is not finite at step {at}: term {term!r} is {value:g}", self._way_out()
            )
        return losses

    def require_finite_weights(self, method: Method, step: int) -> None:
        """A gradient may break the weights where its loss was fine.

        Raises:
            Diverged: something that a checkpoint of `method` holds is not finite.
        """
        broken = [name for name, value in method.state_dict().items() if not value.isfinite().all()]
        if broken:
            raise Diverged(
                f"the losses are finite at step {step}, but {broken[0]} is not: a gradient was NaN or infinite",
                self._way_out(),
            )

    def _way_out(self) -> str:
        good = next(iter(held_by(self._run_dir)), None)
        return (
            f"last good checkpoint: {good or 'none yet'}; "
            "start a new run with a lower learning rate (--lr) or --precision fp32"
        )
