"""The journal and the listener of every rank but the first: one run is written down and told of once."""

from contextlib import ExitStack
from pathlib import Path

from dacl.ranks import Ranks
from dacl.training.folder import sole_writer
from dacl.training.journal import Journal
from dacl.training.records import Record
from dacl.training.report import Listener, Plan


def journal_of(ranks: Ranks, run_dir: Path, *, tensorboard: bool, step: int) -> Journal:
    """The run's journal, which the first rank alone writes; other trainings are kept out of the folder until its end.

    A run that goes on from `step` has it cut back to there.

    Raises:
        DaclError: another process trains this run, the journal is damaged, or TensorBoard was asked for and is not
            installed.
    """
    if ranks.rank > 0:
        return NoJournal(run_dir)
    with ExitStack() as held:
        held.enter_context(sole_writer(run_dir))
        if step > 0:
            Journal(run_dir).cut(step)
        return Journal(run_dir, tensorboard=tensorboard, purge_step=step + 1, held=held.pop_all())


def listener_of(ranks: Ranks, listener: Listener | None) -> Listener:
    """Whoever listens to the run, which the first rank alone tells of; None: nobody."""
    return listener if listener is not None and ranks.rank == 0 else Unheard()


class NoJournal(Journal):
    """The journal of every rank but the first: nothing is written."""

    def append(self, record: Record) -> None:
        """Nothing."""

    def records(self) -> list[Record]:
        """Of a run that goes on: the warnings that they led to are the first rank's to tell."""
        return []

    def cut(self, step: int) -> None:
        """Nothing."""

    def draw(self) -> None:
        """Nothing."""


class Unheard(Listener):
    """The listener of every rank but the first, and of a run that nobody listens to."""

    def planned(self, plan: Plan) -> None:
        """Nothing."""

    def stepped(self, step: int) -> None:
        """Nothing."""

    def logged(self, record: Record) -> None:
        """Nothing."""

    def validated(self, record: Record) -> None:
        """Nothing."""

    def warned(self, text: str, step: int) -> None:
        """Nothing."""
