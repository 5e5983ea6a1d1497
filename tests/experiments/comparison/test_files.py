"""A comparison in words and as data, from two small sides whose numbers are known."""

import csv
import json
from dataclasses import replace

import made_evaluations
import pytest
from made_evaluations import frames
from made_results import base

from dacl.experiments.comparison import files as comparison_files
from dacl.experiments.comparison.compared import compare_sides
from dacl.experiments.comparison.files import panels, write_comparison
from dacl.experiments.comparison.metric_words import words_of
from dacl.experiments.comparison.sides import read_sides
from dacl.experiments.comparison.table import differences_table, moved_table
from dacl.experiments.folders import Place
from dacl.metrics.conventions import METRICS
from dacl.palette import class_ink

OLD = {f"p{n}": {"RV": 0.5, "LV": 0.5} for n in range(1, 8)}
NEW = {p: {"RV": 0.625, "LV": 0.5} for p in OLD} | {"p7": {"RV": 0.25, "LV": 0.25}}


@pytest.fixture
def compared(tmp_path):
    """cps and dacl from the values of their patients; `later` are those of every seed but 0."""

    def make(
        *, old=OLD, new=NEW, later=None, seeds=((0,), (0,)), force=False, metric="dice", other=None,
        settings=None,
    ):  # fmt: skip
        paths = []
        for method, values, numbers in (("cps", old, seeds[0]), ("dacl", new, seeds[1])):
            of_dacl, protocol = (settings or {}, other or {}) if method == "dacl" else ({}, {})
            for seed in numbers:
                each = frames(later if later and seed else values)
                config = base(method=method, seed=seed, **of_dacl)
                folder = tmp_path / f"{method}-{seed}"
                paths.append(
                    made_evaluations.write(folder, config, each, metric=metric, **protocol)
                )
        sides = read_sides(paths, Place(), "a")
        return compare_sides(sides, sides[0], force=force, metric=metric)

    return make


def notes(found):
    return "\n".join(differences_table(found).notes)


def test_the_table_holds_means_difference_intervals_p_and_who_won(compared):
    table = differences_table(compared())
    assert table.title == "acdc, test: dacl minus cps, Dice, network a"
    cells = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["class"] for row in cells] == ["RV", "LV", "foreground"]
    assert {row["side"] for row in cells} == {"dacl"}
    right, left, foreground = cells
    # RV: six gain 12.5 points, one loses 25
    assert (right["cps Dice %"], right["side Dice %"], right["difference"]) == (
        "50.00",
        "57.14",
        "+7.14",
    )
    assert right["95 % over patients"].endswith("+12.50]")
    assert (right["p"], right["p Holm"], right["won/lost/tied"]) == ("0.3594", "0.7188", "6/1/0")
    assert (left["p"], left["p Holm"], left["won/lost/tied"]) == ("1.0000", "1.0000", "0/1/6")
    assert foreground["p Holm"] is None
    assert "measured alike?" not in table.columns


def test_a_long_label_does_not_become_a_heading(compared):
    found = compared()
    label = "cps, cross.schedule=constant, cross.weight=0.5"
    renamed = replace(found, reference=replace(found.reference, label=label))
    table = differences_table(renamed)
    assert table.columns[2] == moved_table(renamed).columns[3] == "reference Dice %"
    assert label in table.title


def test_notes_say_what_the_numbers_are_and_are_not(compared):
    said = notes(compared())
    for part in (
        "judged on test", "one seed: both intervals are over patients alone", "Wilcoxon signed-rank",
        "differences of zero are left out, and p is 1 where all are zero", "over the 2 classes of a side",
        "no part of that family", "frames of a patient averaged first",
        "1 patient with a difference (dacl LV): p cannot fall below 1", "nothing may be claimed: one seed",
        "better is higher",
    ):  # fmt: skip
        assert part in said
    assert "NOT COMPARABLE" not in said


def test_several_seeds_speak_of_claims_and_of_few_seeds(compared):
    found = compared(seeds=((0, 1, 2), (0, 1, 2)), new={p: {"RV": 0.625, "LV": 0.625} for p in OLD})
    said = notes(found)
    assert "*: a claim" in said
    assert "at most 75 % from 3 seeds" in said
    assert (
        "dacl against cps: above by 12.50 points of Dice, in 3 of 3 seeds, better for 7 of 7"
        in said
    )
    assert all(row[6].endswith("*") for row in differences_table(found).rows)


def test_few_patients_are_told(compared):
    few = {p: OLD[p] for p in ("p1", "p2", "p3", "p7")}
    found = compared(old=few, new={p: NEW[p] for p in few})
    assert (
        "4 patients with a difference (dacl RV, dacl foreground): p cannot fall below 0.125"
        in notes(found)
    )
    assert "from 4 they cover the truth in at most 87.5 %" in notes(found)


def test_one_patient_has_no_others_to_draw(compared):
    found = compared(old={"p1": OLD["p1"]}, new={"p1": NEW["p1"]})
    assert "one patient: there is no other to draw" in notes(found)


def test_a_forced_mixture_is_told_first_and_on_each_line(compared):
    found = compared(other={"checkpoint_rule": "latest"}, force=True)
    table = differences_table(found)
    assert table.notes[0] == (
        "NOT COMPARABLE, forced: cps and dacl differ in checkpoint_rule: best != latest"
    )
    assert {row[table.columns.index("measured alike?")] for row in table.rows} == {"NOT COMPARABLE"}
    assert "nothing may be claimed: not measured alike" in notes(found)
    assert "NOT COMPARABLE" in table.markdown()
    assert "NOT COMPARABLE" in table.latex()


def test_forced_seeds_say_that_intervals_are_over_patients_alone(compared):
    found = compared(seeds=((0, 1), (0, 2)), force=True)
    assert "other seeds than cps: dacl; seeds are averaged on each side" in notes(found)
    assert "one seed:" not in notes(found)
    assert "seeds not paired" in notes(found)


def test_settings_that_differ_are_told(compared):
    found = compared(settings={"optim": {"steps": 100}, "contrast": {"tau": 0.2}})
    # tau is read by dacl alone: it is what the method is
    assert "set otherwise in dacl than in cps: optim.steps 100 (3000)" in notes(found)
    assert "tau" not in notes(found)


def test_settings_that_a_hash_leaves_out_are_told_too(compared):
    found = compared(settings={"image": {"mirror": False}, "labeled_order": "random:1"})
    assert (
        "set otherwise in dacl than in cps: labeled_order random:1 (split), image.mirror False (True)"
        in notes(found)
    )


def test_undefined_cells_are_counted(compared):
    old = {p: {"RV": 0.5, "LV": None} for p in OLD}
    said = notes(compared(old=old))
    assert (
        "14 cells (a volume and a class) left out of dacl and cps, undefined in a run of either: in 14 of"
        in said
    )
    assert "no patient with a value in every run of dacl and cps: LV" in said


def test_cases_that_moved_are_a_table_of_their_own(compared):
    table = moved_table(compared())
    first, last = table.rows[0], table.rows[-1]
    # LV of ED and ES is 0.125 to either side of the mean on both sides and does not move
    assert first == ("dacl", "better", "p1_ED", "62.50", "68.75", "+6.25", "RV: 62.50 to 75.00")
    assert last == ("dacl", "worse", "p7_ES", "37.50", "12.50", "-25.00", "RV: 37.50 to 12.50")
    assert len(table.rows) == 3 + 2


def test_distances_are_written_as_they_are(compared):
    far = {p: {"RV": 4.0, "LV": 2.0} for p in OLD}
    found = compared(old=far, new={p: {"RV": 1.5, "LV": 2.0} for p in OLD}, metric="hd95_mm")
    table = differences_table(found)
    assert table.rows[0][2:6] == ("4.00", "1.50", "-2.50", "[-2.50, -2.50]")
    assert table.rows[0][-1] == "7/0/0"
    assert "mm; better is lower" in notes(found)


def test_every_metric_has_words():
    assert [words_of(metric).heading for metric in METRICS] == [
        "Dice %", "JC %", "ASD vox", "ASSD vox", "HD95 vox", "ASD mm", "ASSD mm", "HD95 mm",
    ]  # fmt: skip


def test_files_hold_the_blocks_and_every_number(compared, tmp_path):
    found = compared(other={"checkpoint_rule": "latest"}, force=True)
    out = tmp_path / "out"
    written = write_comparison(found, out)
    assert {path.name for path in written} == {
        "comparison.md", "comparison.tex", "comparison.csv", "comparison.json", "comparison.png", "comparison.svg",
    }  # fmt: skip
    assert all(path.stat().st_size for path in written)
    content = json.loads((out / "comparison.json").read_text())
    assert content["protocol"]["metric"] == "dice"
    assert content["protocol"]["network"] == "a"
    assert content["provenance"]["seeds"] == {"cps": [0], "dacl": [0]}
    assert content["reference"] == "cps"
    [difference] = content["differences"]
    assert difference["not_comparable"] == ["checkpoint_rule: best != latest"]
    right = difference["classes"]["RV"]
    assert right["difference"]["mean"] == pytest.approx(0.5 / 7)
    assert right["difference_by_patient"] == {**{f"p{n}": 0.125 for n in range(1, 7)}, "p7": -0.25}
    assert right["wilcoxon"]["nonzero"] == 7
    assert difference["moved"]["better"][0]["case"] == "p1_ED"
    with (out / "comparison.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["class"] for line in lines] == ["RV", "LV", "foreground"]
    assert float(lines[0]["difference"]) == pytest.approx(0.5 / 7)
    assert (lines[0]["comparable"], lines[0]["wins"], lines[2]["p_holm"]) == ("False", "6", "")
    markdown = (out / "comparison.md").read_text()
    assert "| dacl | RV |" in markdown
    assert "cases that moved most" in markdown


def test_undefined_numbers_are_null_and_empty(compared, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison_files, "why_no_pictures", lambda: "none here")
    found = compared(old={p: {"RV": 0.5, "LV": None} for p in OLD})
    written = write_comparison(found, tmp_path / "out")
    assert [path.suffix for path in written] == [".md", ".tex", ".csv", ".json"]
    text = written[-1].read_text()
    assert "NaN" not in text
    empty = json.loads(text)["differences"][0]["classes"]["LV"]
    assert empty["difference"] is empty["wilcoxon"] is empty["reference_mean"] is None
    assert "| dacl | LV | - | - | - |" in written[0].read_text()


def test_the_picture_shows_the_interval_over_patients_and_seeds_in_points(compared):
    found = compared(seeds=((0, 1), (0, 1)), later=OLD)
    right = found.differences[0].rows[0].difference
    assert right.ci95_over_patients_and_seeds[1] > right.ci95_over_patients[1]
    [side] = found.differences
    [panel] = panels(found)
    assert (panel.title, panel.left, panel.right, panel.warning) == (
        "dacl", "cps better", "dacl better", None,
    )  # fmt: skip
    assert [dots.label for dots in panel.rows] == ["RV", "LV", "foreground mean"]
    assert [dots.color for dots in panel.rows] == [class_ink(1), class_ink(2), "#777777"]
    for dots, row in zip(panel.rows, side.rows, strict=True):
        low, high = row.difference.ci95_over_patients_and_seeds
        assert (dots.low, dots.high) == pytest.approx((100 * low, 100 * high))
        assert dots.mean == pytest.approx(100 * row.difference.mean)
        assert dots.patients == pytest.approx([100 * gain for gain in row.gain_by_patient])


def test_in_the_picture_of_a_distance_the_better_side_is_on_the_other_side_of_zero(compared):
    far = {p: {"RV": 4.0, "LV": None} for p in OLD}
    found = compared(
        old=far, new=far, metric="asd_vox", other={"checkpoint_rule": "latest"}, force=True
    )
    [panel] = panels(found)
    assert (panel.left, panel.right) == ("dacl better", "cps better")
    assert panel.warning.startswith("NOT COMPARABLE")
    # LV has no difference to draw, and the foreground keeps its name and ink
    assert [dots.label for dots in panel.rows] == ["RV", "foreground mean"]
    assert panel.rows[0].patients == (0.0,) * 7
