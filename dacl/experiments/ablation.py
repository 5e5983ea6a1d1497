"""Which configurations a table compares: the rows of Table 2, the full method without a part, the panels of Fig. 5.

Every row is the base configuration (preset, file, overrides) with parts switched off or one value changed, so that an
override reaches every row that has the part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dacl.config import Config, merge, recipe, resolve
from dacl.errors import DaclError

PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "pcl": ("plain contrast", {"method": "cps"}),
    "da": ("density-aware sampling", {"contrast": {"sampling": "random"}}),
    "ms": ("multi-scale density", {"contrast": {"scales": [16]}}),
    "bank": ("memory bank", {"contrast": {"bank_size": 0}}),
    "w": ("positiveness w", {"contrast": {"positiveness": "none"}}),
}
"""The columns of Table 2 in their order: what a part is called and what switches it off."""

NUMERALS = ("I", "II", "III", "IV", "V", "VI")
LABELED_ONLY, ALL_LABELED, ANCHORS = "labeled-only", "all-labeled", "VI-anchors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One configuration of a table, run once per seed."""

    key: str
    """Name in options, folders and tables: `II`, `without-bank`, `tau=0.2`."""
    title: str
    """What it is, in a few words."""
    settings: Mapping[str, Any]
    """Laid over the base configuration."""
    above: str | None = None
    """Key of the row that it is one step away from, if any."""

    def config(self, base: Config, seed: int, *, patients: int | None = None) -> Config:
        """The configuration of one cell.

        Args:
            base: what the table is about; its method is DACL.
            seed: of this cell.
            patients: training patients of the split, for the row that has all their labels.
        """
        values = merge(base.model_dump(mode="json"), {**self.settings, "seed": seed})
        contrast = values["contrast"]
        if contrast["bank_size"] == 0 and contrast["density_from"] == "bank":
            contrast["density_from"] = "batch"  # a part of the bank goes with it
        if self.key == ALL_LABELED:
            assert patients is not None
            values |= {"labeled": patients, "labeled_cases": (), "labeled_order": "split"}
        return resolve(base.preset, values)

    def follows(self, key: str) -> bool:
        """Whether `config` sets this key (dotted) along with what makes the row."""
        if self.key == ALL_LABELED:
            return key.startswith("labeled")
        no_bank = self.settings.get("contrast", {}).get("bank_size") == 0
        return key == "contrast.density_from" and no_bank


def components(*, upper_bound: bool = False) -> tuple[Row, ...]:
    """Table 2: labelled-only, rows I to VI, VI with negatives from anchors, and on request the fully supervised row.

    Each of II to VI adds one part to the row above it; negatives are pixels in all of them, so that where negatives
    come from is a step of its own.
    """
    rows = [Row(key=LABELED_ONLY, title="labelled only", settings={"method": "supervised"})]
    pixels: dict[str, Any] = {"contrast": {"negatives_from": "pixels"}}
    for number, key in enumerate(NUMERALS):
        settings = pixels
        for _, off in list(PARTS.values())[number:]:
            settings = merge(settings, off)
        added = list(PARTS.values())[number - 1][0] if number else ""
        rows.append(
            Row(
                key=key,
                title=f"+ {added}" if number else "cross pseudo supervision",
                settings=settings,
                above=NUMERALS[number - 1] if number else None,
            )
        )
    rows.append(
        Row(
            key=ANCHORS,
            title="+ negatives from anchors",
            settings={"contrast": {"negatives_from": "anchors"}},
            above="VI",
        )
    )
    if upper_bound:
        rows.append(Row(key=ALL_LABELED, title="all labelled", settings={"method": "supervised"}))
    return tuple(rows)


def full(base: Config) -> Row:
    """The whole method as the base configuration has it, under the name it has among the components."""
    key = ANCHORS if base.contrast.negatives_from == "anchors" else "VI"
    return Row(key=key, title="full method", settings={})


def without(base: Config, removals: Sequence[str]) -> tuple[Row, ...]:
    """The full method, and a row for each removal; `bank+ms` removes both at once.

    Raises:
        DaclError: a part that does not exist.
    """
    rows = [full(base)]
    for removal in removals:
        settings: dict[str, Any] = {}
        for part in removal.split("+"):
            if part not in PARTS:
                raise DaclError(
                    f"--without: no part {part!r}",
                    f"parts: {', '.join(PARTS)}; bank,ms makes two rows, bank+ms one without both",
                )
            settings = merge(settings, PARTS[part][1])
        names = " and ".join(PARTS[part][0] for part in removal.split("+"))
        rows.append(
            Row(
                key=f"without-{removal}",
                title=f"without {names}",
                settings=settings,
                above=rows[0].key,
            )
        )
    return tuple(rows)


def choose(rows: Sequence[Row], keys: Sequence[str]) -> tuple[Row, ...]:
    """The rows named, in the table's order.

    Raises:
        DaclError: a row that the table does not have.
    """
    known = [row.key for row in rows]
    for key in keys:
        if key not in known:
            raise DaclError(f"--rows: no row {key!r}", f"rows: {', '.join(known)}")
    return tuple(row for row in rows if row.key in keys)


def check_distinct(rows: Sequence[Row], base: Config, *, patients: int) -> None:
    """Refuse two rows that are one configuration.

    Raises:
        DaclError: the base lacks the part that one of them would add.
    """
    seen: dict[str, str] = {}
    for row in rows:
        values = repr(recipe(row.config(base, 0, patients=patients)))
        if values in seen:
            raise DaclError(
                f"rows {seen[values]} and {row.key} are the same configuration: "
                f"preset {base.preset} and the overrides leave nothing to add",
                "leave one of them out with --rows, or drop the override that switches the part off",
            )
        seen[values] = row.key
