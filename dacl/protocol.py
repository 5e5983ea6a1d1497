"""The two blocks of every result: `protocol`, which must match for a comparison, and `provenance`, which is recorded.

A table varies the axis it declares and nothing else: `differences` names what else two protocols disagree on.
"""

import platform
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

import dacl


class Protocol(BaseModel):
    """What was measured, how, and on what: two results are comparable when these agree."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    dataset_fingerprint: str
    synthetic: bool
    intensity: str
    """Rule that maps stored intensities to network input."""
    split: str
    split_hash: str
    evaluated_on: str
    """`val` or `test`."""
    labeled_patients: tuple[str, ...]
    networks: tuple[str, ...]
    """Networks judged; each row of a table names its own."""
    checkpoint_rule: str
    """`best`: highest validation Dice of network a; `latest`: the last step."""
    resolution: str
    """Grid on which masks are compared."""
    distance_unit: str
    empty_rule: str
    """Convention for masks that are empty on one side or both."""
    averaging: str
    post_processing: str


def differences(
    first: Protocol, second: Protocol, *, axis: frozenset[str] = frozenset()
) -> list[str]:
    """Lines `field: a != b` for every field that disagrees and is not on the declared `axis`."""
    one, two = first.model_dump(), second.model_dump()
    return [
        f"{name}: {one[name]!r} != {two[name]!r}"
        for name in one
        if name not in axis and one[name] != two[name]
    ]


def provenance(**extra: Any) -> dict[str, Any]:
    """Software, machine and command of this process, with `extra` (seed, method, preset, device...) added."""
    return {
        **extra,
        "command": _command(),
        "dacl": dacl.__version__,
        "git": git_state(),
        "python": platform.python_version(),
        "platform": platform.system() + " " + platform.machine(),
        "packages": {name: _version(name) for name in ("torch", "numpy", "scipy", "h5py")},
    }


def _command() -> str:
    program = Path(sys.argv[0]).name
    return shlex.join(["dacl" if program == "__main__.py" else program, *sys.argv[1:]])


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git_state() -> dict[str, Any] | None:
    """Commit of the source tree dacl runs from and whether it was modified; None outside a checkout.

    None too where git does not answer: on a network disk that hangs, no work is lost to a note about it.
    """
    root = Path(dacl.__file__).resolve().parent.parent
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        modified = bool(git("status", "--porcelain"))
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"commit": commit, "modified": modified} if commit else None
