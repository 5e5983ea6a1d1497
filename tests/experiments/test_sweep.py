"""The panels of a sweep, what they refuse, and the files of one."""

import csv
import io
import json

import made_results
import numpy as np
import pytest

from dacl.config import recipe
from dacl.errors import DaclError
from dacl.experiments.sweep import sweep_table, write_sweep
from dacl.experiments.sweep_grid import panels, split_values

BASE = made_results.base()
FULL_SP = np.array([[0.5, 0.6, 0.7, 0.8], [0.52, 0.62, 0.72, 0.82]])


def contrast(panel, label):
    return panel.rows[panel.labels.index(label)].config(BASE, 0).contrast


def test_the_bare_sweep_is_fig_5_with_the_full_method_once_in_every_panel():
    found = panels([], BASE)
    assert [panel.parameter for panel in found] == [
        "lambda_cross",
        "lambda_CL",
        "bank",
        "phi",
        "tau",
    ]
    for panel in found:
        assert [row.key for row in panel.rows].count("VI-anchors") == 1
        assert len(panel.labels) == 5
    assert [panel.full_label for panel in found] == ["1", "ramp", "1000", "0.9", "0.4"]
    assert [panel.paper_label for panel in found] == ["1", "ramp", "1000", None, "0.4"]
    keys = [row.key for panel in found for row in panel.rows]
    assert len(set(keys)) == 21


def test_numbers_of_the_two_weights_are_constants_and_ramp_is_the_ramp():
    cross, cl = panels(["lambda_cross=0.5,ramp", "lambda_CL=0.5,ramp"], BASE)
    half, ramp = cross.rows[0].config(BASE, 0).cross, cross.rows[1].config(BASE, 0).cross
    assert (half.weight, half.schedule) == (0.5, "constant")
    assert (ramp.weight, ramp.schedule) == (1.0, "ramp")
    assert (contrast(cl, "0.5").weight, contrast(cl, "0.5").schedule) == (0.5, "constant")
    assert (contrast(cl, "ramp").weight, contrast(cl, "ramp").schedule) == (0.1, "ramp")
    assert cl.rows[0].key == "lambda_CL=0.5"
    assert cl.full_label == "ramp"


def test_the_ramp_of_another_height_is_not_the_papers():
    base = made_results.base(contrast={"weight": 0.5})
    [panel] = panels(["lambda_CL=0.1,ramp"], base)
    assert panel.labels == ("0.1", "ramp", "ramp to 0.5")
    assert (panel.full_label, panel.paper_label) == ("ramp to 0.5", "ramp")
    constant = made_results.base(contrast={"weight": 0.5, "schedule": "constant"})
    [panel] = panels(["lambda_CL=0.5,ramp"], constant)
    assert panel.full_label == "0.5"


def test_the_bases_own_value_is_added_where_it_belongs():
    [panel] = panels(["tau=0.2,0.8"], BASE)
    assert panel.labels == ("0.2", "0.4", "0.8")
    assert [row.key for row in panel.rows] == ["tau=0.2", "VI-anchors", "tau=0.8"]
    [panel] = panels(["contrast.positiveness=none"], BASE)
    assert panel.labels == ("none", "outside")


def test_any_dotted_key_with_toml_values():
    [panel] = panels(["contrast.scales=[8], [8,16],[8,16,32]"], BASE)
    assert panel.labels == ("[8]", "[8,16]", "[8,16,32]")
    assert contrast(panel, "[8,16]").scales == (8, 16)
    assert panel.full_label == "[8,16,32]"
    assert split_values("1, 2,,[3,[4,5]]") == ["1", "2", "[3,[4,5]]"]
    [panel] = panels(["contrast.tau=0.2"], BASE)
    assert panel.paper_label == "0.4"


@pytest.mark.parametrize("base", [True, False])
def test_mirroring_can_be_swept_whichever_the_base_has(base):
    own = made_results.base(image={"mirror": base})
    [both] = panels(["image.mirror=true,false"], own)
    assert both.labels == ("true", "false")
    assert [row.config(own, 0).image.mirror for row in both.rows] == [True, False]
    [added] = panels([f"image.mirror={str(not base).lower()}"], own)
    assert added.labels == (str(not base).lower(), str(base).lower())
    assert added.full_label == str(base).lower()


def test_a_row_differs_from_the_base_in_its_value_alone():
    [panel] = panels(["tau=0.2"], BASE)
    values = recipe(panel.rows[0].config(BASE, 0))
    assert {key for key, value in values.items() if value != recipe(BASE)[key]} == {"contrast.tau"}


@pytest.mark.parametrize(
    ("assignments", "said", "hint"),
    [
        (["tua=0.1"], "no parameter 'tua'", "tau"),
        (["lambda_cl=0.1"], "no parameter 'lambda_cl'", "lambda_CL"),
        (["contrast.ankors=1"], "no parameter 'contrast.ankors'", "contrast.anchors"),
        (["labeled=3,7"], "no parameter 'labeled'", ""),
        (["tau=0.1,0.10"], "tau = 0.10 and tau = 0.1 are the same", ""),
        (["tau=0.4,0.40"], "are the same", ""),
        (["tau=0.1", "contrast.tau=0.2"], "stands twice", ""),
        (["tau"], "names no values", "tau=0.2"),
        (["tau="], "names no values", ""),
        (["tau=-1"], "contrast.tau = -1", ""),
        (["bank=many"], "contrast.bank_size = 'many'", ""),
        (["journal.log_every=10"], "journal.log_every changes nothing", ""),
    ],
)
def test_what_is_refused(assignments, said, hint):
    with pytest.raises(DaclError) as error:
        panels(assignments, BASE)
    assert said in error.value.message
    assert hint in error.value.hint


def results_of(found, **options):
    shifts = {"tau=0.2": -0.02, "tau=0.8": 0.01, "lambda_CL=0.5": 0.03}
    return {
        row.key: made_results.row(row, FULL_SP + shifts.get(row.key, 0.0), seeds=(0, 1), **options)
        for panel in found
        for row in panel.rows
    }


def test_five_files_that_say_the_same(tmp_path):
    found = panels(["tau=0.2,0.4,0.8", "lambda_CL=0.5"], BASE)
    files = write_sweep(tmp_path, sweep_table(found, results_of(found)))
    assert [file.name for file in files] == [
        f"sweep.{kind}" for kind in ("md", "tex", "csv", "json", "png")
    ]
    markdown, _, text, content = (file.read_text(encoding="utf-8") for file in files[:4])
    sd = f"{100 * np.std([0.65, 0.67], ddof=1):.2f}"
    patients = f"{100 * np.std([0.51, 0.61, 0.71, 0.81], ddof=1):.2f}"
    for line in (
        f"| tau | 0.2 | 2 | 64.00 | {sd} | {patients} | -2.00 [-2.00, -2.00] |",
        f"| tau | 0.4 (full method, the paper's) | 2 | 66.00 | {sd} | {patients} | - |",
        f"| lambda_CL | 0.5 | 2 | 69.00 | {sd} | {patients} | +3.00 [+3.00, +3.00] |",
    ):
        assert line in markdown
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(line["parameter"], line["value"], line["is_full_method"]) for line in lines] == [
        ("tau", "0.2", "False"),
        ("tau", "0.4", "True"),
        ("tau", "0.8", "False"),
        ("lambda_CL", "0.5", "False"),
        ("lambda_CL", "ramp", "True"),
    ]
    assert float(lines[2]["to_reference_dice_points_mean"]) == pytest.approx(1.0)
    rows = json.loads(content)["rows"]
    assert rows[0]["settings"] == {"contrast": {"tau": 0.2}}
    assert rows[0]["difference_to_reference"]["to"] == "VI-anchors"
    assert rows[0]["dice"]["by_seed"] == pytest.approx({"0": 0.63, "1": 0.65})


def test_missing_cells_and_rows_are_named(tmp_path):
    found = panels(["tau=0.2"], BASE)
    results = results_of(found)
    gone = made_results.RowResult(row=found[0].rows[0], runs={}, missing={0: "failed: no memory"})
    [file, *_] = write_sweep(tmp_path, sweep_table(found, {**results, "tau=0.2": gone}))
    markdown = file.read_text(encoding="utf-8")
    assert "| tau | 0.2 | 0 of 1 | - |" in markdown
    assert "MISSING: tau=0.2 seed 0: failed: no memory" in markdown
    with pytest.raises(DaclError, match=r"no result of tau=0\.2"):
        write_sweep(tmp_path, sweep_table(found, {"VI-anchors": results["VI-anchors"]}))


def test_a_mixture_is_refused_or_marked(tmp_path):
    found = panels(["tau=0.2"], BASE)
    results = results_of(found)
    results["tau=0.2"].runs[0].summary["protocol"]["split_hash"] = "0" * 64
    with pytest.raises(DaclError, match="split_hash"):
        write_sweep(tmp_path, sweep_table(found, results))
    [file, *_] = write_sweep(tmp_path, sweep_table(found, results, force=True))
    assert "NOT COMPARABLE, forced: split_hash" in file.read_text(encoding="utf-8")


def test_a_budget_may_be_swept():
    found = panels(["optim.steps=500"], BASE)
    assert sweep_table(found, results_of(found)).table.rows[0][1] == "500"
