"""Which cell is which job: `slurm/jobs.json` in the folder of the table.

A cell stands in it from its submission until somebody saw its end, so that no cell is submitted twice.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dacl.atomic import write_json
from dacl.errors import DaclError
from dacl.experiments.cells import Cell
from dacl.experiments.slurm.states import ENDED, parent, squeue

FOLDER = "slurm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A cell that was submitted."""

    job: str
    """`123_4`, a task of an array, or `123`."""
    config_hash: str
    """Of the settings that it runs with."""
    log_from: int
    """Bytes of the cell's log that are older."""

    @property
    def parent(self) -> str:
        """The job that the task belongs to, as `scancel` takes it."""
        return parent(self.job)


class Book:
    """The tickets of a table's folder, by the name of the run's folder."""

    def __init__(self, out: Path) -> None:
        self.path = out / FOLDER / "jobs.json"

    def read(self) -> dict[str, Ticket]:
        """All tickets; none where nothing was ever submitted.

        Raises:
            DaclError: the file is not what was written.
        """
        if not self.path.exists():
            return {}
        try:
            tickets = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: Ticket(**ticket) for name, ticket in tickets.items()}
        except (ValueError, TypeError, AttributeError):
            raise DaclError(
                f"{self.path} is damaged: it says which cells are jobs of Slurm",
                "wait until `squeue --me` lists none of them, then delete it",
            ) from None

    def write(self, tickets: Mapping[str, Ticket]) -> None:
        """Replace all tickets."""
        write_json(self.path, {name: asdict(ticket) for name, ticket in tickets.items()})

    def remove(self, names: Collection[str]) -> None:
        """Cells that ended."""
        self.write({name: ticket for name, ticket in self.read().items() if name not in names})


def refuse_submitted(cells: Sequence[Cell], out: Path) -> None:
    """Refuse to run cells here that a cluster has.

    Raises:
        DaclError: one of them is queued or running, or nobody can say.
    """
    tickets = Book(out).read()
    held = [(cell, tickets[cell.run_dir.name]) for cell in cells if cell.run_dir.name in tickets]
    if not held:
        return
    states = squeue({ticket.job for _, ticket in held})
    for cell, ticket in held:
        state = states.get(ticket.job)
        if state is not None and state not in ENDED:
            raise DaclError(
                f"{cell.name} is job {ticket.job} of Slurm ({state.lower()})",
                f"wait for it with --launcher slurm, or give it up: scancel {ticket.parent}",
            )
