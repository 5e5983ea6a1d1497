"""What a job asks for: times, memory, other parameters, and the batch script that they become."""

import os

import pytest
import tiny_slurm

from dacl import extras
from dacl.errors import DaclError
from dacl.experiments.slurm import queue as slurm_queue
from dacl.experiments.slurm.queue import SlurmQueue
from dacl.experiments.slurm.request import JobRequest, parse_extra, parse_memory, parse_minutes
from dacl.experiments.slurm.states import Unreachable, squeue


@pytest.fixture
def bin_(tmp_path, monkeypatch):
    """A folder of programs, with an sbatch and an srun; no other Slurm."""
    folder = tmp_path / "bin"
    tiny_slurm.program(folder, "sbatch", 'cp "$1" script; echo Submitted batch job 7')
    tiny_slurm.program(folder, "srun", "exit 1")
    monkeypatch.chdir(tmp_path)
    tiny_slurm.first_on_path(monkeypatch, folder)
    return folder


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90), ("5:00", 5), ("10:30", 11), ("4:00:00", 240), ("1:30:30", 91), ("2-0", 2880),
        ("1-12", 2160), ("1-12:30", 2190), ("1-0:0:1", 1441), (" 5 ", 5),
    ],
)  # fmt: skip
def test_times_are_those_of_sbatch(text, minutes):
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "4h", "-5", "0", "1:2:3:4", "1-", "0:0", "a-1"])
def test_other_times_are_refused(text):
    with pytest.raises(DaclError, match="no time that Slurm knows"):
        parse_minutes(text)


@pytest.mark.parametrize("text", ["4", "4:59", "0:04:00"])
def test_a_time_in_which_nothing_can_be_trained_is_refused(text):
    with pytest.raises(DaclError, match="train nothing"):
        parse_minutes(text)


@pytest.mark.parametrize("text", ["16G", "500M", "64000", "1T", "16GB"])
def test_memory(text):
    assert parse_memory(text) == text


@pytest.mark.parametrize("text", ["", "16 G", "much", "-1G", "1.5G"])
def test_other_memory_is_refused(text):
    with pytest.raises(DaclError, match="no amount of memory"):
        parse_memory(text)


def test_other_parameters():
    items = [
        "constraint=a100", "slurm_nice=5", "--mail-type=FAIL", "exclusive=true", "setup=module load x",
        "setup=ulimit -c 0", "srun_args=--mpi=none --cpu-bind=no", "comment=a=b",
    ]  # fmt: skip
    assert parse_extra(items) == {
        "constraint": "a100", "nice": 5, "mail_type": "FAIL", "exclusive": True,
        "setup": ["module load x", "ulimit -c 0"], "srun_args": ["--mpi=none", "--cpu-bind=no"],
        "comment": "a=b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("items", "found", "hint"),
    [
        (["a100"], "not KEY=VALUE", "constraint=a100"),
        (["=a100"], "not KEY=VALUE", "constraint=a100"),
        (["partition=gpu"], "an option of its own", "write --partition"),
        (["cpus-per-task=4"], "an option of its own", "write --threads"),
        (["array_parallelism=4"], "an option of its own", "write --jobs"),
        (["nodes=2"], "nodes is set by dacl", "leave it away"),
        (["array=0-9"], "array is set by dacl", "leave it away"),
        (["nice=1", "nice=2"], "nice is given twice", "once"),
    ],
)  # fmt: skip
def test_parameters_that_are_not_the_users_to_set(items, found, hint):
    with pytest.raises(DaclError) as error:
        parse_extra(items)
    assert found in error.value.message
    assert hint in error.value.hint


def directives(script: str) -> dict[str, str]:
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH --")]
    pairs = (line.removeprefix("#SBATCH --").partition("=") for line in lines)
    return {key: value for key, _, value in pairs}


def test_the_script_of_an_array(bin_, tmp_path):
    extra = parse_extra(["constraint=a100", "reservation=course", "setup=module load cuda"])
    request = JobRequest(
        gpus=1, threads=6, minutes=90, memory="16G", partition="gpu", account="lab", qos="long",
        at_once=3, extra=extra,
    )  # fmt: skip
    script = SlurmQueue(tmp_path / "slurm", "dacl-x", request).script(5)
    found = directives(script)
    expected = {
        "array": "0-4%3", "time": "90", "cpus-per-task": "6", "gpus-per-node": "1", "mem": "16G",
        "partition": "gpu", "account": "lab", "qos": "long", "constraint": "a100", "nodes": "1",
        "reservation": "course", "requeue": "", "job-name": "dacl-x", "ntasks-per-node": "1",
        "open-mode": "append", "signal": "USR2@90",
    }  # fmt: skip
    assert {key: found.get(key) for key in expected} == expected
    lines = script.splitlines()
    export = lines.index("export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK")
    load = lines.index("module load cuda")
    assert export < load < next(n for n, line in enumerate(lines) if line.startswith("srun "))


def test_what_is_not_given_is_left_to_the_cluster(bin_, tmp_path):
    found = directives(SlurmQueue(tmp_path / "slurm", "x", JobRequest(gpus=0)).script(300))
    assert found["array"] == "0-299%300"
    assert found["time"] == "240"
    assert found["cpus-per-task"] == "4"
    absent = {"mem", "partition", "account", "qos", "gpus-per-node", "gres"}
    assert absent & set(found) == set()


@pytest.mark.parametrize("item", ["gres=gpu:a100:1", "gpus_per_task=1", "gpus=a100:1"])
def test_another_way_of_asking_for_a_gpu_replaces_ours(bin_, tmp_path, item):
    request = JobRequest(gpus=1, extra=parse_extra([item]))
    found = directives(SlurmQueue(tmp_path / "slurm", "x", request).script(1))
    key, _, value = item.partition("=")
    assert found[key.replace("_", "-")] == value
    assert "gpus-per-node" not in found
    assert "array" not in found


def greet() -> None:
    """A task."""


def test_submitting(bin_, tmp_path):
    queue = SlurmQueue(tmp_path / "slurm", "x", JobRequest(gpus=0))
    assert queue.submit([greet, greet]) == ["7_0", "7_1"]
    assert directives((tmp_path / "script").read_text())["array"] == "0-1%2"
    assert (tmp_path / "slurm" / "7_1_submitted.pkl").is_file()
    assert queue.submit([greet]) == ["7"]


def test_a_job_takes_nothing_over_from_the_one_it_is_submitted_from(bin_, tmp_path, monkeypatch):
    tiny_slurm.program(bin_, "sbatch", "env > environment; echo Submitted batch job 7")
    names = {"SLURM_CONF": "conf", "SLURM_MEM_PER_NODE": "4096", "SBATCH_ACCOUNT": "lab"}
    for key, value in names.items():
        monkeypatch.setenv(key, value)

    def kept():
        SlurmQueue(tmp_path / "slurm", "x", JobRequest(gpus=0)).submit([greet])
        lines = (tmp_path / "environment").read_text().splitlines()
        return {key for key, value in names.items() if f"{key}={value}" in lines}

    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert kept() == set(names)  # the user's own
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    assert kept() == {"SLURM_CONF"}
    assert os.environ["SLURM_MEM_PER_NODE"] == "4096"


def test_what_sbatch_refuses_is_told(bin_, tmp_path):
    tiny_slurm.program(bin_, "sbatch", "echo 'sbatch: error: invalid partition: gpuu' >&2; exit 1")
    queue = SlurmQueue(tmp_path / "slurm", "x", JobRequest(gpus=0, partition="gpuu"))
    with pytest.raises(DaclError, match="invalid partition: gpuu") as error:
        queue.submit([greet])
    assert "sinfo" in error.value.hint
    tiny_slurm.program(bin_, "sbatch", "echo thanks")
    with pytest.raises(DaclError, match="thanks"):
        queue.submit([greet])


def test_a_machine_without_slurm_or_submitit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DaclError, match="has no sbatch") as error:
        SlurmQueue(tmp_path / "slurm", "x", JobRequest(gpus=0))
    assert "login node" in error.value.hint

    def absent(module):
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(extras.importlib, "import_module", absent)
    with pytest.raises(DaclError, match="submitit is not installed") as error:
        SlurmQueue(tmp_path / "slurm", "x", JobRequest(gpus=0))
    assert error.value.hint == "pip install 'dacl[slurm]'"
    assert not (tmp_path / "slurm").exists()


def test_states(bin_):
    """Arrays are asked for by their parent; what Slurm has forgotten is absent."""
    tiny_slurm.program(
        bin_, "squeue",
        'echo "$@ [$SQUEUE_STATES]" > words; printf "12_0|PENDING\\n12_1|RUNNING\\n12_2|FAILED\\n9|TIMEOUT\\n"',
    )  # fmt: skip
    assert squeue({"12_0", "12_2", "9", "5"}) == {
        "12_0": "PENDING",
        "12_2": "FAILED",
        "9": "TIMEOUT",
    }
    words = (bin_.parent / "words").read_text()
    assert "--jobs=5,9,12 " in words
    assert "--array" in words
    assert squeue(()) == {}


def test_a_format_of_the_users_own_is_not_asked_for(bin_, monkeypatch):
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    tiny_slurm.program(bin_, "squeue", 'echo "9|T$SQUEUE_STATES"')
    assert squeue({"9"}) == {"9": "T"}


def test_jobs_that_slurm_has_forgotten(bin_):
    said = "slurm_load_jobs error: Invalid job id specified"
    tiny_slurm.program(bin_, "squeue", f"echo '{said}' >&2; exit 1")
    assert squeue({"9"}) == {}


def test_no_answer(bin_, monkeypatch):
    tiny_slurm.program(bin_, "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(Unreachable, match="Unable to contact"):
        squeue({"9"})
    monkeypatch.setattr(slurm_queue, "squeue", squeue)
    monkeypatch.setattr("dacl.experiments.slurm.states.PATIENCE_S", 0.1)
    tiny_slurm.program(bin_, "squeue", "exec sleep 60")
    with pytest.raises(Unreachable, match="does not answer"):
        squeue({"9"})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unreachable, match="no squeue here"):
        squeue({"9"})
