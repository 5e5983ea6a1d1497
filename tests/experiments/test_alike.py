"""Rows that were not measured alike: what a table refuses, what it marks, and what may differ."""

import copy
import dataclasses

import made_results
import pytest
from made_rows import I_SP, II_SP, III_SP, ROWS, cell, three_rows

from dacl.errors import DaclError
from dacl.experiments.ablation import ALL_LABELED
from dacl.experiments.ablation_table import ablation_table
from dacl.experiments.measured import RowResult


def edited(result: RowResult, of: int, /, **changes) -> RowResult:
    """The row with other protocol or provenance fields, or another recipe, in one run."""
    run = copy.deepcopy(result.runs[of])
    for key, value in changes.items():
        if key == "recipe":
            run = dataclasses.replace(run, recipe={**run.recipe, **value})
        else:
            run.summary["protocol" if key in run.summary["protocol"] else "provenance"][key] = value
    return dataclasses.replace(result, runs={**result.runs, of: run})


def test_rows_without_a_bank_need_not_seek_neighbours_in_it():
    config = made_results.base(contrast={"density_from": "bank"})
    results = [
        made_results.row(ROWS[key], dice, config=config)
        for key, dice in (("III", III_SP), ("IV", II_SP), ("V", I_SP))
    ]
    sources = [x.runs[0].recipe["contrast.density_from"] for x in results]
    assert sources == ["batch", "batch", "bank"]
    assert len(ablation_table(results).table.rows) == 3
    results[2] = edited(results[2], 0, recipe={"contrast.density_from": "batch"})
    with pytest.raises(DaclError, match=r"contrast\.density_from: batch in row V, bank in row V"):
        ablation_table(results)


def test_all_labelled_has_its_own_labels_and_nobody_else_has():
    rows = [*three_rows(), made_results.row(ROWS[ALL_LABELED], III_SP + 0.1)]
    found = ablation_table(rows)
    assert cell(found, ALL_LABELED, "paper Dice %, 7 labelled") == "91.54 ± 0.7 (70 labelled)"
    assert f"{ALL_LABELED}: 70 labelled patients" in found.table.notes
    # the row with most labels first must not hide that another row has other labels
    unequal = edited(rows[0], 0, labeled_patients=["t0"])
    with pytest.raises(DaclError, match="labeled_patients"):
        ablation_table([rows[3], unequal, rows[1]])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset_fingerprint": "0" * 64}, "dataset_fingerprint"),
        ({"evaluated_on": "val"}, "evaluated_on"),
        ({"checkpoint_rule": "latest"}, "checkpoint_rule"),
        ({"labeled_patients": ["t0"]}, "labeled_patients"),
        ({"config_hash": "0" * 64}, "config_hash in row II"),
        ({"seed": 7}, "row II, seed 0 holds a run of seed 7"),
        ({"recipe": {"optim.lr": 0.5}}, "optim.lr: 0.01 in row I, 0.5 in row II"),
        ({"recipe": {"image.mirror": False}}, "image.mirror: True in row I, False in row II"),
        ({"recipe": {"contrast.sampling": "density"}}, "contrast.sampling = density, not random"),
    ],
)
def test_a_mixture_is_refused_or_marked(changes, said):
    results = three_rows()
    results[1] = edited(results[1], 0, **changes)
    with pytest.raises(DaclError, match=said):
        ablation_table(results)
    forced = ablation_table(results, force=True).table.notes
    assert any(note.startswith("NOT COMPARABLE, forced: ") and said in note for note in forced)


@pytest.mark.parametrize(("key", "value"), [("steps", 10), ("preset", "paper")])
def test_rows_have_one_budget(key, value):
    results = three_rows()
    for seed in range(3):
        results[2] = edited(results[2], seed, **{key: value})
    with pytest.raises(DaclError, match=f"{key}: .* in row I, {value} in row III"):
        ablation_table(results)


def test_networks_may_differ_and_configurations_may_be_unknown():
    results = [made_results.row(ROWS["labeled-only"], I_SP - 0.1), *three_rows()]
    unknown = dataclasses.replace(results[1].runs[0], recipe=None)
    results[1] = dataclasses.replace(results[1], runs={**results[1].runs, 0: unknown})
    notes = ablation_table(results).table.notes
    assert "configuration not recorded and not compared: I seed 0" in notes
