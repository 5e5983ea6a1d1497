"""The printed numbers, and which of them cannot be right."""

from itertools import pairwise

import pytest

from dacl.experiments.ablation import ALL_LABELED, ANCHORS, LABELED_ONLY, NUMERALS
from dacl.experiments.published import (
    TABLE_1,
    TABLE_2,
    Printed,
    paper_cell,
    paper_heading,
    printed_methods,
    printed_row,
)


def test_table_2_as_printed():
    printed = {key: (row.dice_percent, row.source) for key, row in TABLE_2["acdc"].items()}
    assert printed["I"] == ((85.71, 0.9), "Table 2, row I, ACDC")
    assert printed["VI"] == ((90.91, 0.5), "Table 2, row VI, ACDC")
    synapse = [TABLE_2["synapse"][key].dice_percent for key in NUMERALS]
    # the gains that the text names: +1.13, +0.85, +0.82 for III, IV and V
    gains = [round(b[0] - a[0], 2) for a, b in pairwise(synapse[1:5])]
    assert gains == [1.13, 0.85, 0.82]


@pytest.mark.parametrize("dataset", ["acdc", "synapse"])
def test_the_two_tables_agree_where_both_print_a_row(dataset):
    for key in ("I", "VI"):
        second = TABLE_2[dataset][key]
        assert TABLE_1[dataset][key, second.labeled].dice_percent == second.dice_percent


def test_the_jaccard_that_no_set_of_cases_can_have():
    impossible = {
        (dataset, *place)
        for dataset, rows in TABLE_1.items()
        for place, row in rows.items()
        if any("cannot be" in remark for remark in row.remarks)
    }
    assert impossible == {("acdc", "VI", 3), ("acdc", "I", 7), ("acdc", "VI", 7)}
    [remark] = TABLE_1["acdc"]["VI", 3].remarks
    assert "at least 82.02" in remark  # 0.9012 / (2 - 0.9012) = 0.82017
    row = Printed(source="", labeled=3, dice_percent=(90.12, 0.0), jc_percent=(82.02, 0.0))
    assert row.remarks == ()


def test_remarks_of_repeated_numbers():
    assert [key for key in NUMERALS if TABLE_2["acdc"][key].remarks] == ["II", "III", "IV"]
    assert "IFVD" in TABLE_2["acdc"]["III"].remark
    assert "UA-MT" in TABLE_2["synapse"]["I"].remark
    assert "UA-MT" in TABLE_1["synapse"]["I", 2].remark


def test_what_stands_beside_a_row():
    assert printed_row("IV", "acdc").dice_percent == (89.30, 0.6)
    assert printed_row(ANCHORS, "acdc") is printed_row("VI", "acdc")
    assert printed_row(LABELED_ONLY, "acdc").source == "Table 1, V-Net, ACDC, 7 labelled"
    assert printed_row(ALL_LABELED, "synapse").dice_percent == (62.09, 1.2)
    assert printed_row("without-bank", "acdc") is None
    assert printed_row("IV", "phantom") is None


def test_the_methods_at_our_number_of_labels():
    assert [row.dice_percent[0] for row in printed_methods("acdc", 3)] == [43.30, 57.67, 90.12]
    assert printed_methods("acdc", 5) == ()
    assert printed_methods("phantom", 3) == ()


def test_every_printed_number_says_its_labels():
    assert paper_heading("acdc") == "paper Dice %, 7 labelled"
    assert paper_heading("synapse") == "paper Dice %, 2 labelled"
    assert paper_heading("phantom") == "paper Dice %"
    assert paper_cell("II", "acdc") == "87.50 ± 0.8"
    assert paper_cell(ALL_LABELED, "acdc") == "91.54 ± 0.7 (70 labelled)"
    assert paper_cell("II", "phantom") is None
