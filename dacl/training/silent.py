"""The journal and the listener of every rank but the first: one run is written down and told of once."""

from dacl.ranks import Ranks
from dacl.training.journal import Journal
from dacl.training.records import Record
from dacl.training.report import Listener, Plan


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
