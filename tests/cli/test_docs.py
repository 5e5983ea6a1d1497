"""The documents agree with the command line."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from dacl_cli import docs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_page_is_what_help_says():
    assert docs.PAGE.read_text(encoding="utf-8") == docs.render(), "run `make docs`"


@pytest.mark.parametrize("environment", [{"COLUMNS": "40"}, {"FORCE_COLOR": "1", "COLUMNS": "300"}])
def test_the_page_does_not_depend_on_the_terminal(environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "dacl_cli.docs", "--check"],
        env={**os.environ, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_check_finds_a_drift(monkeypatch, tmp_path, capsys):
    page = tmp_path / "cli.md"
    monkeypatch.setattr(docs, "PAGE", page)
    assert docs.main(["--check"]) == 1
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    page.write_text(page.read_text(encoding="utf-8").replace("--json", "--jsn"), encoding="utf-8")
    assert docs.main(["--check"]) == 1
    assert "make docs" in capsys.readouterr().err


def test_every_command_and_option_has_help():
    for path, command, _ in docs.commands():
        assert command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", ""), f"{path} {parameter.name}"


def _shell_lines(page: Path) -> list[str]:
    blocks = re.findall(
        r"^ *```(?:sh|bash|console|shell)?\n(.*?)^ *```", page.read_text(), flags=re.M | re.S
    )
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("dacl ")]


def _check_command_line(line: str) -> None:
    """Fail unless the command exists and each of its options is one the command has."""
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(docs.app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not (hasattr(command, "commands") and words and not words[0].startswith("-")), line
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    known |= {"--help", "-h", "--debug"}
    for word in words:
        if word.startswith("-") and not re.fullmatch(r"-[\d.]+", word):
            assert word.partition("=")[0] in known, f"{line}: {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_in_the_pages_parse(page):
    for line in _shell_lines(page):
        _check_command_line(line)


def test_the_readme_shows_the_path_from_raw_data_to_numbers():
    text = "\n".join(_shell_lines(ROOT / "README.md"))
    for command in ("preprocess acdc", "train", "evaluate", "doctor"):
        assert f"dacl {command}" in text


@pytest.mark.parametrize("line", ["dacl trian", "dacl doctor --yaml", "dacl preprocess acdx A B"])
def test_the_parser_of_this_test_refuses_what_does_not_exist(line):
    with pytest.raises(AssertionError):
        _check_command_line(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} -> {target}"
