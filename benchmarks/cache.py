"""References that take minutes, kept with their date: measured anew where machine, versions or size differ."""

import datetime
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "out"


def cpu_model() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(_pair(line) for line in lines if ":" in line)
    return " ".join(
        [fields.get("model name", platform.machine())]
        + [f"{name} {fields[name]}" for name in ("cpu family", "model") if name in fields]
    )


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


@dataclass(frozen=True, slots=True)
class Cache:
    """A JSON file of results and the days they were measured on; without a path nothing is kept."""

    path: Path | None = None

    def get(self, key: tuple[str, ...], measure: Callable[[], Any]) -> tuple[Any, str | None]:
        """The kept result and its day; or the one that `measure` gives now, and None."""
        kept = self._read()
        name = " | ".join((*key, cpu_model()))
        if name in kept:
            return kept[name]["result"], kept[name]["date"]
        result = measure()
        if self.path is not None:
            kept[name] = {"result": result, "date": datetime.date.today().isoformat()}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(kept, indent=1) + "\n")
        return result, None

    def _read(self) -> dict[str, Any]:
        if self.path is None or not self.path.is_file():
            return {}
        kept: dict[str, Any] = json.loads(self.path.read_text())
        return kept
