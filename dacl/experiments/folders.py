"""Where the evaluation of a run lies, and what to type where there is none."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dacl.errors import DaclError
from dacl.run_layout import EVALUATIONS, evaluation_name, is_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which evaluation of a run is meant; the defaults are those of `dacl evaluate`."""

    split: Literal["val", "test"] = "test"
    checkpoint: Literal["best", "latest"] = "best"
    post: Literal["none", "largest-component"] = "none"
    convention: str = "strict"

    @property
    def folder_name(self) -> str:
        """`test-best`, with post-processing and convention where they are not the default."""
        return evaluation_name(self.split, self.checkpoint, self.post, self.convention)

    def command(self, run: Path) -> str:
        """The `dacl evaluate` that fills this place."""
        default = Place()
        options = [
            f"--{name} {value}"
            for name in ("split", "checkpoint", "post", "convention")
            if (value := getattr(self, name)) != getattr(default, name)
        ]
        return " ".join(["dacl evaluate", shlex.quote(str(run)), *options])


class NotEvaluated(DaclError):
    """A run without this evaluation; the hint is the command that makes it."""


def find_evaluation(path: Path, place: Place) -> Path:
    """The finished evaluation that `path` means: its own folder, or the one of a run at `place`.

    Raises:
        NotEvaluated: the run has none.
        DaclError: neither a run nor an evaluation.
    """
    if (path / "summary.json").is_file():
        return path
    if is_run(path):
        found = path / EVALUATIONS / place.folder_name
        if (found / "summary.json").is_file():
            return found
        raise NotEvaluated(
            f"{path} has no finished evaluation {place.folder_name}", place.command(path)
        )
    if path.suffix == ".pt" and path.is_file():
        raise DaclError(f"{path} is a checkpoint", f"give the folder of its run: {path.parent}")
    if not path.exists():
        raise DaclError(f"no such folder: {path}", "give folders of runs or of evaluations")
    if (path / "cases.csv").is_file():
        raise DaclError(f"{path} holds an unfinished evaluation", "run its `dacl evaluate` again")
    raise DaclError(
        f"{path} is neither a run nor an evaluation",
        "give folders that `dacl train` or `dacl evaluate` wrote",
    )


def find_evaluations(paths: Sequence[Path], place: Place) -> list[Path]:
    """`find_evaluation` of each.

    Raises:
        NotEvaluated: some runs have none; the hint makes all of them.
        DaclError: neither a run nor an evaluation.
    """
    found, missing = [], []
    for path in paths:
        try:
            found.append(find_evaluation(path, place))
        except NotEvaluated as error:
            missing.append(error)
    if missing:
        raise NotEvaluated(
            "; ".join(error.message for error in missing),
            " && ".join(dict.fromkeys(error.hint for error in missing)),
        )
    return found


def run_of(evaluation: Path) -> Path | None:
    """The run's folder that this evaluation lies in, if it does."""
    run = evaluation.parent.parent
    inside = evaluation.parent.name == EVALUATIONS
    return run if inside and is_run(run) else None
