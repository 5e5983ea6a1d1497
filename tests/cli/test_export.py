"""`dacl export` as typed."""

import json

import made_scans as made
import pytest

pytest.importorskip("safetensors", reason="needs the extra `export`")


def test_a_file_its_card_and_how_it_was_checked(run_dacl, tmp_path) -> None:
    run = made.write_model(tmp_path / "run")
    out = tmp_path / "given" / "model.safetensors"
    outcome = run_dacl("export", run, "-o", out, "--network", "mean")
    assert outcome.code == 0, outcome.err
    model, card, checked = outcome.out.splitlines()
    assert model.startswith(f"{out} (")
    assert "network mean" in model
    assert card == f"{out}.md"
    assert "checked with the file read back" in checked
    again = run_dacl("export", run, "-o", out)
    assert again.code == 1
    assert "is there already" in again.err
    document = json.loads(run_dacl("export", run, "-o", out, "--overwrite", "--json").out)
    assert document == {
        "model": str(out), "card": str(card), "network": "a",
        "checked": "the file read back", "largest_difference": 0.0,
    }  # fmt: skip
    masks = run_dacl("predict", out, made.write_scan(tmp_path / "s.nii.gz"), "-o", tmp_path / "o")
    assert masks.code == 0, masks.err
    assert "s " in masks.out


def test_another_ending_is_refused(run_dacl, tmp_path) -> None:
    outcome = run_dacl("export", made.write_model(tmp_path / "run"), "-o", tmp_path / "model.pth")
    assert outcome.code == 1
    assert ".onnx or .safetensors" in outcome.err
