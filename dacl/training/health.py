"""Plain warnings while a run goes on: what its journal says that a reader of curves would notice too late.

A trouble is judged at every train record. It is told when it has lasted for so many records in a row, and again only
after it has gone away and come back.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dacl.config import Config
from dacl.training.records import Record

SEVERAL = 4
"""Records in a row before anything is said: each is a snapshot of one batch, and one batch proves nothing."""
LONG_FRACTION = 0.05
"""Share of the run without an anchor: less is a stretch of batches without the class, more is too late to mend."""
COLLAPSED_AGREEMENT = 0.99
"""Dice between the networks. Two that were trained apart on ACDC differ by more along the boundaries alone."""
SETTLING_FRACTION = 0.1
"""Share of the run in which two networks may well agree: on background, or on nothing."""
DOMINANT_SHARE = 0.5
"""Gradient share of the contrast: above it the co-training, which the contrast is to help, is the smaller pull."""


class Trouble(NamedTuple):
    """One thing that is wrong at a record."""

    key: str
    """Which, and of which class: troubles of the same key in a row are one."""
    patience: int
    """Records it has to last before it is told."""
    text: str


class Watch:
    """Sees the train records of a run in order, and answers each with the warnings that are due.

    Args:
        config: the run's configuration.
        unlabeled: whether unlabelled slices are drawn; without them no agreement is defined.
    """

    def __init__(self, config: Config, *, unlabeled: bool = True) -> None:
        self.config, self.unlabeled = config, unlabeled
        self._lasting: dict[str, int] = {}

    def replay(self, records: Iterable[Record]) -> None:
        """Take in the journal of a run that goes on: its whole state follows, and its warnings were told before."""
        for record in records:
            if record["kind"] == "train":
                self(record)

    def __call__(self, record: Record) -> list[str]:
        """What to tell the user after `record`; mostly nothing."""
        found = list(self._troubles(record))
        self._lasting = {t.key: self._lasting.get(t.key, 0) + 1 for t in found}
        return [t.text for t in found if self._lasting[t.key] == t.patience]

    def _troubles(self, record: Record) -> Iterator[Trouble]:
        yield from self._without_anchors(record)
        yield from self._not_teaching(record)
        yield from self._contrast_dominates(record)

    def _without_anchors(self, record: Record) -> Iterator[Trouble]:
        if not record["weights"].get("contrast"):  # the warm-up, or no contrast at all
            return
        every = self.config.journal.log_every
        patience = max(SEVERAL, math.ceil(LONG_FRACTION * self.config.optim.steps / every))
        reliable = _per_class(record, "reliable")
        for name, anchors in _per_class(record, "anchors").items():
            if anchors == 0:
                held = (
                    f" ({reliable[name]:.0f} reliable units in the last)"
                    if name in reliable
                    else ""
                )
                yield Trouble(
                    f"anchors/{name}", patience,
                    f"class {name} has had no anchor in {patience} records, about {patience * every} steps{held}: "
                    f"the contrast does not see it. {self._more_reliable()}",
                )  # fmt: skip

    def _more_reliable(self) -> str:
        if self.config.contrast.reliability == "threshold":
            way = f"try a lower contrast.phi (now {self.config.contrast.phi:g})"
        else:
            way = "try contrast.reliability = 'threshold' with a low contrast.phi"
        return f"Where its confident rate is near 0, {way} or more labelled patients"

    def _not_teaching(self, record: Record) -> Iterator[Trouble]:
        """Networks that have collapsed into one another, or into the background."""
        settled = record["step"] > SETTLING_FRACTION * self.config.optim.steps
        if not (self.unlabeled and settled and "agreement" in record["diagnostics"]):
            return
        present = _per_class(record, "agreement")
        if not present:
            yield Trouble(
                "background", SEVERAL,
                f"neither network has found any foreground in the unlabelled slices of {SEVERAL} records: "
                "as pseudo-labels they teach each other background alone. Try a lower --lr or a lower cross.weight "
                f"(now {self.config.cross.weight:g}), and check that the labelled slices hold every class",
            )  # fmt: skip
        elif (least := min(present.values())) > COLLAPSED_AGREEMENT:
            yield Trouble(
                "collapsed", SEVERAL,
                f"the two networks agree on every class (Dice {least:.3f} or more, above {COLLAPSED_AGREEMENT:g}) "
                f"in {SEVERAL} records: they have become one, and no longer teach each other anything. "
                "The pseudo-label precision on validation says whether they are right; if not, try a lower "
                f"cross.weight (now {self.config.cross.weight:g}) or another --seed",
            )  # fmt: skip

    def _contrast_dominates(self, record: Record) -> Iterator[Trouble]:
        shares = _per_class(record, "gradient_share").values()
        if shares and (largest := max(shares)) > DOMINANT_SHARE:
            yield Trouble(
                "contrast", SEVERAL,
                f"the contrast is {100 * largest:.0f} % of the gradient at the feature maps, and has been above "
                f"{100 * DOMINANT_SHARE:.0f} % in {SEVERAL} records: it outweighs the co-training it is to help. "
                f"Try a lower contrast.weight (now {self.config.contrast.weight:g})",
            )  # fmt: skip


def _per_class(record: Record, key: str) -> dict[str, float]:
    """What is defined of a diagnostic: {class: value}; a scalar stands under its own key, and absence is empty."""
    values = record["diagnostics"].get(key)
    values = values if isinstance(values, dict) else {key: values}
    return {
        name: value for name, value in values.items() if value is not None and not math.isnan(value)
    }
