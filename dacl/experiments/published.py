"""Numbers that the paper prints, with their place in it, and why some of them cannot be right.

For standing beside ours. Ours are never adjusted towards them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dacl.experiments.ablation import ALL_LABELED, ANCHORS, LABELED_ONLY, NUMERALS

Value = tuple[float, float]
"""Printed mean and the number after ± (three seeds, says the caption of Table 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """One row of a table of the paper."""

    source: str
    """`Table 2, row IV, ACDC`."""
    labeled: int
    """Labelled patients (ACDC) or volumes (Synapse)."""
    dice_percent: Value
    jc_percent: Value | None = None
    asd_vox: Value | None = None
    remark: str = ""
    """What else is known about the number."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """`remark`, and whether a mean Jaccard is printed that no set of cases with this mean Dice can have."""
        found = [self.remark] if self.remark else []
        if self.jc_percent is not None:
            dice, jc = self.dice_percent[0], self.jc_percent[0]
            least = 100 * dice / (200 - dice)
            if jc < least:
                found.append(
                    f"JC {jc:.2f} cannot be: a mean Dice of {dice:.2f} needs a mean JC of at least "
                    f"{least:.2f}, D / (2 - D), by Jensen's inequality"
                )
        return tuple(found)


def _table_2(
    dataset: str, labeled: int, values: list[Value], remarks: dict[str, str]
) -> dict[str, Printed]:
    return {
        key: Printed(
            source=f"Table 2, row {key}, {dataset}",
            labeled=labeled,
            dice_percent=value,
            remark=remarks.get(key, ""),
        )
        for key, value in zip(NUMERALS, values, strict=True)
    }


def _table_1(
    method: str, dataset: str, labeled: int, dice: Value, jc: Value, asd: Value, remark: str = ""
) -> Printed:
    return Printed(
        source=f"Table 1, {method}, {dataset}, {labeled} labelled",
        labeled=labeled,
        dice_percent=dice,
        jc_percent=jc,
        asd_vox=asd,
        remark=remark,
    )


TABLE_2: dict[str, dict[str, Printed]] = {
    "acdc": _table_2(
        "ACDC",
        7,
        [(85.71, 0.9), (87.50, 0.8), (88.60, 0.7), (89.30, 0.6), (89.80, 0.5), (90.91, 0.5)],
        {
            key: f"Table 3 prints the same {value} as another method's, + {method}"
            for key, value, method in (
                ("II", "87.50 ± 0.8", "ED"),
                ("III", "88.60 ± 0.7", "IFVD"),
                ("IV", "89.30 ± 0.6", "PLCL"),
            )
        },
    ),
    "synapse": _table_2(
        "Synapse",
        2,
        [(18.07, 1.2), (24.32, 0.6), (25.45, 0.6), (26.30, 0.5), (27.12, 0.5), (29.88, 0.7)],
        {
            "I": "18.07 ± 1.2 is what DHC (Wang and Li 2023) reports for UA-MT; its CPS has 21.96",
        },
    ),
}
"""Dataset -> row -> Dice. Table 2 is printed for 10 % of the labels: 7 patients of ACDC, 2 volumes of Synapse."""

TEXT_DELTAS = "the gains in the paper's text (+1.13, +0.85, +0.82 for III, IV, V) are Synapse's"

_UNET = "JC is that of SS-Net's 2D U-Net row: on ACDC read V-Net as the 2D U-Net"
_DHC = "18.07 ± 1.2 and ASD 57.64 ± 1.8 are what DHC reports for UA-MT; its CPS has 21.96 and 55.42"

TABLE_1: dict[str, dict[tuple[str, int], Printed]] = {
    "acdc": {
        (LABELED_ONLY, 3): _table_1(
            "V-Net", "ACDC", 3, (43.30, 8.6), (37.01, 6.90), (12.41, 0.8), _UNET
        ),
        (LABELED_ONLY, 7): _table_1(
            "V-Net", "ACDC", 7, (79.62, 1.5), (68.11, 1.88), (2.94, 1.2), _UNET
        ),
        (ALL_LABELED, 70): _table_1("V-Net", "ACDC", 70, (91.54, 0.7), (84.87, 0.36), (0.90, 0.6)),
        ("I", 3): _table_1("CPS", "ACDC", 3, (57.67, 0.5), (44.02, 0.6), (3.75, 1.8)),
        ("I", 7): _table_1("CPS", "ACDC", 7, (85.71, 0.9), (70.53, 0.6), (4.00, 0.9)),
        ("VI", 3): _table_1("DACL", "ACDC", 3, (90.12, 0.4), (76.12, 1.6), (0.55, 0.2)),
        ("VI", 7): _table_1("DACL", "ACDC", 7, (90.91, 0.5), (79.12, 1.0), (0.38, 0.2)),
    },
    "synapse": {
        (LABELED_ONLY, 2): _table_1(
            "V-Net", "Synapse", 2, (12.37, 9.7), (10.29, 6.8), (68.14, 6.9)
        ),
        (LABELED_ONLY, 4): _table_1(
            "V-Net", "Synapse", 4, (32.13, 6.4), (27.58, 3.4), (35.84, 2.2)
        ),
        (ALL_LABELED, 20): _table_1(
            "V-Net", "Synapse", 20, (62.09, 1.2), (58.43, 2.6), (10.28, 3.9)
        ),
        ("I", 2): _table_1("CPS", "Synapse", 2, (18.07, 1.2), (14.42, 0.9), (57.64, 1.8), _DHC),
        ("I", 4): _table_1("CPS", "Synapse", 4, (31.46, 2.5), (28.13, 2.0), (40.74, 6.9)),
        ("VI", 2): _table_1("DACL", "Synapse", 2, (29.88, 0.7), (26.54, 1.2), (51.32, 1.4)),
        ("VI", 4): _table_1("DACL", "Synapse", 4, (41.32, 1.2), (37.54, 1.0), (32.65, 1.1)),
    },
}
"""Dataset -> (row of ours, labels) -> the method's row. ASD is medpy's, in voxels, from prediction to reference."""


def printed_row(key: str, dataset: str) -> Printed | None:
    """What stands beside a row of an ablation, at the number of labels of Table 2.

    The paper's full method is row VI here with either kind of negatives: it does not say which its rows have. Rows that
    Table 2 lacks are Table 1's at the same number of labels, and with all of them.
    """
    rows = TABLE_2.get(dataset)
    if rows is None:
        return None
    key = "VI" if key == ANCHORS else key
    if key in rows:
        return rows[key]
    labels = {"acdc": 70, "synapse": 20}[dataset] if key == ALL_LABELED else rows["I"].labeled
    return TABLE_1[dataset].get((key, labels))


def paper_heading(dataset: str) -> str:
    """Of the column of printed numbers, with the labelled patients or volumes that they are for."""
    rows = TABLE_2.get(dataset)
    return "paper Dice %" if rows is None else f"paper Dice %, {rows['I'].labeled} labelled"


def paper_cell(key: str, dataset: str) -> str | None:
    """What `printed_row` prints, with its number of labels where that is not the heading's."""
    printed = printed_row(key, dataset)
    if printed is None:
        return None
    text = plus_minus(printed.dice_percent)
    same = printed.labeled == TABLE_2[dataset]["I"].labeled
    return text if same else f"{text} ({printed.labeled} labelled)"


def printed_methods(dataset: str, labeled: int) -> tuple[Printed, ...]:
    """The rows of Table 1 with this number of labels that an ablation has too; none if the paper has none."""
    rows = TABLE_1.get(dataset, {})
    return tuple(printed for (_, labels), printed in rows.items() if labels == labeled)


def plus_minus(value: Value) -> str:
    """`87.50 ± 0.8`."""
    return f"{value[0]:.2f} ± {value[1]:g}"


def paper_lines(keys: Sequence[str], dataset: str, labeled: int) -> list[str]:
    """What to know about the printed numbers that stand beside rows of ours; none if the paper has none.

    Args:
        keys: rows of the table.
        dataset: name of the dataset.
        labeled: labelled patients of our runs.
    """
    rows = {key: row for key in keys if (row := printed_row(key, dataset)) is not None}
    if not rows:
        return []
    printed_for = TABLE_2[dataset]["I"].labeled
    lines = [
        f"paper Dice %: Table 2, printed for {printed_for} labelled (10 %), and V-Net of Table 1 for the rows that "
        "Table 2 lacks; ours are not adjusted towards it. ± is over three seeds in the caption of Table 1, over test "
        "cases in the text"
    ]
    if labeled != printed_for:
        lines.append(
            f"these runs have {labeled} labelled patients and not {printed_for}: the column is no target for them"
        )
    if {"VI", ANCHORS} <= rows.keys():
        lines.append(
            "the paper takes negatives from anchors and does not say from which row on: its row VI stands beside "
            f"both VI and {ANCHORS}"
        )
    beside = [*dict.fromkeys((*printed_methods(dataset, labeled), *rows.values()))]
    for row in beside:
        if row.jc_percent is not None and row.asd_vox is not None:
            lines.append(
                f"paper, {row.source}: Dice {plus_minus(row.dice_percent)}, JC {plus_minus(row.jc_percent)}, "
                f"ASD {plus_minus(row.asd_vox)} voxels"
            )
        lines += [f"paper, {row.source}: {remark}" for remark in row.remarks]
    if any(key in rows for key in ("III", "IV", "V")) and dataset == "acdc":
        lines.append(f"paper: {TEXT_DELTAS}")
    return lines
