"""`dacl predict` as typed."""

import json
from pathlib import Path

import made_scans as made
import pytest


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for n, name in enumerate("ab"):
        made.write_scan(tmp_path / "images" / f"{name}.nii.gz", made.volume(n))
    return tmp_path / "images"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made.write_model(tmp_path / "run")


def test_a_table_of_volumes_and_where_they_lie(run_dacl, tmp_path, run, images) -> None:
    out = tmp_path / "masks"
    outcome = run_dacl("predict", run, images, "-o", out, "--device", "cpu")
    assert outcome.code == 0, outcome.err
    title, heading, *rows = outcome.out.splitlines()
    assert title == f"{out}: RV, Myo, LV"
    assert heading.split()[:3] == ["scan", "RV", "ml"]
    assert [row.split()[0] for row in rows] == ["a", "b"]
    said = json.loads((out / "b.json").read_text())
    assert rows[1].split()[1:4] == [str(c["volume_ml"]) for c in said["classes"][1:]]
    again = run_dacl("predict", run, images, "-o", out)
    assert again.code == 1
    assert "2 of 2 outputs are there already" in again.err
    assert "--skip-existing" in again.err


def test_every_option_reaches_the_sidecar(run_dacl, tmp_path, run, images) -> None:
    second = made.write_model(tmp_path / "second", seed=1)
    outcome = run_dacl(
        "predict", run, images / "a.nii.gz", "--ensemble", second, "--network", "mean", "--tta",
        "--post", "largest-component", "--probabilities", "-o", tmp_path / "out", "--json",
        "--device", "cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    (found,) = document["predictions"]
    assert found["probabilities"] == str(tmp_path / "out" / "a_probabilities.nii.gz")
    said = json.loads(Path(found["sidecar"]).read_text())
    assert [model["run"] for model in said["models"]] == ["run", "second"]
    assert said["options"]["network"] == ["mean", "mean"]
    assert (said["options"]["tta"], said["options"]["post"]) == (True, "largest-component")


def test_scans_numbered_from_0000_are_no_channels_of_a_one_channel_model(
    run_dacl, tmp_path, run, images
) -> None:
    for number, name in enumerate("ab"):
        (images / f"{name}.nii.gz").rename(images / f"scan_{number:04d}.nii.gz")
    outcome = run_dacl("predict", run, images, "-o", tmp_path / "out", "--device", "cpu", "--json")
    assert outcome.code == 0, outcome.err
    names = [found["name"] for found in json.loads(outcome.out)["predictions"]]
    assert names == ["scan_0000", "scan_0001"]


def test_bad_scans_come_in_a_table_and_the_code_is_1(run_dacl, tmp_path, run, images) -> None:
    (images / "c.nii.gz").write_bytes(b"no scan")
    outcome = run_dacl("predict", run, images, "-o", tmp_path / "out", "--device", "cpu")
    assert outcome.code == 1
    assert [line.split()[0] for line in outcome.out.splitlines()[2:]] == ["a", "b"]
    heading = next(line for line in outcome.err.splitlines() if "problem" in line)
    assert heading.split() == ["case", "file", "problem", "fix"]
    assert "c.nii.gz  unreadable" in outcome.err
    assert "Traceback" not in outcome.err


def test_warnings_are_told_once_with_their_number(run_dacl, tmp_path, run, images) -> None:
    made.write_scan(images / "thick.nii.gz", spacing_mm=(20.0, 1.5, 1.25))
    outcome = run_dacl("predict", run, images, "-o", tmp_path / "out", "--device", "cpu")
    assert outcome.code == 0
    assert "warning (1 of 3 scans): spacing unlike that of the training scans: z 20" in outcome.err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--overwrite", "--skip-existing"], 1, "exclude each other"),
        (["--network", "c"], 2, "c"),
        (["--ensemble", "nowhere"], 1, "nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(
    run_dacl, tmp_path, run, images, options, code, said
) -> None:
    outcome = run_dacl("predict", run, images, "-o", tmp_path / "out", *options)
    assert outcome.code == code
    assert said in outcome.err
    assert outcome.out == ""
    assert not (tmp_path / "out").exists()


def test_out_must_be_named(run_dacl, run, images) -> None:
    assert run_dacl("predict", run, images).code == 2
