"""Which cases and slices a picture of segmentations shows, by rules that favour no run.

Cases, by mean foreground Dice:

    median          the middle of all cases by their mean over the runs, the lower one of two
    worst           the lowest mean over the runs
    most different  the largest spread (highest minus lowest run); among the rest if it is one of the two above
    best            the highest, in the place of `most different` where there is one run

Cases of equal Dice are ordered by id. Slices: the one with most foreground in the reference; of the worst case the one
with most wrong voxels, all runs together; of the most different case the one where the runs' numbers of wrong voxels
differ most. A slice is thus typical where the case is, and shows what the case was chosen for where it was not.

Shape legend: Z slices, H rows, W columns, R runs.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Integer

from dacl.errors import DaclError
from dacl.experiments.case_scores import case_rows, number

SliceRule = Literal["most foreground", "most errors", "errors differ most"]
NAMED = "Named"
EMPTY = {"undefined": math.nan, "missed": 0.0, "spurious": 0.0}
"""Status of a class in cases.csv -> the Dice of its two masks, where one or both are empty."""
MAX_CASES = 6
"""Rows that stay legible on a page."""


class Choice(NamedTuple):
    """A case, why it is shown, and which of its slices."""

    case: str
    why: str
    slice_rule: SliceRule = "most foreground"


def choose_cases(dice: Mapping[str, Mapping[str, float]]) -> list[Choice]:
    """At most three cases, in the order median, worst, most different (or best).

    Of two cases the better and the worse one are shown, of one case that one.

    Args:
        dice: run -> case -> mean foreground Dice; cases that any run lacks, or has NaN for, are left out.

    Raises:
        DaclError: no case has a Dice in every run.
    """
    by_case = {
        case: [of_run.get(case, math.nan) for of_run in dice.values()]
        for case in sorted(next(iter(dice.values()), {}))
    }
    by_case = {case: scores for case, scores in by_case.items() if not any(map(math.isnan, scores))}
    if not by_case:
        raise DaclError(
            f"no case has a Dice in every one of {', '.join(dice) or 'no runs'}",
            "evaluate all of them on the same split, or name cases with --cases",
        )
    # Sorting is stable, and cases come in the order of their ids.
    ranked = sorted(by_case, key=lambda case: sum(by_case[case]) / len(by_case[case]))
    worst = Choice(ranked[0], "Worst", "most errors")
    if len(ranked) == 1:
        return [Choice(ranked[0], "Only case")]
    if len(ranked) == 2:
        return [Choice(ranked[1], "Better of two"), worst._replace(why="Worse of two")]
    median = Choice(ranked[(len(ranked) - 1) // 2], "Median")
    if len(dice) == 1:
        return [median, worst, Choice(ranked[-1], "Best")]
    by_spread = sorted(by_case, key=lambda case: min(by_case[case]) - max(by_case[case]))
    rest = [case for case in by_spread if case not in (median.case, worst.case)]
    why = "Most different" if rest[0] == by_spread[0] else "Most different of the others"
    return [median, worst, Choice(rest[0], why, "errors differ most")]


def named_cases(names: Sequence[str], valid: Sequence[str]) -> list[Choice]:
    """The cases that the user asks for, in that order.

    Raises:
        DaclError: one of them is not a valid case, stands there twice, or they are too many for a page or none.
    """
    unknown = [name for name in names if name not in valid]
    if unknown:
        raise DaclError(
            f"no case {', '.join(map(repr, unknown))} among the {len(valid)} to choose from",
            f"cases are {_some(valid)}",
        )
    if len(set(names)) < len(names) or not 0 < len(names) <= MAX_CASES:
        raise DaclError(
            f"{len(names)} cases for a picture: {', '.join(names)}",
            f"name one to {MAX_CASES} different ones",
        )
    return [Choice(name, NAMED) for name in names]


def _some(valid: Sequence[str], n: int = 6) -> str:
    return ", ".join(valid[:n]) + (f", ... ({len(valid) - n} more)" if len(valid) > n else "")


def choose_slice(
    truth_ZHW: Integer[np.ndarray, "Z H W"],
    predictions_ZHW: Sequence[Integer[np.ndarray, "Z H W"]],
    rule: SliceRule,
) -> tuple[int, str]:
    """The slice to show, from 0, and why: `rule`, or what stands in for it where it tells no slice from another.

    The lowest slice of several that are equal. Without errors (or differences of errors) it is the one with most
    foreground in the reference, or, without a reference, in the predictions; without any, the middle.
    """
    wrong_RZ = np.array([(mask != truth_ZHW).sum(axis=(1, 2)) for mask in predictions_ZHW])
    found_RZ = np.array([(mask > 0).sum(axis=(1, 2)) for mask in predictions_ZHW])
    counted_Z = {
        "most errors": wrong_RZ.sum(axis=0),
        "errors differ most": wrong_RZ.max(axis=0) - wrong_RZ.min(axis=0),
        "most foreground": (truth_ZHW > 0).sum(axis=(1, 2)),
        "most predicted": found_RZ.sum(axis=0),
    }
    for why in (rule, "most foreground", "most predicted"):
        if counted_Z[why].any():
            return int(counted_Z[why].argmax()), why
    return len(truth_ZHW) // 2, "middle"


def foreground_dice(dice_C: Sequence[float]) -> float:
    """Mean of the classes that are defined, background first and left out; NaN without any."""
    defined = [float(dice) for dice in dice_C[1:] if not math.isnan(dice)]
    return sum(defined) / len(defined) if defined else math.nan


def read_case_dice(cases_csv: Path, network: str) -> dict[str, float]:
    """Mean foreground Dice of every case of an evaluation, as `foreground_dice` counts whatever its convention.

    NaN where no class is in either mask.

    Raises:
        DaclError: the file is missing or holds nothing of this network.
    """
    by_case: dict[str, list[float]] = {}
    networks: set[str] = set()
    for row in case_rows(cases_csv):
        networks.add(row["network"])
        if row["network"] == network:
            # Conventions other than ours put constants of their own where a mask is empty.
            status = row["status"]
            dice = number(cases_csv, row["dice"]) if status == "ok" else EMPTY[status]
            by_case.setdefault(row["case"], []).append(dice)
    if not by_case:
        raise DaclError(
            f"{cases_csv} holds nothing of network {network!r}",
            f"it has {', '.join(sorted(networks)) or 'no network'}",
        )
    return {case: foreground_dice([math.nan, *dice]) for case, dice in by_case.items()}
