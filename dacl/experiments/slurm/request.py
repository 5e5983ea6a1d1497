"""What a job asks of the cluster: options of `sbatch`, by the names that submitit has for them."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dacl.errors import DaclError

MINUTES, LEAST_MINUTES = 240, 5
THREADS = 4
UNLIMITED = 1_000_000
OPTION_OF = {
    "account": "--account", "array_parallelism": "--jobs", "cpus_per_task": "--threads",
    "mem": "--mem", "partition": "--partition", "qos": "--qos", "time": "--time",
}  # fmt: skip
"""Parameters with an option of their own."""
OURS = frozenset({
    "array", "error", "map_count", "nodes", "ntasks", "ntasks_per_node", "open_mode", "output",
    "requeue", "signal", "use_srun",
})  # fmt: skip
"""Parameters that an array of cells which come back after preemption cannot do without."""
GPUS = frozenset({
    "cpus_per_gpu", "gpus", "gpus_per_node", "gpus_per_task", "gres", "num_gpus", "tres_per_task",
})  # fmt: skip
"""Other ways of asking for a GPU."""
LISTS = frozenset({"setup", "teardown", "srun_args"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What each cell is given."""

    gpus: int
    threads: int = THREADS
    minutes: int = MINUTES
    """Until a job is asked to save and is requeued."""
    memory: str | None = None
    """As sbatch takes it: `16G`."""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    at_once: int | None = None
    """Jobs of the array that may run at a time; None: all."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Anything else; see `parse_extra`."""

    def parameters(self, name: str, known: frozenset[str]) -> dict[str, Any]:
        """Arguments of submitit's `update_parameters`.

        Args:
            name: of the job.
            known: parameters that submitit has names for; the rest is handed to sbatch as it is.
        """
        ours: dict[str, Any] = {
            "job_name": name, "time": self.minutes, "cpus_per_task": self.threads,
            "ntasks_per_node": 1, "mem": self.memory, "partition": self.partition,
            "account": self.account, "qos": self.qos,
        }  # fmt: skip
        if self.gpus and not GPUS & set(self.extra):
            ours["gpus_per_node"] = self.gpus
        # submitit's own default is a limit of 256.
        ours["array_parallelism"] = self.at_once or UNLIMITED
        others = {key: value for key, value in self.extra.items() if key not in known}
        extra = {key: value for key, value in self.extra.items() if key in known}
        # Since Slurm 22.05 the step of srun does not inherit it, and would have one core.
        setup = ["export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK", *extra.pop("setup", [])]
        given = {key: value for key, value in ours.items() if value is not None}
        return {
            **given, **extra, "setup": setup, "additional_parameters": {"requeue": True, **others},
        }  # fmt: skip


def parse_minutes(text: str) -> int:
    """Minutes of a time as sbatch takes it: `90`, `4:00:00`, `1-12`, `1-12:30`; seconds are rounded up.

    Raises:
        DaclError: something else, or too little.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    minutes = 0.0
    if match:
        days, *fields = match.groups()
        numbers = [int(number) for number in fields if number is not None]
        if days is not None:  # D-HH[:MM[:SS]]
            hours, rest, seconds = [*numbers, 0, 0][:3]
            minutes = 60 * (24 * int(days) + hours) + rest + seconds / 60
        elif len(numbers) == 3:
            minutes = 60 * numbers[0] + numbers[1] + numbers[2] / 60
        else:  # MM[:SS]
            minutes = numbers[0] + (numbers[1] / 60 if len(numbers) == 2 else 0)
    if minutes <= 0:
        raise DaclError(
            f"--time {text!r} is no time that Slurm knows",
            "write minutes, hours or days: --time 90, --time 4:00:00, --time 1-12:00:00",
        )
    if minutes < LEAST_MINUTES:
        raise DaclError(
            f"--time {text}: a job that begins in a minute or two and is asked to save 90 seconds "
            "before its end would train nothing",
            f"give it {LEAST_MINUTES} minutes at least",
        )
    return int(-(-minutes // 1))


def parse_extra(items: Sequence[str]) -> dict[str, Any]:
    """`["constraint=a100", "exclusive=true"]` -> parameters; `setup`, `teardown` and `srun_args` may be repeated.

    Raises:
        DaclError: an item without `=`, twice the same, or one that is not the user's to set.
    """
    extra: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        key = key.strip().removeprefix("--").replace("-", "_").removeprefix("slurm_")
        if not (equals and key.isidentifier()):
            raise DaclError(f"--slurm {item!r} is not KEY=VALUE", "write --slurm constraint=a100")
        if key in OPTION_OF:
            raise DaclError(f"--slurm {key} has an option of its own", f"write {OPTION_OF[key]}")
        if key in OURS:
            raise DaclError(
                f"--slurm {key} is set by dacl: a task of the array is one cell, which is requeued",
                "leave it away",
            )
        if key in LISTS:
            words = shlex.split(text) if key == "srun_args" else [text]
            extra[key] = [*extra.get(key, []), *words]
            continue
        if key in extra:
            raise DaclError(f"--slurm {key} is given twice", "give it once")
        extra[key] = _value(text)
    return extra


def parse_memory(text: str) -> str:
    """`16G`, as sbatch takes it.

    Raises:
        DaclError: something else.
    """
    if not re.fullmatch(r"\d+[KMGT]?B?", text, re.IGNORECASE):
        raise DaclError(f"--mem {text!r} is no amount of memory", "write --mem 16G")
    return text


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.isdecimal() else text
