"""What lies where in the folder of a run, for those who look for it without having made it."""

from pathlib import Path

RUN_FILES = ("run.json", "best.pt", "latest.pt")
"""Any of these makes a folder a run."""
EVALUATIONS = "evaluation"
"""The folder below a run's that holds its evaluations."""


def is_run(folder: Path) -> bool:
    """Whether it is the folder of a run, finished or not."""
    return any((folder / name).is_file() for name in RUN_FILES)


def evaluation_name(
    split: str, checkpoint: str, post: str = "none", convention: str = "strict"
) -> str:
    """What an evaluation's folder is called: what was judged, and how where that is not the default.

    Args:
        split: evaluated on.
        checkpoint: its name without `.pt`.
        post: post-processing; `none` leaves no trace.
        convention: rule for empty masks; `strict` leaves no trace.
    """
    parts = [split, checkpoint]
    if post != "none":
        parts.append(post)
    if convention != "strict":
        parts.append(convention)
    return "-".join(parts)


def evaluation_folder(
    run_dir: Path, split: str, checkpoint: str, post: str = "none", convention: str = "strict"
) -> Path:
    """Where `dacl evaluate` writes if it is not told otherwise; arguments as of `evaluation_name`."""
    return run_dir / EVALUATIONS / evaluation_name(split, checkpoint, post, convention)
