"""`dacl doctor`: what this machine can do, and what is missing."""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

import dacl
from dacl.cores import usable_cores
from dacl.run_layout import EVALUATIONS
from dacl_cli import console
from dacl_cli.datasets import DOWNLOAD, prepared_folders
from dacl_cli.doctor_imports import BROKEN, OK, import_problems, inspect_torch

DOWNLOADS = {
    "acdc": f"{DOWNLOAD} (free, after registration)",
    "ssl4mis": "https://github.com/HiLab-git/SSL4MIS (the community's h5 copy of ACDC)",
}
_GIB = 2**30
_OUTSIDE, _MISSING = "outside the range", "missing"
IMPORTED = {"pillow": "PIL.Image", "scikit-learn": "sklearn", "scipy": "scipy.ndimage"}
"""What is imported of a package to see whether it works, where that is not its name."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Say what this machine can do, and what is missing.

    Exit code 1 when a required package is missing or broken.
    """
    with ThreadPoolExecutor() as pool:  # torch takes as long as all others together
        asked = pool.submit(inspect_torch)
        packages = required_packages()
        torch_state = asked.result()
    unusable = [p for p in packages if p["status"] in (_MISSING, BROKEN)]
    if torch_state["status"] == BROKEN and not unusable:  # else those may be what it lacks
        packages = [p | torch_state if p["name"] == "torch" else p for p in packages]
        unusable = [p for p in packages if p["status"] == BROKEN]
    names = [p["name"] for p in unusable]
    report = {
        "dacl": dacl.__version__,
        "machine": inspect_machine(Path.cwd()),
        "torch": torch_state,
        "packages": packages,
        "extras": optional_extras(),
        "datasets": found_datasets(Path("data")),
        "runs": found_runs(Path("runs")),
        "downloads": DOWNLOADS,
        "missing": names,
    }
    if as_json:
        console.emit_json(report)
    else:
        _show(report)
    if unusable:
        console.fail(f"required and not usable: {', '.join(names)}", _repair(unusable))
        raise typer.Exit(1)


def inspect_machine(folder: Path) -> dict[str, Any]:
    """Python, platform, cores, memory and the free disk space of `folder`."""
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cpu_cores": usable_cores(),
        "ram_gib": _ram_gib(),
        "disk_free_gib": round(shutil.disk_usage(folder).free / _GIB, 1),
    }


def _ram_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _checkout() -> Path | None:
    """The source tree dacl runs from, if it is one."""
    root = Path(dacl.__file__).resolve().parent.parent
    return root if (root / "constraints.txt").exists() else None


def _tested_versions() -> dict[str, str]:
    root = _checkout()
    if root is None:
        return {}
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, _, version in pins}


def _requirements() -> Iterator[tuple[Any, str]]:
    """Every declared requirement with the extra it belongs to ("" for the required ones)."""
    from packaging.requirements import Requirement

    try:
        declared = metadata.requires("dacl") or []
    except metadata.PackageNotFoundError:
        return
    for requirement in map(Requirement, declared):
        marker = str(requirement.marker or "")
        extra = marker.partition("extra == ")[2].strip("\"' ")
        yield requirement, extra


def _state_of(requirement: Any) -> dict[str, Any]:
    state = {
        "name": requirement.name,
        "range": str(requirement.specifier) or "any",
        "version": None,
        "tested": _tested_versions().get(requirement.name.lower().replace("_", "-")),
    }
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return {**state, "status": _MISSING}
    inside = requirement.specifier.contains(version, prereleases=True)
    return {**state, "version": version, "status": OK if inside else _OUTSIDE}


def required_packages() -> list[dict[str, Any]]:
    """Each required package: the range that should work, the version here, the version tested, whether it imports.

    All but torch, which `inspect_torch` imports.
    """
    try:
        importlib.import_module("packaging.requirements")
    except ImportError:
        return [{"name": "packaging", "range": "any", "version": None, "status": _MISSING}]
    states = [_state_of(requirement) for requirement, extra in _requirements() if not extra]
    here = [s for s in states if s["status"] != _MISSING and s["name"] != "torch"]
    here.sort(key=lambda s: s["name"] != "numpy")  # first, or others are blamed for a broken one
    modules = [IMPORTED.get(s["name"], s["name"].replace("-", "_")) for s in here]
    for state, problem in zip(here, import_problems(modules), strict=True):
        if problem:
            state |= {"status": BROKEN, "problem": problem}
    # Run from a source tree that was never installed, dacl has no metadata to read the ranges from.
    return states or [{"name": "dacl", "range": "any", "version": None, "status": _MISSING}]


def optional_extras() -> list[dict[str, Any]]:
    """Each extra: whether all of it is here, and the command that installs it."""
    wanted: dict[str, list[dict[str, Any]]] = {}
    for requirement, extra in _requirements():
        if extra:
            wanted.setdefault(extra, []).append(_state_of(requirement))
    return [
        {
            "name": extra,
            "present": all(state["status"] != _MISSING for state in states),
            "missing": [state["name"] for state in states if state["status"] == _MISSING],
            "install": _install(f"[{extra}]"),
        }
        for extra, states in wanted.items()
    ]


def _install(extras: str = "") -> str:
    if _checkout() is None:
        return f"pip install 'dacl{extras}'"
    return f"pip install -c constraints.txt -e '.{extras}'"


def _repair(unusable: list[dict[str, Any]]) -> str:
    """The commands that bring what is missing, and bring anew what is there and does not import."""
    pinned = "" if _checkout() is None else "-c constraints.txt "
    broken = [f"{p['name']}=={p['version']}" for p in unusable if p["status"] == BROKEN]
    steps = []
    if len(broken) < len(unusable):
        steps += [*([f"pip install {pinned}torch"] if pinned else []), _install()]
    if broken:
        steps.append(f"pip install --force-reinstall --no-deps {pinned}{' '.join(broken)}")
    return " && ".join(steps)


def found_datasets(root: Path) -> list[dict[str, Any]]:
    """The prepared datasets directly under `root`."""
    found = []
    for folder in prepared_folders(root):
        content = _read_json(folder / "dataset.json")
        found.append(
            {
                "folder": str(folder),
                "name": content.get("name", "unreadable"),
                "cases": len(content.get("cases", ())),
                "synthetic": content.get("synthetic"),
            }
        )
    return found


def found_runs(root: Path) -> list[dict[str, Any]]:
    """The training runs directly under `root`, and how far each one is."""
    return [
        {
            "folder": str(path.parent),
            "checkpoint": any((path.parent / name).exists() for name in ("best.pt", "latest.pt")),
            "evaluated": (path.parent / EVALUATIONS).is_dir(),
        }
        for path in sorted(root.glob("*/run.json"))
    ]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _show(report: dict[str, Any]) -> None:
    machine = report["machine"]
    ram = "unknown" if machine["ram_gib"] is None else f"{machine['ram_gib']} GiB"
    facts = [
        ("dacl", report["dacl"]),
        ("Python", f"{machine['python']} ({machine['executable']})"),
        ("Platform", machine["platform"]),
        ("CPU", f"{machine['cpu_cores']} cores"),
        ("Memory", ram),
        ("Free disk", f"{machine['disk_free_gib']} GiB in this folder"),
        *_torch_facts(report["torch"]),
    ]
    console.table(("", ""), facts, header=False)
    console.say("")
    console.table(
        ("package", "version", "range", "tested", ""),
        [
            (p["name"], p["version"], p["range"], p.get("tested"), p["status"])
            for p in report["packages"]
        ],
    )
    console.say("")
    for package in report["packages"]:
        if "problem" in package:
            console.say(f"{package['name']} cannot be imported: {package['problem']}")
    for extra in report["extras"]:
        lacks = f"lacks {', '.join(extra['missing'])}: {extra['install']}"
        console.say(f"extra {extra['name']}: {'present' if extra['present'] else lacks}")
    console.say("")
    for dataset in report["datasets"]:
        kind = " (synthetic)" if dataset["synthetic"] else ""
        cases = f"{dataset['cases']} cases"
        console.say(f"dataset {dataset['folder']}: {dataset['name']}{kind}, {cases}")
    if not report["datasets"]:
        console.say("no prepared dataset under data/; `dacl preprocess phantom` makes a synthetic")
        console.say("one, and real volumes are found at")
        for name, page in report["downloads"].items():
            console.say(f"  {name}: {page}")
    for run in report["runs"]:
        state = "evaluated" if run["evaluated"] else "not evaluated"
        if not run["checkpoint"]:
            state = "no checkpoint yet"
        console.say(f"run {run['folder']}: {state}")
    if not report["runs"]:
        console.say("no run under runs/")


def _torch_facts(state: dict[str, Any]) -> list[tuple[str, str]]:
    if state["status"] == BROKEN:
        return [("torch", f"cannot be imported: {state['problem']}")]
    gpus = [f"{gpu['name']} ({gpu['memory_gib']} GiB)" for gpu in state["cuda"]]
    gpus += ["Apple MPS"] if state["mps"] else []
    build = f"{state['version']}, {state['build']} build, {state['threads']} threads"
    bf16 = "fast" if state["cpu_fast_bf16"] else "slow, so `--precision auto` takes fp32"
    why = f"device {state['device']}"
    if state["device"] != "cuda":
        why += ", no CUDA GPU that torch can use"
    return [
        ("torch", build),
        ("CPU in torch", f"{state['cpu_capability']}, bf16 {bf16}"),
        ("GPU", ", ".join(gpus) or "none that torch can use"),
        ("Preset", f"{state['preset']} by default: {why}"),
    ]
