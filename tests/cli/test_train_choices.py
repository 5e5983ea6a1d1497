"""`dacl train`: whose labels are used, and slices or volumes."""

import json
from pathlib import Path

import pytest

from dacl.config_text import read_toml
from dacl_cli.datasets import names_in

SHORT = ["--steps", 2, "--method", "cps"]


pytestmark = pytest.mark.usefixtures("no_pictures")


def test_names_typed_on_a_mac_are_those_of_the_dataset():
    """There a letter and its accent may be two characters, which look the same."""
    assert names_in("Zoe\u0301, Rene\u0301 2") == ["Zo\u00e9", "Ren\u00e9 2"]


def test_labelled_patients_by_name_and_by_lot(train):
    outcome = train(*SHORT, "--labeled-cases", "p3,p1", "--out", "named")
    assert outcome.code == 0, outcome.err
    assert "2 labelled patients = 4 volumes = 8 slices" in outcome.err
    run = json.loads(Path("named/run.json").read_text())
    assert run["data"]["labeled_patients"] == ["p3", "p1"]
    assert train(*SHORT, "--labeled-order", "random:0", "--out", "drawn").code == 0
    assert read_toml(Path("drawn/config.toml"))["labeled_order"] == "random:0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--labeled-cases", "p4"), "'p4' is in val"),
        (("--labeled-cases", "Zoe\u0301"), "'Zo\u00e9' is in no part"),
        (("--labeled-cases", "p1,p1"), "named twice"),
        (("--labeled-cases", "p1,p2", "--labeled", 3), "--labeled-cases names 2"),
        (("--labeled-order", "random:0", "--labeled", 9), "3 train patients have a mask"),
    ],
)
def test_labelled_patients_that_cannot_be_are_refused(train, words, said):
    outcome = train(*SHORT, *words)
    assert outcome.code == 1
    assert said in outcome.err


def test_volumes_are_announced_as_patches(train):
    dims = ("--dims", 3, "--set", "image.patch_depth=16", "--set", "image.slice_spacing_mm=10")
    outcome = train("--steps", 1, "--method", "supervised", *dims)
    assert outcome.code == 0, outcome.err
    assert (
        "10 mm between slices, 1.5 mm in plane, crops of 16x32x32, 2 patches a step" in outcome.err
    )
    assert "a typical scan: 2x48x40 voxels of 10x1.5x1.5 mm, 2x48x40 on the" in outcome.err
    assert Path("runs/tiny-supervised-3d-1labeled-seed0/latest.pt").is_file()


def test_a_grid_too_coarse_for_the_scans_is_noted(train):
    outcome = train("--steps", 1, "--method", "supervised", "--set", "image.spacing_mm=4")
    assert outcome.code == 0, outcome.err
    told = [line for line in outcome.err.splitlines() if "the network's" in line]
    assert told == [
        "a typical slice: 48x40 pixels of 1.5 mm, 18x15 on the network's grid",
        "in plane the network's grid is up to 2.7 times as coarse as that of 2 of 2 scans: "
        "thin structures may be lost; try a smaller image.spacing_mm",
    ]
