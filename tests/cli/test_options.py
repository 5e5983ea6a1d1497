"""The command line changes on purpose: every command's options, frozen.

A difference here is either a mistake or something for CHANGELOG.md.
"""

from dacl_cli import docs

OPTIONS: dict[str, list[str]] = {
    "dacl": ["--debug", "--install-completion", "--show-completion", "--version"],
    "dacl train": [
        "--batch-labeled",
        "--batch-unlabeled",
        "--compile",
        "--config",
        "--data",
        "--device",
        "--json",
        "--labeled",
        "--lr",
        "--method",
        "--out",
        "--overwrite",
        "--patch-size",
        "--precision",
        "--preset",
        "--resume",
        "--seed",
        "--set",
        "--steps",
        "--tensorboard",
        "--threads",
    ],
    "dacl evaluate": [
        "--cases",
        "--checkpoint",
        "--convention",
        "--data",
        "--device",
        "--figure",
        "--json",
        "--network",
        "--no-figure",
        "--no-pictures",
        "--no-predictions",
        "--out",
        "--pictures",
        "--post",
        "--precision",
        "--predictions",
        "--split",
        "PATH",
    ],
    "dacl compare": [
        "--cases",
        "--checkpoint",
        "--convention",
        "--data",
        "--device",
        "--figure",
        "--force",
        "--json",
        "--metric",
        "--network",
        "--no-figure",
        "--out",
        "--post",
        "--reference",
        "--split",
        "RUNS",
    ],
    "dacl analyze": [],
    "dacl analyze clusters": [
        "--checkpoint",
        "--data",
        "--device",
        "--json",
        "--method",
        "--network",
        "--out",
        "--plot-points",
        "--points",
        "--seed",
        "--space",
        "--split",
        "PATHS",
    ],
    "dacl analyze density": [
        "--batches",
        "--case",
        "--checkpoint",
        "--data",
        "--device",
        "--json",
        "--network",
        "--out",
        "--seed",
        "--slice",
        "--space",
        "--split",
        "PATH",
    ],
    "dacl report": [
        "--checkpoint",
        "--data",
        "--device",
        "--embeddings",
        "--force",
        "--json",
        "--network",
        "--no-embeddings",
        "--out",
        "--split",
        "PATHS",
    ],
    "dacl ablate": [
        "--batch-labeled",
        "--batch-unlabeled",
        "--compile",
        "--config",
        "--data",
        "--device",
        "--dry-run",
        "--force",
        "--jobs",
        "--json",
        "--labeled",
        "--lr",
        "--network",
        "--out",
        "--patch-size",
        "--precision",
        "--preset",
        "--rows",
        "--seeds",
        "--set",
        "--steps",
        "--threads",
        "--upper-bound",
        "--without",
        "PARAMS",
        "WHAT",
    ],
    "dacl doctor": ["--json"],
    "dacl preprocess": [],
    "dacl preprocess acdc": [
        "--check",
        "--intensity",
        "--json",
        "--skip-bad",
        "--split",
        "--workers",
        "OUT",
        "RAW",
    ],
    "dacl preprocess ssl4mis": [
        "--check",
        "--intensity",
        "--json",
        "--skip-bad",
        "--split",
        "--workers",
        "OUT",
        "RAW",
    ],
    "dacl preprocess phantom": [
        "--json",
        "--patients",
        "--raw",
        "--raw-only",
        "--seed",
        "--workers",
        "OUT",
    ],
}


def _actual() -> dict[str, list[str]]:
    return {
        path: sorted(
            name if parameter.param_type_name == "option" else parameter.name.upper()
            for parameter in command.params
            for name in (
                (*parameter.opts, *parameter.secondary_opts)
                if parameter.param_type_name == "option"
                else (parameter.name,)
            )
            if name not in {"--help", "-h"}
        )
        for path, command, _ in docs.commands()
    }


def test_commands_and_options_are_the_frozen_ones():
    assert _actual() == OPTIONS
