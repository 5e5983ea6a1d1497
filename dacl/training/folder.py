"""The folder of a fresh run: what it was asked for, before the first step."""

import json
from pathlib import Path
from typing import Any

from dacl import protocol
from dacl.config import Config, config_hash
from dacl.config_text import to_toml
from dacl.errors import DaclError
from dacl.training import checkpoint


def begin_folder(
    run_dir: Path, config: Config, meta: checkpoint.RunMeta, machine: dict[str, Any]
) -> None:
    """Write run.json (provenance, data, configuration), config.toml and an empty journal.

    Raises:
        DaclError: the folder is that of a run, whose checkpoints would stay beside them.
    """
    if any((run_dir / name).exists() for name in ("run.json", "latest.pt", "best.pt")):
        raise DaclError(
            f"{run_dir} is the folder of a run already",
            "resume that one, delete it, or name another folder",
        )
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
    (run_dir / "run.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    (run_dir / "config.toml").write_text(to_toml(config), encoding="utf-8")
    (run_dir / "metrics.jsonl").write_text("", encoding="utf-8")
