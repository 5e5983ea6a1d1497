"""docs/configuration.md says what dacl/config.py does."""

import re

import pytest
from pydantic.fields import FieldInfo

from dacl.config import Config, known_keys, resolve
from dacl_cli import configuration_doc


def leaves(model=Config, prefix="") -> dict[str, FieldInfo]:
    found = {}
    for name, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            found |= leaves(field.annotation, f"{prefix}{name}.")
        else:
            found[prefix + name] = field
    return found


def rows(part: int = 0) -> dict[str, list[str]]:
    text = configuration_doc.render().split("## Presets ")[part]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    tables = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {cells[0].strip("`"): cells[1:] for cells in tables}


def test_the_page_is_up_to_date(capsys):
    assert configuration_doc.main(["--check"]) == 0, "python -m dacl_cli.configuration_doc"


def test_a_stale_page_is_refused_and_writing_mends_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(configuration_doc, "PAGE", tmp_path / "configuration.md")
    assert configuration_doc.main(["--check"]) == 1
    assert configuration_doc.main([]) == 0
    assert configuration_doc.main(["--check"]) == 0


def test_every_key_has_a_row_with_its_own_docstring():
    assert list(rows()) == known_keys() == list(leaves())
    for key, cells in rows().items():
        assert len(cells) == 4
        assert cells[3].split() == leaves()[key].description.split()


@pytest.mark.parametrize(
    ("key", "cells"),
    [
        ("optim.steps", ["`30000`", "`3000`", "integer ≥ 1"]),
        ("contrast.phi", ["`0.9`", "", "number ≥ 0, < 1"]),
        ("contrast.tau", ["`0.4`", "", "number > 0"]),
        ("contrast.scales", ["`[8, 16, 32]`", "", "list of integer ≥ 1"]),
        ("contrast.warmup_fraction", ["`0.03333`", "", "number ≥ 0, ≤ 1"]),
        ("image.geometry", ['`"resize"`', '`"resample"`', "`resize`, `resample`"]),
        ("image.patch_size", ["`256`", "`128`", "integer ≥ 32, multiple of 16"]),
        ("network.dropout", ["`[0.05, 0.1, 0.2, 0.3, 0.5]`", "", "5 × number ≥ 0, < 1"]),
        ("compile", ["`false`", "", "boolean"]),
    ],
)
def test_what_a_row_says(key, cells):
    assert rows()[key][:3] == cells


def test_the_readings_stand_beside_the_defaults_where_they_differ():
    for number, preset in enumerate(("literal", "dgcl"), start=1):
        contrast, default = (resolve(name).contrast for name in (preset, "paper"))
        changed = {f"contrast.{key}" for key, value in contrast if value != getattr(default, key)}
        assert {key for key, cells in rows(2).items() if cells[number]} == changed
    assert rows(2)["contrast.tau"] == ["`0.4`", "", "`0.5`"]


def test_what_the_sizes_change_in_3d():
    changed = rows(1)
    assert changed["network.width"] == ["`16`", "`32`", "`16`", "`8`"]
    assert changed["image.patch_size"][:3] == ["`256`", "`128`", "`128`"]
    assert "image.dims" not in changed
    assert "optim.lr" not in changed
