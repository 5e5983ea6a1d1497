"""What a table says of how its runs were trained."""

import made_results
import pytest

from dacl.experiments.ablation import components
from dacl.experiments.ablation_table import ablation_table
from dacl.experiments.trained import training_notes

ROWS = {row.key: row for row in components()}
FIRST = {"precision": "bf16", "device": "cpu", "threads": 1,
         "git": {"commit": "abc1234" + 33 * "0", "modified": False}}  # fmt: skip
SECOND = {**FIRST, "git": {"commit": "def5678" + 33 * "0", "modified": False}}


def results(**rows):
    """Two seeds of each row; a pair of records, or one for both."""
    found = []
    for key, given in rows.items():
        row = made_results.row(ROWS[key], [[0.5] * 4] * 2, seeds=(0, 1))
        records = given if isinstance(given, tuple) else (given, given)
        for run, record in zip(row.runs.values(), records, strict=True):
            run.summary["provenance"]["training"] = record
        found.append(row)
    return found


def test_one_line_where_all_is_the_same():
    alike = results(I=FIRST, II=FIRST)
    said = "trained in bf16 on cpu, from commit abc1234"
    assert training_notes(alike) == [said]
    assert said in ablation_table(alike).table.notes


def test_commits_are_named_with_their_rows_and_seeds():
    assert training_notes(results(I=FIRST, II=(FIRST, SECOND), III=SECOND)) == [
        "trained in bf16 on cpu",
        "trained from commits abc1234 (rows I, II seed 0), def5678 (rows II seed 1, III)",
    ]


def test_a_commit_with_changes_is_another_source():
    changed = {**FIRST, "git": {**FIRST["git"], "modified": True}}
    assert training_notes(results(I=changed)) == [
        "trained in bf16 on cpu, from commit abc1234 with uncommitted changes"
    ]
    assert training_notes(results(I=FIRST, II=changed))[1] == (
        "trained from commits abc1234 (row I), abc1234 with uncommitted changes (row II)"
    )
    assert "from commit unknown" in training_notes(results(I={**FIRST, "git": None}))[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"precision": "fp32"}, "trained in bf16 on cpu (row I), fp32 on cpu (row II)"),
        ({"device": "cuda"}, "trained in bf16 on cpu (row I), bf16 on cuda (row II)"),
        ({"threads": 2}, "CPU threads of training 1 (row I), 2 (row II)"),
    ],
)
def test_precision_device_and_threads_only_where_they_differ(changes, said):
    first, *others = training_notes(results(I=FIRST, II={**FIRST, **changes}))
    assert first.endswith("from commit abc1234")
    assert others == [said]


def test_a_run_that_no_longer_says_is_named():
    assert training_notes(results(I=FIRST, II=(None, FIRST))) == [
        "trained in bf16 on cpu, from commit abc1234",
        "commit, precision and device of training not recorded (row II seed 0)",
    ]
    assert training_notes(results(I=None)) == [
        "commit, precision and device of training not recorded (row I)"
    ]
