"""One metric of one network, as an evaluation left it: a value per volume and class, and their means by patient.

Shape legend: V volumes, P patients, C foreground classes. NaN is an undefined value.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dacl.errors import DaclError
from dacl.metrics.means import defined_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseScores:
    """Values in the unit of cases.csv: Dice and Jaccard as fractions of 1, distances as the metric's name says."""

    cases: tuple[str, ...]
    patients: tuple[str, ...]
    """Of each case."""
    classes: tuple[str, ...]
    values_VC: Float[np.ndarray, "V C"]

    def of(self, cases: Sequence[str], classes: Sequence[str]) -> "CaseScores":
        """These cases and classes in this order; all of them must be there."""
        v = [self.cases.index(case) for case in cases]
        c = [self.classes.index(name) for name in classes]
        return CaseScores(
            cases=tuple(cases),
            patients=tuple(self.patients[place] for place in v),
            classes=tuple(classes),
            values_VC=self.values_VC[np.ix_(v, c)],
        )


def case_rows(cases_csv: Path) -> Iterator[dict[str, str]]:
    """The lines of an evaluation's cases.csv, by column.

    Raises:
        DaclError: the file is missing, or a line of it is not whole.
    """
    if not cases_csv.is_file():
        raise DaclError(f"no {cases_csv}", "run `dacl evaluate RUN` first")
    with cases_csv.open(newline="", encoding="utf-8-sig") as file:  # a spreadsheet may add a mark
        reader = csv.DictReader(file)
        for row in reader:
            if None in row or None in row.values():
                raise damaged(cases_csv, f"line {reader.line_num} is not whole")
            yield row


def rows_of(network: str, cases_csv: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Its `case_rows` of one network.

    Raises:
        DaclError: as `case_rows`, or one of these columns is not there.
    """
    for row in case_rows(cases_csv):
        if absent := {"network", *columns} - row.keys():
            raise damaged(cases_csv, f"it has no column {min(absent)!r}")
        if row["network"] == network:
            yield row


def number(cases_csv: Path, text: str) -> float:
    """A value of cases.csv; NaN for an empty cell.

    Raises:
        DaclError: it is no number.
    """
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise damaged(cases_csv, f"{text!r} is no number") from None


def damaged(cases_csv: Path, why: str) -> DaclError:
    """What to say of a file that an evaluation did not write so."""
    return DaclError(f"{cases_csv} is damaged: {why}", "run its `dacl evaluate` again")


def read_scores(
    cases_csv: Path, network: str = "a", metric: str = "dice", *, volumes: int | None = None
) -> CaseScores:
    """Every volume and class of one network, in the order of the file.

    Args:
        cases_csv: of an evaluation.
        network: whose lines.
        metric: a column.
        volumes: how many were judged, each of which has a line for every class; None: not known.

    Raises:
        DaclError: the file is missing or damaged, lacks the metric, or holds nothing of this network.
    """
    patient_of: dict[str, str] = {}
    classes: dict[str, None] = {}
    cells: dict[tuple[str, str], float] = {}
    for row in rows_of(network, cases_csv, "case", "patient", "class", metric):
        cell = row["case"], row["class"]
        if cell in cells:
            raise damaged(cases_csv, f"it holds {' '.join(cell)}, network {network} twice")
        patient_of[row["case"]] = row["patient"]
        classes[row["class"]] = None
        cells[cell] = number(cases_csv, row[metric])
    if not cells:
        raise DaclError(f"{cases_csv} holds nothing of network {network!r}", "networks: a, b, mean")
    if volumes is not None and len(cells) != volumes * len(classes):
        raise damaged(
            cases_csv,
            f"of network {network} it holds {len(cells)} lines of {len(classes)} classes, where {volumes} volumes "
            "were judged",
        )
    return CaseScores(
        cases=tuple(patient_of),
        patients=tuple(patient_of.values()),
        classes=tuple(classes),
        values_VC=np.array(
            [[cells.get((case, name), math.nan) for name in classes] for case in patient_of]
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCells:
    """Several runs on the cells (a volume and a class) that all of them hold, S runs in their order."""

    cases: tuple[str, ...]
    patients: tuple[str, ...]
    """Of each case."""
    classes: tuple[str, ...]
    values_SVC: Float[np.ndarray, "S V C"]
    """NaN in every run where one of them has no value, or the runs would be means over different things."""
    charged_SVC: Float[np.ndarray, "S V C"]
    """The same, but contested cells have values: perfect for a run that rightly found nothing there, its own for one
    that painted what is not there."""
    undefined: int
    """Cells without a value in some run."""
    contested: int
    """Those of them with a value in another run. The volume has no such class, which one run found and one did not."""


def shared_cells(runs: Sequence[CaseScores], *, perfect: float = 1.0) -> SharedCells | None:
    """The cells of volumes and classes that all runs hold; None where they share none.

    Args:
        runs: one metric of each.
        perfect: its best value.
    """
    cases = [case for case in runs[0].cases if all(case in run.cases for run in runs)]
    classes = [name for name in runs[0].classes if all(name in run.classes for run in runs)]
    if not cases or not classes:
        return None
    shared = [run.of(cases, classes) for run in runs]
    values_SVC = np.stack([run.values_VC for run in shared])
    absent_SVC = np.isnan(values_SVC)
    undefined_VC = absent_SVC.any(axis=0)
    contested_VC = undefined_VC & ~absent_SVC.all(axis=0)
    return SharedCells(
        cases=tuple(cases),
        patients=shared[0].patients,
        classes=tuple(classes),
        values_SVC=np.where(undefined_VC, np.nan, values_SVC),
        charged_SVC=np.where(absent_SVC & contested_VC, perfect, values_SVC),
        undefined=int(undefined_VC.sum()),
        contested=int(contested_VC.sum()),
    )


def foreground_by_patient(
    values_VC: Float[np.ndarray, "V C"], patients: Sequence[str]
) -> dict[str, float]:
    """Mean of every patient that has a value: volumes first, then classes; undefined values left out."""
    names, values_PC = patient_means(values_VC, patients)
    return {
        name: float(value)
        for name, value in zip(names, defined_mean(values_PC.T), strict=True)
        if not math.isnan(value)
    }


def patient_means(
    values_VC: Float[np.ndarray, "V C"], patients: Sequence[str]
) -> tuple[tuple[str, ...], Float[np.ndarray, "P C"]]:
    """The patients in the order of their first volume, and their means over volumes without NaN.

    Args:
        values_VC: NaN where undefined.
        patients: of each volume.
    """
    distinct = tuple(dict.fromkeys(patients))
    of_V = np.array([distinct.index(patient) for patient in patients])
    return distinct, np.stack([defined_mean(values_VC[of_V == p]) for p in range(len(distinct))])
