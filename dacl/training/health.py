"""Plain warnings while a run goes on: what its journal says that a reader of curves would notice too late.

A trouble is judged at every record of its kind, train or validation. It is told when it has lasted for so many of them
in a row, and again only after it has gone away and come back. Classes that share a trouble share a sentence.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dacl.config import Config
from dacl.training.records import Record

SEVERAL = 4
"""Train records in a row before anything is said: each is a snapshot of one batch, and one batch proves nothing."""
VALIDATIONS = 2
"""Validations in a row: each is of whole volumes without dropout, and only a swing of the weights can mislead one."""
LONG_FRACTION = 0.05
"""Share of the run without an anchor: less is a stretch of batches without the class, more is too late to mend."""
COLLAPSED_AGREEMENT = 0.99
"""Dice between the networks' masks of the validation patients, all voxels of a class together. Two that were
trained apart differ by more along the boundaries alone."""
SETTLING_FRACTION = 0.1
"""Share of the run in which two networks may well agree: on background, or on nothing."""
LEARNING_FRACTION = 0.2
"""Share of the run in which a class may well not be found yet: the small ones come last."""
DOMINANT_SHARE = 0.5
"""Gradient share of the contrast: above it the co-training, which the contrast is to help, is the smaller pull."""
CLASSES = "<classes>"
"""In the text of a trouble: where the classes go that have it."""


class Lasting(NamedTuple):
    """A trouble that has been found at every record of its kind for some time."""

    since: int
    """Step of the first."""
    records: int


class Trouble(NamedTuple):
    """One thing that is wrong at a record."""

    key: str
    """Which, and of which class: troubles of the same key in a row are one."""
    patience: int
    """Records of the kind that it has to last before it is told."""
    text: str
    """With CLASSES where it is the trouble of a class."""
    about: str = ""
    """The class, and what is to be said of it alone."""


class Watch:
    """Sees the records of a run in order, and answers each with the warnings that are due.

    Args:
        config: the run's configuration.
        unlabeled: whether unlabelled slices are drawn; without them nothing is found in them.
    """

    def __init__(self, config: Config, *, unlabeled: bool = True) -> None:
        self.config, self.unlabeled = config, unlabeled
        self._lasting: dict[str, dict[str, Lasting]] = {"train": {}, "val": {}}

    def replay(self, records: Iterable[Record]) -> None:
        """Take in the journal of a run that goes on: its whole state follows, and its warnings were told before."""
        for record in records:
            if record["kind"] in self._lasting:
                self(record)

    def __call__(self, record: Record) -> list[str]:
        """What to tell the user after `record`; mostly nothing."""
        found = list(self._troubles(record))
        lasting = {t.key: self._lasted(record, t.key) for t in found}
        self._lasting[record["kind"]] = lasting
        due: dict[str, list[str]] = {}
        for trouble in found:
            if lasting[trouble.key].records == trouble.patience:
                due.setdefault(trouble.text, []).append(trouble.about)
        return [text.replace(CLASSES, ", ".join(about)) for text, about in due.items()]

    def _lasted(self, record: Record, key: str) -> Lasting:
        """How long a trouble has lasted once `record` is counted."""
        since, records = self._lasting[record["kind"]].get(key, (record["step"], 0))
        return Lasting(since, records + 1)

    def _troubles(self, record: Record) -> Iterator[Trouble]:
        if record["kind"] == "val":
            yield from self._collapsed(record)
            yield from self._not_found(record)
            return
        yield from self._without_anchors(record)
        yield from self._background_alone(record)
        yield from self._contrast_dominates(record)

    def _without_anchors(self, record: Record) -> Iterator[Trouble]:
        if not record["weights"].get("contrast"):  # the warm-up, or no contrast at all
            return
        every = self.config.journal.log_every
        patience = max(SEVERAL, math.ceil(LONG_FRACTION * self.config.optim.steps / every))
        reliable = _per_class(record, "reliable")
        for name, anchors in _per_class(record, "anchors").items():
            if anchors == 0:
                held = ""
                if name in reliable:
                    held = f" ({reliable[name]:.0f} reliable units in the last)"
                key = f"anchors/{name}"
                since = self._lasted(record, key).since
                yield Trouble(
                    key, patience,
                    f"in the {patience} batches looked at since step {since} there was no anchor of {CLASSES}: "
                    f"the contrast does not see a class without anchors. {self._more_reliable()}",
                    name + held,
                )  # fmt: skip

    def _more_reliable(self) -> str:
        if self.config.contrast.reliability == "threshold":
            way = f"try a lower contrast.phi (now {self.config.contrast.phi:g})"
        else:
            way = "try contrast.reliability = 'threshold' with a low contrast.phi"
        return f"Where its confident share is near 0, {way} or more labelled patients"

    def _background_alone(self, record: Record) -> Iterator[Trouble]:
        settled = self._past(SETTLING_FRACTION, record)
        if not (self.unlabeled and settled and "agreement" in record["diagnostics"]):
            return
        if not _per_class(record, "agreement"):
            yield Trouble(
                "background", SEVERAL,
                f"neither network has found any foreground in the unlabelled slices of {SEVERAL} records: "
                "as pseudo-labels they teach each other background alone. Try a lower --lr or a lower cross.weight "
                f"(now {self.config.cross.weight:g}), and check that the labelled slices hold every class",
            )  # fmt: skip

    def _collapsed(self, record: Record) -> Iterator[Trouble]:
        """Networks that have become one. Under dropout not even equal ones agree: no train record can tell."""
        present = _defined(record.get("agreement") or {})
        if not (present and self._past(SETTLING_FRACTION, record)):
            return
        if (least := min(present.values())) > COLLAPSED_AGREEMENT:
            yield Trouble(
                "collapsed", VALIDATIONS,
                f"the two networks agree on every class of the validation patients (Dice {least:.3f} or more between "
                f"their masks, above {COLLAPSED_AGREEMENT:g}) in {VALIDATIONS} validations in a row: they have become "
                "one, and no longer teach each other anything. The pseudo-label precision says whether they are "
                f"right; if not, try a lower cross.weight (now {self.config.cross.weight:g}) or another --seed",
            )  # fmt: skip

    def _not_found(self, record: Record) -> Iterator[Trouble]:
        """Classes that no pseudo-label names rightly; labelled pixels may give them anchors all the same."""
        recalls = [_defined(of) for of in record.get("pseudo_label_recall", {}).values()]
        if not (recalls and self._past(LEARNING_FRACTION, record)):
            return
        phi = self.config.contrast.phi
        for name in recalls[0]:
            if any(recall.get(name) != 0 for recall in recalls):
                continue
            dice = ", ".join(
                f"{network} {_defined(record['dice'][network]).get(name, 0):.2f}"
                for network in record["pseudo_label_recall"]
            )
            yield Trouble(
                f"found/{name}", VALIDATIONS,
                f"neither network finds {CLASSES} on the validation patients: in {VALIDATIONS} validations in a row no "
                f"voxel of the class was given to it with probability above {phi:g} (pseudo-label recall 0), so that "
                "as pseudo-labels they teach each other nothing of it. Where the Dice is well "
                f"above 0, try a lower contrast.phi (now {phi:g}); else more labelled patients or slices that hold "
                f"the class, a lower cross.weight (now {self.config.cross.weight:g}) or another --seed",
                f"{name} (Dice {dice})",
            )  # fmt: skip

    def _past(self, fraction: float, record: Record) -> bool:
        return bool(record["step"] > fraction * self.config.optim.steps)

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
    return _defined(values if isinstance(values, dict) else {key: values})


def _defined(values: dict[str, float | None]) -> dict[str, float]:
    """Without the undefined, which is nan in a record and null in a journal."""
    return {
        name: value for name, value in values.items() if value is not None and not math.isnan(value)
    }
