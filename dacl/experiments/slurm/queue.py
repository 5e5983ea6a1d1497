"""Submitting cells: an array of Slurm jobs, by submitit."""

import os
import shutil
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from dacl.errors import DaclError
from dacl.experiments.slurm.request import JobRequest
from dacl.experiments.slurm.states import squeue
from dacl.extras import require

TIMEOUTS = 10_000
"""How often submitit may requeue a job that ran out of time; `CellTask` stops one that gets nowhere long before."""


@runtime_checkable
class Queue(Protocol):
    """Where jobs are submitted and asked after."""

    def submit(self, tasks: Sequence[Callable[[], None]]) -> list[str]:
        """Submit all as one; the job of each."""

    def states(self, jobs: Collection[str]) -> Mapping[str, str]:
        """What `squeue` calls their states; a job that is forgotten is absent."""


class SlurmQueue:
    """The cluster that this machine belongs to.

    Args:
        folder: for submitit's files; the nodes must see it under the same name.
        name: of the jobs.
        request: what each job asks for.

    Raises:
        DaclError: submitit or Slurm is not here, or a parameter is unknown to it.
    """

    def __init__(self, folder: Path, name: str, request: JobRequest) -> None:
        require("submitit", extra="slurm")
        from submitit.slurm.slurm import SlurmExecutor

        if not (shutil.which("sbatch") and shutil.which("srun")):
            raise DaclError(
                "this machine has no sbatch: it is not part of a Slurm cluster",
                "type the command on a login node, or leave --launcher slurm away",
            )
        self.executor = SlurmExecutor(folder, max_num_timeout=TIMEOUTS)
        known = frozenset(SlurmExecutor._valid_parameters())
        self._update(request.parameters(name, known))

    def _update(self, parameters: dict[str, Any]) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of parameters that have a newer name
                self.executor.update_parameters(**parameters)
        except (ValueError, TypeError) as error:
            raise DaclError(f"--slurm: {error}", "see `sbatch --help`") from None

    def script(self, tasks: int) -> str:
        """The batch script of so many tasks, as submitit writes it."""
        parameters = {**self.executor.parameters, "map_count": tasks if tasks > 1 else None}
        from submitit.slurm.slurm import _make_sbatch_string

        return _make_sbatch_string(
            command=self.executor._submitit_command_str, folder=self.executor.folder, **parameters
        )

    def submit(self, tasks: Sequence[Callable[[], None]]) -> list[str]:
        """Submit all as one array; the job of each.

        Raises:
            DaclError: Slurm refuses, and says why.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            with _outside_of_any_job():
                jobs = self.executor.submit_array(tasks)
        except (FailedJobError, FailedSubmissionError) as error:
            said = " ".join(str(error).split())
            raise DaclError(
                f"Slurm takes no job: {said}",
                "see `sinfo` for partitions, and `dacl ablate --help` for what can be asked for",
            ) from None
        return [job.job_id for job in jobs]

    def states(self, jobs: Collection[str]) -> dict[str, str]:
        """States by `squeue`.

        Raises:
            Unreachable: no answer.
        """
        return squeue(jobs)


@contextmanager
def _outside_of_any_job() -> Iterator[None]:
    """Without the variables of the job that this process may be in (`salloc`): jobs would take its shape for theirs."""
    from submitit.helpers import clean_env

    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    cluster = {key: os.environ[key] for key in ("SLURM_CONF",) if key in os.environ}
    with clean_env():
        os.environ.update(cluster)
        yield
