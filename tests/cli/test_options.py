"""The command line changes on purpose: every command's options, frozen.

A difference here is either a mistake or something for CHANGELOG.md.
"""

from dacl_cli import docs

OPTIONS: dict[str, list[str]] = {
    "dacl": ["--debug", "--install-completion", "--show-completion", "--version"],
    "dacl doctor": ["--json"],
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
