"""The table of an ablation against numbers worked out by hand, what it refuses, and what it dares to say."""

import csv
import dataclasses
import io
import json
import math

import made_results
import numpy as np
import pytest
from made_rows import I_SP, II_SP, III_SP, ROWS, cell, three_rows

from dacl.errors import DaclError
from dacl.experiments.ablation import LABELED_ONLY, without
from dacl.experiments.ablation_table import ablation_table, write_ablation
from dacl.experiments.measured import RowResult, read_run
from dacl.experiments.paired import paired_difference


def test_means_and_the_two_spreads():
    found = ablation_table(three_rows())
    # I: seeds 0.65, 0.67, 0.69; patients, seeds averaged: 0.52, 0.62, 0.72, 0.82, each twice
    assert cell(found, "I", "Dice %") == "67.00"
    assert cell(found, "I", "sd over seeds") == "2.00"
    assert (
        cell(found, "I", "sd over patients")
        == f"{100 * np.std([0.52, 0.62, 0.72, 0.82] * 2, ddof=1):.2f}"
    )
    # made up as 10 (1 - Dice)
    assert cell(found, "II", "ASD vox") == "3.10"
    assert cell(found, "II", "adds") == "+ plain contrast"


def test_differences_to_the_row_above_and_to_cps():
    found = ablation_table(three_rows())
    assert cell(found, "II", "to row above") == "+2.00 [+2.00, +2.00] *"
    assert cell(found, "II", "to I") == "+2.00 [+2.00, +2.00] *"
    assert cell(found, "I", "to I") is None
    # III - II: +4, -4, 0 for every patient: the bounds are the extremes of resampled seeds
    assert cell(found, "III", "to row above") == "+0.00 [-4.00, +4.00]"
    # III - I: +6, -2, +2
    assert cell(found, "III", "to I") == "+2.00 [-2.00, +6.00]"


def test_nothing_is_claimed_where_the_interval_holds_zero():
    notes = ablation_table(three_rows()).table.notes
    assert (
        "II: above I by 2.00 points of Dice, in 3 of 3 seeds, better for 8 of 8 patients" in notes
    )
    [line] = [note for note in notes if note.startswith("III: ")]
    assert "nothing may be claimed against II: the interval includes zero" in line
    assert "nothing may be claimed against I: the interval includes zero" in line
    assert any("in at most 75 % from 3 seeds" in note for note in notes)


def test_seeds_that_agree_in_sign_alone_are_no_claim():
    # II - I by seed +1, +2, +6 for every patient: the bootstrap is off 0, the t interval is not
    uneven = I_SP + np.array([[0.01], [0.02], [0.06]])
    found = ablation_table(
        [made_results.row(ROWS["I"], I_SP), made_results.row(ROWS["II"], uneven)]
    )
    assert cell(found, "II", "to row above") == "+3.00 [+1.00, +6.00]"
    assert (
        "II: nothing may be claimed against I: the t interval over seeds includes zero, [-3.57, +9.57]"
        in found.table.notes
    )
    [line] = [note for note in found.table.notes if note.startswith("in brackets:")]
    assert "*: it excludes zero, as do the 95 % t intervals" in line
    of_csv = list(csv.DictReader(io.StringIO(found.csv())))[1]
    assert float(of_csv["to_above_dice_points_ci95_over_seeds_low"]) == pytest.approx(
        -3.572, abs=1e-3
    )
    assert of_csv["to_above_excludes_zero"] == "False"
    of_json = found.json()["rows"][1]["difference_to_row_above"]
    assert of_json["ci95_over_seeds"] == pytest.approx([-0.03572, 0.09572], abs=1e-5)
    assert of_json["excludes_zero"] is False


def test_five_patients_claim_nothing():
    found = ablation_table(
        [made_results.row(ROWS[k], x[:, :5]) for k, x in (("I", I_SP), ("II", II_SP))]
    )
    assert cell(found, "II", "to I") == "+2.00 [+2.00, +2.00]"
    notes = found.table.notes
    assert "II: nothing may be claimed against I: 5 patients and not 6" in notes
    assert any("from at least 3 seeds and 6 patients" in note for note in notes)
    few = "few patients make the intervals too narrow: from 5 they cover the truth in at most 93.8 % of cases"
    assert few in notes
    assert few not in ablation_table(three_rows()).table.notes


def test_two_seeds_claim_nothing():
    rows = [("I", I_SP), ("II", II_SP)]
    results = [made_results.row(ROWS[key], dice[:2], seeds=(0, 1)) for key, dice in rows]
    found = ablation_table(results)
    assert cell(found, "II", "to I") == "+2.00 [+2.00, +2.00]"
    assert "II: nothing may be claimed against I: 2 seeds and not 3" in found.table.notes


def test_one_seed_claims_nothing():
    results = [
        made_results.row(ROWS["I"], I_SP[:1], seeds=(0,)),
        made_results.row(ROWS["II"], II_SP[:1], seeds=(0,)),
    ]
    found = ablation_table(results)
    assert cell(found, "II", "to row above") == "+2.00 [+2.00, +2.00]"
    notes = found.table.notes
    assert "II: nothing may be claimed against I: one seed" in notes
    assert any(note.startswith("one seed: differences") for note in notes)
    assert any("two seeds at least" in note for note in notes)
    assert "sd over seeds" not in found.table.columns


def test_what_is_said_of_seeds_drawn_anew_leaves_out_comparisons_of_one_seed():
    results = three_rows()
    results[2] = made_results.row(ROWS["III"], III_SP[:1], seeds=(0,))
    notes = ablation_table(results).table.notes
    assert (
        "in brackets, of one seed (III to II, III to I): over patients alone, it says nothing about other seeds"
        in notes
    )
    assert any(note.startswith("in brackets, of several seeds: ") for note in notes)
    alike = ablation_table(three_rows()).table
    assert not any(note.startswith("in brackets,") for note in alike.notes)
    assert "- [ ]" not in alike.markdown()  # GitHub would make it a checkbox


def test_pairs_are_the_seeds_that_both_rows_have_and_missing_cells_have_names():
    results = three_rows()
    results[1] = made_results.row(
        ROWS["II"], II_SP[1:], seeds=(1, 2), missing={0: "failed: out of memory"}
    )
    results.append(RowResult(row=ROWS["IV"], runs={}, missing={0: "not run", 1: "not run"}))
    found = ablation_table(results)
    assert cell(found, "II", "runs") == "2 of 3"
    # seeds 1 and 2 of III - II: -4, 0
    assert cell(found, "III", "to row above") == "-2.00 [-4.00, +0.00] (2 pairs)"
    assert cell(found, "III", "to I").startswith("+2.00")
    assert cell(found, "IV", "runs") == "0 of 2"
    assert cell(found, "IV", "Dice %") is None
    assert "MISSING: II seed 0: failed: out of memory" in found.table.notes
    assert "MISSING: IV seed 1: not run" in found.table.notes
    assert any(
        "at most 50 % from 2 seeds, at most 75 % from 3 seeds;" in note
        for note in found.table.notes
    )


def test_a_patient_undefined_in_one_run_is_left_out_of_the_differences_alone():
    # p1 has no foreground: one run of II predicts none either, the others a spurious voxel
    results = three_rows()
    empty = {**results[1].runs[0].dice_by_patient, "p1": math.nan}
    run = dataclasses.replace(results[1].runs[0], dice=made_results.scores_of(empty))
    results[1] = dataclasses.replace(results[1], runs={**results[1].runs, 0: run})
    found = ablation_table(results)
    above = found.measured[1].above
    assert (above.difference.patients, above.undefined) == (7, 1)
    assert above.difference.mean == pytest.approx(0.02)
    assert found.measured[2].reference.difference.patients == 8
    for name in ("II to I", "III to II"):
        assert any(
            note.startswith(
                f"1 cell (a volume and a class) left out of {name}, undefined in a run of either: in 1 of"
            )
            for note in found.table.notes
        )
    assert not any("left out of III to I," in note for note in found.table.notes)
    assert found.json()["rows"][1]["difference_to_row_above"]["undefined_cells_left_out"] == 1

    nothing = made_results.scores_of(dict.fromkeys(empty, math.nan))
    none = dataclasses.replace(run, dice=nothing)
    results[1] = dataclasses.replace(results[1], runs={**results[1].runs, 0: none})
    assert cell(ablation_table(results), "II", "to I") is None


def test_seeds_needed_come_from_the_spread_of_the_difference():
    found = ablation_table(three_rows())
    # III - II by seed +4, -4, 0: standard deviation 4
    [line] = [note for note in found.table.notes if note.startswith("III to II: ")]
    assert line.startswith("III to II: 505, 128, 34 (sd 4.00 from 3 seeds)")
    assert "over 1000" in line
    # every patient gains the same: nothing is left that seeds could not mend
    assert line.endswith("; half width over patients, these seeds: 0.00")
    assert not any(note.startswith("III to I:") for note in found.table.notes)
    full = [made_results.row(ROWS["I"], I_SP), made_results.row(ROWS["VI"], III_SP)]
    assert any(note.startswith("VI to I: ") for note in ablation_table(full).table.notes)


def test_the_width_that_patients_leave_stands_beside_the_seeds_needed():
    apart = I_SP + np.tile([0.0, 0.02, 0.04, 0.10], 2)
    found = ablation_table([made_results.row(ROWS["I"], I_SP), made_results.row(ROWS["II"], apart)])
    low, high = found.measured[1].above.difference.ci95_over_patients
    [line] = [note for note in found.table.notes if note.startswith("II to I: ")]
    assert line.startswith("II to I: 2, 2, 2 (sd 0.00")
    assert line.endswith(f"; half width over patients, these seeds: {50 * (high - low):.2f}")
    assert high - low > 0.02
    [head] = [note for note in found.table.notes if note.startswith("seeds needed")]
    assert "* needs 3 seeds, 6 patients and the interval over patients and seeds too" in head


def test_without_a_row_above_the_seeds_needed_are_those_against_cps():
    rows = [made_results.row(ROWS[LABELED_ONLY], III_SP), made_results.row(ROWS["I"], I_SP)]
    notes = ablation_table(rows).table.notes
    assert any(note.startswith(f"{LABELED_ONLY} to I: ") for note in notes)
    alone = ablation_table(rows[1:]).table.notes
    assert not any("seeds needed" in note or "two seeds" in note for note in alone)


def test_the_printed_numbers_stand_beside_ours_and_say_their_labels():
    found = ablation_table(three_rows())
    assert cell(found, "II", "paper Dice %, 7 labelled") == "87.50 ± 0.8"
    notes = " | ".join(found.table.notes)
    assert "these runs have 3 labelled patients and not 7" in notes
    assert "Table 3 prints the same 87.50 ± 0.8 as another method's, + ED" in notes
    assert "paper, Table 1, CPS, ACDC, 3 labelled: Dice 57.67 ± 0.5" in notes
    assert "at least 82.02" in notes
    at_seven = [made_results.row(ROWS["I"], I_SP, config=made_results.base(labeled=7))]
    assert "these runs have" not in " ".join(ablation_table(at_seven).table.notes)
    other = ablation_table(three_rows(dataset="blocks", synthetic=True))
    assert "paper" not in other.table.markdown()
    assert "(synthetic)" in other.table.title


def test_the_rows_of_without_are_held_against_the_full_method():
    config = made_results.base()
    rows = without(config, ["bank", "w"])
    results = [
        made_results.row(row, I_SP + shift)
        for row, shift in zip(rows, (0.05, 0.01, 0.02), strict=True)
    ]
    found = ablation_table(results)
    assert cell(found, "without-bank", "to VI-anchors") == "-4.00 [-4.00, -4.00] *"
    assert "to I" not in found.table.columns
    assert "without-w: below VI-anchors by 3.00 points" in " ".join(found.table.notes)


def test_requests_that_make_no_table():
    with pytest.raises(DaclError, match="no cell"):
        ablation_table([RowResult(row=ROWS["I"], runs={}, missing={0: "not run"})])
    with pytest.raises(DaclError, match="no network 'b'"):
        ablation_table([made_results.row(ROWS["labeled-only"], I_SP)], network="b")


def test_notes_of_runs_are_named_unless_all_have_them():
    twin = "p1 (train) and p9 (test) are one image"
    results = three_rows(notes=(twin,))
    results[0].runs[1].summary["notes"].append("unfinished run: step 5 of 10")
    notes = ablation_table(results).table.notes
    assert twin in notes
    assert "unfinished run: step 5 of 10: I seed 1" in notes


def test_an_evaluation_is_read_with_the_configuration_of_its_run(tmp_path):
    config = ROWS["II"].config(made_results.base(), 1)
    given = made_results.run(config, {"p1": 0.5, "p2": 0.7})
    found = read_run(made_results.write_run(tmp_path / "II-seed1", given, config))
    assert found.summary == given.summary
    assert found.dice_by_patient == pytest.approx(given.dice_by_patient)
    assert found.recipe == given.recipe
    (tmp_path / "II-seed1" / "run.json").unlink()
    assert read_run(tmp_path / "II-seed1" / "evaluation" / "test-best").recipe is None
    with pytest.raises(DaclError, match="no finished evaluation"):
        read_run(tmp_path / "II-seed1")


def test_five_files_that_say_the_same(tmp_path):
    rng = np.random.default_rng(0)
    dice = {key: I_SP + rng.normal(0.02, 0.01, I_SP.shape) for key in ("I", "II", "III")}
    results = []
    for key, dice_SP in dice.items():
        runs = {}
        for seed, given in made_results.row(ROWS[key], dice_SP).runs.items():
            config = ROWS[key].config(made_results.base(), seed)
            folder = tmp_path / f"{key}-seed{seed}"
            runs[seed] = read_run(made_results.write_run(folder, given, config))
        results.append(RowResult(row=ROWS[key], runs=runs))
    found = ablation_table(results)
    files = write_ablation(tmp_path / "out", "components", found)
    assert [file.name for file in files] == [
        f"components.{kind}" for kind in ("md", "tex", "csv", "json", "png")
    ]
    markdown, latex, text, content = (file.read_text(encoding="utf-8") for file in files[:4])
    assert files[4].read_bytes().startswith(b"\x89PNG")

    sides = [
        [dict(zip(made_results.PATIENTS, map(float, dice_P), strict=True)) for dice_P in dice[key]]
        for key in ("II", "I")
    ]
    expected = paired_difference(*sides)
    low, high = expected.ci95_over_patients_and_seeds
    mean = float(dice["II"].mean())
    shown = f"{100 * expected.mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"
    for table in (markdown, latex):
        assert shown in table
        assert f"{100 * mean:.2f}" in table
    assert "| ---: |" in markdown
    assert latex.count(r"\\") == 4

    [line] = [line for line in csv.DictReader(io.StringIO(text)) if line["row"] == "II"]
    assert float(line["dice_percent_mean"]) == pytest.approx(100 * mean, rel=1e-12)
    assert float(line["to_above_dice_points_ci95_over_patients_and_seeds_low"]) == pytest.approx(
        100 * low
    )
    assert line["to_reference_row"] == "I"
    assert line["to_above_pairs"] == "3"
    assert line["paper_source"] == "Table 2, row II, ACDC"

    content = json.loads(content)
    assert content["protocol"]["dataset"] == "acdc"
    assert content["protocol"]["network"] == "a"
    assert content["provenance"]["seeds"] == [0, 1, 2]
    assert set(content["provenance"]["config_hash"]) == {"I", "II", "III"}
    assert "torch" in content["provenance"]["packages"]
    row = content["rows"][1]
    assert row["dice"]["by_seed"] == pytest.approx(
        {str(seed): float(dice["II"][seed].mean()) for seed in range(3)}
    )
    assert row["dice"]["std_over_seeds"] == pytest.approx(np.std(dice["II"].mean(axis=1), ddof=1))
    assert row["dice_std_over_patients"] == pytest.approx(np.std(dice["II"].mean(axis=0), ddof=1))
    difference = row["difference_to_row_above"]
    assert difference["ci95_over_patients_and_seeds"] == pytest.approx([low, high])
    assert difference["std_over_seeds"] == pytest.approx(expected.std_over_seeds)
    assert row["paper"]["dice_percent"] == 87.50
    assert content["rows"][0]["difference_to_row_above"] is None
    assert row["seeds_needed"]["I"]["pairs"] == 3
