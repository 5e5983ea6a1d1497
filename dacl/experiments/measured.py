"""Rows of a table as they were measured: every seed, two spreads, and paired differences to other rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from dacl.config import recipe, resolve
from dacl.errors import DaclError
from dacl.experiments.ablation import Row
from dacl.experiments.case_scores import CaseScores, foreground_by_patient, read_scores
from dacl.experiments.paired import Difference, difference_of_runs
from dacl.experiments.tables import Summary
from dacl.metrics.summary import FOREGROUND

METRICS = ("dice", "jc", "asd_vox", "hd95_vox")
"""Of a row; the other metrics stand in the evaluation of each cell."""
SUMMARY_PARTS = {"protocol", "provenance", "networks"}
"""Keys of every summary.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One evaluated cell."""

    summary: Summary
    dice: CaseScores | None
    """Of the judged network, fractions of 1; None where only the rest is asked for."""
    recipe: Mapping[str, Any] | None = None
    """`config.recipe` of the run; None where its folder no longer says."""

    @property
    def dice_by_patient(self) -> dict[str, float]:
        """Mean foreground Dice of every patient that has one."""
        if self.dice is None:
            return {}
        return foreground_by_patient(self.dice.values_VC, self.dice.patients)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """The cells of one row."""

    row: Row
    runs: Mapping[int, RunResult]
    """Seed -> result."""
    missing: Mapping[int, str] = field(default_factory=dict)
    """Seed -> why it is not there: `not run`, `failed: <first line>`."""

    @property
    def first(self) -> RunResult:
        """The run of the first seed, for what all runs of the row share; of a row that has one."""
        return next(iter(self.runs.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A row minus another one, over the seeds that both have."""

    to: str
    """Key of the other row."""
    seeds: tuple[int, ...]
    difference: Difference
    undefined: int = 0
    """Cells (a volume and a class) left out because a run of either row has no value there: `SharedCells`."""
    contested: int = 0
    """Those of them where another run has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A row with at least one cell, and how it stands to others."""

    result: RowResult
    network: str
    above: Comparison | None = None
    """To the row that it is one step away from."""
    reference: Comparison | None = None
    """To the row that all are held against."""

    @property
    def key(self) -> str:
        """Of the row."""
        return self.result.row.key

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that are there."""
        return tuple(self.result.runs)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """To the row above, then to the reference; once where these are one row."""
        found = {x.to: x for x in (self.above, self.reference) if x is not None}
        return tuple(found.values())

    def by_seed(self, metric: str) -> dict[int, float | None]:
        """Foreground mean of every run, in the unit of summary.json; None where it is undefined."""
        return {
            seed: run.summary["networks"][self.network][FOREGROUND][metric]["mean"]
            for seed, run in self.result.runs.items()
        }

    def mean(self, metric: str) -> float | None:
        """Over seeds; None if one of them has no value."""
        values = self._values(metric)
        return mean(values) if values else None

    def std_over_seeds(self, metric: str) -> float | None:
        """Sample standard deviation over runs; None for one."""
        values = self._values(metric)
        return stdev(values) if len(values) > 1 else None

    @property
    def dice_std_over_patients(self) -> float | None:
        """Sample standard deviation over patients of their Dice, seeds averaged first; None for one patient."""
        runs = [run.dice_by_patient for run in self.result.runs.values()]
        patients = [p for p in runs[0] if all(p in run for run in runs)]
        averages = [mean(run[p] for run in runs) for p in patients]
        return stdev(averages) if len(averages) > 1 else None

    def _values(self, metric: str) -> list[float]:
        values = [value for value in self.by_seed(metric).values() if value is not None]
        return values if len(values) == len(self.seeds) else []


def read_run(evaluation: Path, network: str = "a") -> RunResult:
    """What lies in an evaluation folder, `<run>/evaluation/<name>`, and the recipe of its run.

    Raises:
        DaclError: no finished evaluation, or nothing of this network in it.
    """
    summary = read_summary(evaluation)
    return RunResult(
        summary=summary,
        dice=read_scores(evaluation / "cases.csv", network, volumes=summary.get("n_volumes")),
        recipe=read_recipe(evaluation.parent.parent),
    )


def read_summary(evaluation: Path) -> Summary:
    """Content of its summary.json.

    Raises:
        DaclError: no finished evaluation.
    """
    path = evaluation / "summary.json"
    try:
        summary: Summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DaclError(
            f"no finished evaluation: {path}", "run `dacl evaluate RUN` first"
        ) from None
    if not (isinstance(summary, dict) and summary.keys() >= SUMMARY_PARTS):
        raise DaclError(f"{path} is not what an evaluation writes", "run its `dacl evaluate` again")
    return summary


def read_recipe(run_dir: Path) -> dict[str, Any] | None:
    """`config.recipe` of a run; None where its folder does not say."""
    try:
        config = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["config"]
        return recipe(resolve(config["preset"], config))
    except (OSError, ValueError, KeyError, DaclError):
        # A folder of results without its run, or a run of another version of the configuration.
        return None


def measure(
    results: Sequence[RowResult], *, network: str, reference: str | None
) -> tuple[Measured, ...]:
    """The rows that have a cell, held against the row above and against `reference`.

    Args:
        results: in the order of the table.
        network: the network judged.
        reference: key of a row; a table without it has no such differences.
    """
    there = {result.row.key: result for result in results if result.runs}
    return tuple(
        Measured(
            result=result,
            network=network,
            above=_compare(result, there.get(result.row.above or "")),
            reference=_compare(result, there.get(reference or "")),
        )
        for result in there.values()
    )


def _compare(first: RowResult, second: RowResult | None) -> Comparison | None:
    """None without another row, a common seed, or a cell with a value in every run of both."""
    if second is None or second is first:
        return None
    seeds = sorted(first.runs.keys() & second.runs.keys())
    if not seeds:
        return None
    own, others = (
        [dice for seed in seeds if (dice := result.runs[seed].dice) is not None]
        for result in (first, second)
    )
    difference, shared = difference_of_runs(own, others)
    if difference is None or shared is None:
        return None
    return Comparison(
        to=second.row.key,
        seeds=tuple(seeds),
        difference=difference,
        undefined=shared.undefined,
        contested=shared.contested,
    )
