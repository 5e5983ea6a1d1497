"""Checkpoints: everything that resuming needs in one file, written atomically, read without running any code."""

import io
import os
import pickle
import shlex
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dacl.config import Config, resolve
from dacl.data.case import SpacingMm
from dacl.data.orientation import CANONICAL, is_canonical
from dacl.data.prepared import PreparedDataset
from dacl.data.splits import check_name
from dacl.errors import DaclError
from dacl.methods import METHODS
from dacl.methods.base import Method

FORMAT = 1
WHICH = ("best", "latest")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMeta:
    """What a checkpoint knows of its data."""

    dataset_name: str
    dataset_root: str
    dataset_fingerprint: str
    class_names: tuple[str, ...]
    channels: int
    synthetic: bool
    intensity: str
    split_name: str
    split_hash: str
    labeled_patients: tuple[str, ...]
    dataset_from_run: str = ""
    """`dataset_root` as seen from the run's folder, for those who come from another folder."""
    # Checkpoints of earlier versions lack what follows.
    channel_names: tuple[str, ...] = ()
    modality: str = ""
    orientation: str | None = None
    """`LPS` where the volumes are held so, empty where nobody knows how they lie; None: not recorded."""
    spacing_low_mm: SpacingMm | None = None
    """The smallest spacing (z, y, x) of the training volumes, axis by axis; None: unknown."""
    spacing_high_mm: SpacingMm | None = None
    """The largest."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A method read from a checkpoint, in evaluation mode, fp32."""

    method: Method
    config: Config
    step: int
    path: Path
    run_dir: Path
    meta: RunMeta
    rule: str
    """Why this step was kept: `best` or `latest`."""
    run_step: int
    """The last step known of the run; below `config.optim.steps` it is unfinished."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that `path` holds the old file or the new one, never a part.

    Raises:
        DaclError: the disk is full or not writable; the old file is intact.
    """
    partial = path.with_name(path.name + ".partial")
    whole = io.BytesIO()  # torch's own writer hides what the system says of a full disk
    torch.save({"format": FORMAT, **state}, whole)
    try:
        with partial.open("wb") as file:
            file.write(whole.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        held = [f"{which}.pt" for which in WHICH if (path.parent / f"{which}.pt").is_file()]
        raise DaclError(
            f"could not write checkpoint {path}: {error}",
            f"free some disk space; {' and '.join(held)} of before {'is' if len(held) == 1 else 'are'} intact: "
            f"dacl train --resume {shlex.quote(str(path.parent))}"
            if held
            else f"free some disk space and start again (--overwrite): {path.parent} holds no checkpoint yet",
        ) from error


def load(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """The state that `save` wrote, on the CPU; `weights_only=True`, so that a hostile file runs nothing.

    Args:
        path: the file.
        mapped: leave the tensors in the file until they are looked at: for who wants a few plain values of it.

    Raises:
        DaclError: missing, truncated, hostile, or of another program or version.
    """
    if not path.is_file():
        raise DaclError(
            f"no checkpoint {path}", "give a run folder or a .pt file that `dacl train` wrote"
        )
    try:
        # what is no zip file cannot be mapped, and is refused below
        mapped = mapped and zipfile.is_zipfile(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise DaclError(
            f"{path} is no checkpoint, or holds objects that could run code: it was not read",
            "use only checkpoints that `dacl train` wrote",
        ) from error
    except Exception as error:  # the unpickler raises anything on a file that is not its own
        raise DaclError(
            f"{path} is damaged or is no checkpoint ({type(error).__name__})",
            "use the run's other checkpoint (best.pt or latest.pt; to resume, delete this one), or train again",
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise DaclError(
            f"{path} is no dacl checkpoint of format {FORMAT} (found {found!r})",
            "use a checkpoint that this version of dacl wrote",
        )
    return state


def locate(path: Path, which: str = "best") -> Path:
    """The checkpoint file of a run folder, or the file itself.

    Raises:
        DaclError: neither a run folder nor a file.
    """
    if not path.is_dir():
        return path
    checkpoint = path / f"{which}.pt"
    if checkpoint.is_file():
        return checkpoint
    held = [name for name in WHICH if (path / f"{name}.pt").is_file()]
    if held:
        hint = f"it holds {held[0]}.pt: add --checkpoint {held[0]}, or give {path / held[0]}.pt"
    elif (path / "run.json").is_file():
        hint = "the run ended before its first checkpoint: start it again with --overwrite"
    else:
        hint = "is this the folder of a run?"
    raise DaclError(f"{path} holds no {which}.pt", hint)


def held_by(run_dir: Path) -> list[Path]:
    """The checkpoints that a run's folder holds, latest.pt first; see `load_newest` for which of the two is newer."""
    return [path for which in ("latest", "best") if (path := run_dir / f"{which}.pt").is_file()]


def load_newest(run_dir: Path) -> tuple[Path, dict[str, Any]]:
    """What a run goes on from: latest.pt, or a best.pt that it does not know of yet, and the state in it.

    A run may be killed between the two. Going on from before that best.pt on a GPU or on other threads would come to
    other weights, and leave one as the best that the journal does not have.

    Raises:
        DaclError: see `locate` and `load`.
    """
    held = held_by(run_dir)
    path = held[0] if held else locate(run_dir, "latest")
    state = load(path)
    for other in held[1:]:
        with suppress(DaclError):
            best = load(other)
            if best.get("step", 0) > state.get("step", 0):
                return other, best
    return path, state


def load_trained(path: Path, device: torch.device, which: str = "best") -> Trained:
    """The method of a run folder or checkpoint, ready to predict on `device`.

    Raises:
        DaclError: see `locate` and `load`.
    """
    checkpoint = locate(path, which)
    state = load(checkpoint)
    with must_fit(checkpoint):
        config = resolve(state["config"]["preset"], state["config"])
        meta = read_meta(state)
        method = METHODS[config.method](config, meta.channels, len(meta.class_names))
        method.load_state_dict(state["method"])
        step = int(state["step"])
        rule = state.get("rule", checkpoint.stem)
    run_step = max(step, _latest_step(checkpoint.parent)) if rule == "best" else step
    method.eval()
    return Trained(
        method.to(device), config, step, checkpoint, checkpoint.parent, meta, rule, run_step
    )


def _latest_step(run_dir: Path) -> int:
    """Step of a run's latest.pt; 0 where it is absent or cannot be read, which is no reason not to use another."""
    try:
        return int(load(run_dir / "latest.pt", mapped=True)["step"])
    except DaclError:
        return 0


def open_data(meta: RunMeta, path: Path, root: Path | None = None) -> PreparedDataset:
    """The data of the checkpoint `path`: where it was, or at `root`.

    Raises:
        DaclError: it is not there, or holds other cases or another split.
    """
    if root is None:
        root = Path(meta.dataset_root)
        if not root.exists() and meta.dataset_from_run:
            root = path.parent / meta.dataset_from_run
    if not root.exists():
        raise DaclError(
            f"the data of {path}, {meta.dataset_name}, is not at {root}",
            "name the prepared dataset with --data",
        )
    dataset = PreparedDataset.open(root)
    if dataset.fingerprint != meta.dataset_fingerprint:
        raise DaclError(
            f"{path} was trained on {meta.dataset_name} "
            f"(fingerprint {meta.dataset_fingerprint[:12]}), {root} is {dataset.name} "
            f"(fingerprint {dataset.fingerprint[:12]})",
            "name the dataset it was trained on with --data",
        )
    if dataset.split.hash != meta.split_hash:
        raise DaclError(
            f"{path} was trained on split {meta.split_name} ({meta.split_hash[:12]}), "
            f"{root} has split {dataset.split.name} ({dataset.split.hash[:12]}): "
            "its test patients may have been trained on",
            f"prepare the data {_with_split(meta)} and name it with --data",
        )
    return dataset


def _with_split(meta: RunMeta) -> str:
    """How `dacl preprocess` is asked for a run's split."""
    try:
        check_name(meta.split_name, meta.dataset_name)
    except DaclError:
        return f"with the --split-file that split {meta.split_name!r} is from"
    return f"with --split {shlex.quote(meta.split_name)}"


def data_facts(dataset: PreparedDataset) -> dict[str, Any]:
    """What `RunMeta` remembers of the training volumes, so that a scan of another kind is known as one."""
    cases = dataset.cases(dataset.split.train)
    places = [dataset.read_geometry(case.id) for case in cases]
    canonical = any(place.orientation or is_canonical(place.affine) for place in places)
    known = [case.spacing_mm for case in cases if case.spacing_mm is not None]
    by_axis = list(zip(*known, strict=True))
    return {
        "channel_names": dataset.channels,
        "modality": dataset.modality,
        "orientation": CANONICAL if canonical else "",
        "spacing_low_mm": tuple(map(min, by_axis)) if known else None,
        "spacing_high_mm": tuple(map(max, by_axis)) if known else None,
    }


@contextmanager
def must_fit(path: Path) -> Iterator[None]:
    """Turn what is missing in a checkpoint's state, or does not fit, into a DaclError that names the file."""
    try:
        yield
    except (KeyError, TypeError, RuntimeError, ValueError, DaclError) as error:
        raise DaclError(
            f"{path} does not hold what a checkpoint of dacl holds: {_first_line(error)}",
            "use a checkpoint that this version of dacl wrote",
        ) from error


def read_meta(state: dict[str, Any]) -> RunMeta:
    """The data block of a checkpoint's state."""
    values = dict(state["meta"])
    # JSON has lists for them
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return RunMeta(**values | lists)


def pack_meta(meta: RunMeta) -> dict[str, Any]:
    """The inverse of `read_meta`: plain values only."""
    return asdict(meta)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
