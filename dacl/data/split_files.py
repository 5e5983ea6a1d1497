"""Splits from a file: the user's own, or nnU-Net's ``splits_final.json``.

Our JSON: ``{"train": [...], "val": [...], "test": [...]}``, train in labeled order, with ``labeled_sets`` if wanted
(``{"3": [...]}``). Text: a line ``train CASE`` for each. nnU-Net: a list of folds ``{"train": [...], "val": [...]}``.
Names are patients or cases.
"""

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dacl.data.nifti_names import composed
from dacl.data.splits import Split
from dacl.errors import DaclError

_PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class SplitFile:
    """A file that holds a split, or one per fold."""

    path: Path
    fold: int | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """As it is typed."""
        fold = () if self.fold is None else ("--fold", str(self.fold))
        return ("--split-file", str(self.path), *fold)

    def read(self, patient_of: Mapping[str, str], masked: Collection[str]) -> Split:
        """Read the split of these cases.

        Args:
            patient_of: case -> patient.
            masked: patients with a mask. The others close train where the file is nnU-Net's, which knows none.

        Raises:
            DaclError: an unreadable file, a name that is neither patient nor case, a patient in two parts, a
                labelled set of another number of patients than its key.
        """
        content = self._content()
        folds = isinstance(content, list)
        parts = content[self._fold(len(content))] if folds else content
        self._check_parts(parts)
        names = {part: self._listed(parts, part) for part in _PARTS}
        sets = self._sets(parts)
        patients = set(patient_of.values())
        named = [name for group in (*names.values(), *sets.values()) for name in group]
        unknown = [name for name in named if name not in patients and name not in patient_of]
        if unknown:
            shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
            known = sorted(patients | set(patient_of))
            near = difflib.get_close_matches(unknown[0], known, n=3) or known[:3]
            message = f"{self.path} names {len(unknown)} that the dataset does not have: {shown}"
            raise DaclError(message, f"its patients and cases are such as {', '.join(near)}")

        def as_patients(group: list[str]) -> tuple[str, ...]:
            whose = (name if name in patients else patient_of[name] for name in group)
            return tuple(dict.fromkeys(whose))

        train, val, test = (as_patients(names[part]) for part in _PARTS)
        if folds:
            rest = patients - set(masked) - {*train, *val, *test}
            train = (*train, *sorted(rest))
        labeled_sets = {n: as_patients(group) for n, group in sets.items()}
        for n, group in labeled_sets.items():
            if len(group) != n:
                message = f"{self.path}: the labeled set of {n} is of {len(group)} patients"
                raise DaclError(message, "name as many patients as the key says")
        return Split(self._name(content), train, val, test, labeled_sets=labeled_sets)

    def _content(self) -> Any:
        try:
            text = self.path.read_text(encoding="utf-8-sig")  # Windows puts a mark before it
            content = json.loads(text) if self.path.suffix == ".json" else _from_lines(text)
        except (OSError, ValueError) as error:
            hint = (
                'expected JSON {"train": [...], "val": [...], "test": [...]}, or lines `train CASE`'
            )
            raise DaclError(f"split file {self.path} cannot be read: {error}", hint) from error
        fold_list = isinstance(content, list) and all(isinstance(fold, dict) for fold in content)
        if not fold_list and not isinstance(content, dict):
            raise DaclError(
                f"{self.path} holds no split",
                'expected {"train": [...], "val": [...], "test": [...]}',
            )
        if not isinstance(content, list) and self.fold is not None:
            raise DaclError(f"{self.path} has no folds", "leave --fold out")
        return content

    def _fold(self, n_folds: int) -> int:
        if self.fold is None or not 0 <= self.fold < n_folds:
            asked = "none is chosen" if self.fold is None else f"not fold {self.fold}"
            message = f"{self.path} has {n_folds} folds, {asked}"
            raise DaclError(message, f"choose --fold from 0 to {n_folds - 1}")
        return self.fold

    def _check_parts(self, parts: Mapping[str, Any]) -> None:
        """Refuse lists of names under another key, such as `validation`: they would be in no part, in silence."""
        listed = [key for key, names in parts.items() if isinstance(names, list) and names]
        others = [key for key in listed if key not in (*_PARTS, "missing")]
        if others or not parts.get("train"):
            keys = ", ".join(map(repr, others)) or "no train"
            raise DaclError(
                f"{self.path} has {keys}: the parts of a split are called train, val and test",
                'write {"train": [...], "val": [...], "test": [...]}; val and test may be left out',
            )

    def _listed(self, parts: Mapping[str, Any], part: str) -> list[str]:
        names = parts.get(part, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DaclError(
                f"{self.path}: {part} is not a list of names", 'write ["case1", "case2"]'
            )
        return list(map(composed, names))

    def _sets(self, parts: Mapping[str, Any]) -> dict[int, list[str]]:
        sets = parts.get("labeled_sets", {})
        try:
            found = {int(n): self._listed(sets, n) for n in sets}
        except (TypeError, ValueError, AttributeError) as error:
            message = f"{self.path}: labeled_sets is not a table of lists"
            raise DaclError(message, 'write {"3": ["case1", "case2", "case3"]}') from error
        return found

    def _name(self, content: Any) -> str:
        if isinstance(content, list):
            return f"{self.path.stem}:{self.fold}"
        return str(content.get("name") or self.path.stem)


def _from_lines(text: str) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {part: [] for part in _PARTS}
    for line in text.splitlines():
        words = line.partition("#")[0].split(maxsplit=1)  # a name may hold spaces
        if not words:
            continue
        if len(words) != 2 or words[0] not in parts:
            raise ValueError(f"line {line!r} is not `train CASE`, `val CASE` or `test CASE`")
        parts[words[0]].append(words[1].rstrip())
    return parts
