"""`dacl doctor` says what is there, and fails only when something required is not."""

import json
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from dacl_cli import doctor, doctor_imports


@pytest.fixture(autouse=True)
def _somewhere_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_json_holds_machine_torch_packages_and_places(run_dacl, tmp_path):
    import torch

    (tmp_path / "data" / "acdc").mkdir(parents=True)
    (tmp_path / "data" / "acdc" / "dataset.json").write_text(
        json.dumps({"name": "acdc", "cases": {"a": {}, "b": {}}, "synthetic": False})
    )
    (tmp_path / "data" / "torn").mkdir()
    (tmp_path / "data" / "torn" / "dataset.json").write_text("{")
    run = tmp_path / "runs" / "acdc-dacl-3labeled-seed0"
    (run / "evaluation").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "best.pt").write_bytes(b"")

    outcome = run_dacl("doctor", "--json")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    assert report["torch"]["version"] == torch.__version__
    assert report["machine"]["cpu_cores"] >= 1
    assert report["machine"]["disk_free_gib"] > 0
    expected = "paper" if torch.cuda.is_available() else "small"
    assert report["torch"]["preset"] == expected
    assert {"torch", "typer", "h5py", "numpy"} <= {p["name"] for p in report["packages"]}
    assert report["missing"] == []
    assert [(d["name"], d["cases"]) for d in report["datasets"]] == [("acdc", 2), ("unreadable", 0)]
    assert report["runs"] == [
        {"folder": "runs/acdc-dacl-3labeled-seed0", "checkpoint": True, "evaluated": True}
    ]
    assert "creatis" in report["downloads"]["acdc"]


def test_text_names_the_next_step_where_there_is_no_data(run_dacl):
    outcome = run_dacl("doctor")
    assert outcome.code == 0
    assert "dacl preprocess phantom" in outcome.out
    assert doctor.DOWNLOADS["acdc"] in outcome.out
    assert "no run under runs/" in outcome.out


def test_a_missing_required_package_is_exit_1_with_the_command_that_mends_it(run_dacl, monkeypatch):
    real = metadata.version

    def version(name: str) -> str:
        if name == "h5py":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    outcome = run_dacl("doctor")
    assert outcome.code == 1
    assert "Error: required and not usable: h5py" in outcome.err
    assert "pip install" in outcome.err


def test_a_broken_torch_is_reported_not_raised(run_dacl, monkeypatch):
    broken = {"status": "broken", "problem": "ImportError: libfoo.so"}
    monkeypatch.setattr(doctor, "inspect_torch", lambda: broken)
    outcome = run_dacl("doctor")
    assert outcome.code == 1
    assert "torch cannot be imported: ImportError: libfoo.so" in outcome.out
    assert "not usable: torch" in outcome.err
    assert "pip install --force-reinstall --no-deps" in outcome.err


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Make a package that goes before an installed one."""

    def make(name: str, content: str) -> None:
        (tmp_path / "made" / name).mkdir(parents=True)
        (tmp_path / "made" / name / "__init__.py").write_text(content)

    monkeypatch.syspath_prepend(tmp_path / "made")
    return make


def test_a_package_of_the_right_version_that_does_not_import_is_broken(run_dacl, made):
    made("nibabel", "raise ImportError('numpy.core.multiarray failed to import\\nmore of it')")
    outcome = run_dacl("doctor")
    assert outcome.code == 1
    why = "nibabel cannot be imported: ImportError: numpy.core.multiarray failed to import"
    assert why in outcome.out
    assert "more of it" not in outcome.out
    assert "Error: required and not usable: nibabel" in outcome.err
    assert "pip install --force-reinstall --no-deps -c constraints.txt nibabel==" in outcome.err
    assert "pip install -c constraints.txt torch" not in outcome.err


def test_packages_that_crash_hang_or_talk_are_told_apart(made, monkeypatch):
    monkeypatch.setattr(doctor_imports, "TIME_LIMIT_S", 60.0)
    made("made_crashing", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    made("made_leaving", "import os\nos._exit(3)")
    made("made_talking", "print('hello')")
    made("made_ending", "raise SystemExit(0)")
    names = ["made_crashing", "json", "made_leaving", "made_talking", "made_ending"]
    assert doctor_imports.import_problems([*names, "csv"]) == [
        "ended by SIGKILL", "", "ended with exit code 3", "", "SystemExit: 0", "",
    ]  # fmt: skip

    monkeypatch.setattr(doctor_imports, "TIME_LIMIT_S", 4.0)
    made("made_hanging", "import time\ntime.sleep(60)")
    assert doctor_imports.import_problems(["made_hanging", "csv"]) == ["no answer within 4 s", ""]


def test_a_torch_that_crashes_does_not_take_doctor_with_it(made):
    made("torch", "import os\nos._exit(9)")
    state = doctor_imports.inspect_torch()
    assert state == {"status": "broken", "problem": "ended with exit code 9"}


def test_a_version_outside_its_range_is_said(monkeypatch):
    state = doctor._state_of(Requirement("numpy<1"))
    assert state["status"] == "outside the range"
    assert doctor._state_of(Requirement("numpy>=1"))["status"] == "ok"
    assert doctor._state_of(Requirement("no-such-package>=1"))["status"] == "missing"


def test_an_absent_extra_comes_with_its_command(monkeypatch):
    declared = ["numpy", "no-such-package>=2; extra == 'oracle'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: declared)
    (extra,) = doctor.optional_extras()
    assert (extra["name"], extra["present"], extra["missing"]) == (
        "oracle",
        False,
        ["no-such-package"],
    )
    assert "oracle" in extra["install"]
    assert "pip install" in extra["install"]
