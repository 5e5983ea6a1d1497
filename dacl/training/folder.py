"""The folder of a run: what it was asked for, before the first step, and one training at a time."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from dacl import protocol
from dacl.config import Config, config_hash
from dacl.config_text import to_toml
from dacl.errors import DaclError
from dacl.folder_lock import kept_out
from dacl.run_layout import is_run
from dacl.training import checkpoint
from dacl.training.journal import Journal


@contextmanager
def sole_writer(run_dir: Path) -> Iterator[None]:
    """Keep other trainings out of a run's folder: journal and checkpoints of two would be mixed.

    Raises:
        DaclError: another process trains this run.
    """
    record = run_dir / "run.json"
    if not record.is_file():  # brought here without it, or not begun
        yield
        return
    taken = DaclError(
        f"another process is training {run_dir}",
        "wait for it; a new run needs a folder of its own: --out",
    )
    with kept_out(record, taken):
        yield


@contextmanager
def sole_journal(run_dir: Path, *, tensorboard: bool, step: int) -> Iterator[Journal]:
    """The journal of a run that goes on from `step`, cut back to there; others are kept out until it is closed.

    Raises:
        DaclError: another process trains this run, the journal is damaged, or TensorBoard was asked for and is not
            installed.
    """
    with sole_writer(run_dir):
        if step > 0:
            Journal(run_dir).cut(step)
        with closing(Journal(run_dir, tensorboard=tensorboard, purge_step=step + 1)) as journal:
            yield journal


def begin_folder(
    run_dir: Path, config: Config, meta: checkpoint.RunMeta, machine: dict[str, Any]
) -> None:
    """Write run.json (provenance, data, configuration), config.toml and an empty journal.

    Raises:
        DaclError: the folder is that of a run, whose checkpoints would stay beside them.
    """
    taken = DaclError(
        f"{run_dir} is the folder of a run already",
        "resume that one, delete it, or name another folder",
    )
    if is_run(run_dir):
        raise taken
    run_dir.mkdir(parents=True, exist_ok=True)
    provenance = protocol.provenance(
        method=config.method,
        preset=config.preset,
        seed=config.seed,
        config_hash=config_hash(config),
        **machine,
    )
    run = {
        "provenance": provenance,
        "data": checkpoint.pack_meta(meta),
        "config": config.model_dump(mode="json"),
    }
    try:
        with (run_dir / "run.json").open("x", encoding="utf-8") as file:
            file.write(json.dumps(run, indent=1) + "\n")
    except FileExistsError:  # begun by another process since
        raise taken from None
    (run_dir / "config.toml").write_text(to_toml(config), encoding="utf-8")
    (run_dir / "metrics.jsonl").write_text("", encoding="utf-8")
