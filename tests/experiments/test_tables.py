"""Tables of one run and of several, and what they refuse."""

import copy
from pathlib import Path

import pytest
import tiny_run

from dacl.errors import DaclError
from dacl.experiments.evaluation import Request, evaluate
from dacl.experiments.tables import Summary, comparison_table, result_table


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    folder: Path = tmp_path_factory.mktemp("tables")
    dataset = tiny_run.write_dataset(folder / "data")
    run = tiny_run.write_run(folder / "run", dataset)
    return evaluate(run, Request(predictions=False, pictures=False, device="cpu")).summary


def variant(summary: Summary, *, dice: float = 0.8, **changes: object) -> Summary:
    """The same summary with another Dice, and other provenance or protocol fields."""
    other = copy.deepcopy(summary)
    other["networks"]["a"]["foreground"]["dice"]["mean"] = dice
    for key, value in changes.items():
        other["protocol" if key in other["protocol"] else "provenance"][key] = value
    return other


def test_one_run_is_network_by_class_with_foreground_last(summary: Summary) -> None:
    table = result_table(variant(summary, dice=0.81236))
    assert [row[:2] for row in table.rows[:4]] == [
        ("a", n) for n in ("RV", "Myo", "LV", "foreground")
    ]
    assert {row[0] for row in table.rows} == {"a", "b", "mean"}
    assert table.rows[3][2] == "81.24"
    text = " ".join(table.notes)
    for said in (
        "synthetic",
        "blocks",
        "split fixed",
        "p1",
        "checkpoint best",
        "strict",
        "one seed",
    ):
        assert said in text
    assert "(synthetic)" in table.title


def test_markdown_and_latex_hold_the_same_cells(summary: Summary) -> None:
    table = comparison_table([variant(summary, method="dacl", dice=0.9)])
    assert "| dacl | 1 | 90.00 |" in table.markdown()
    latex = table.latex()
    assert r"dacl & 1 & 90.00" in latex
    assert r"Dice \%" in latex
    assert r"\toprule" in latex
    assert latex.count("{") == latex.count("}")


def test_methods_compare_although_their_networks_differ(summary: Summary) -> None:
    alone = variant(summary, method="supervised", networks=["a"], dice=0.7)
    table = comparison_table([alone, variant(summary, method="dacl", dice=0.8)])
    assert [row[:3] for row in table.rows] == [("supervised", "1", "70.00"), ("dacl", "1", "80.00")]
    assert any("one seed" in note for note in table.notes)
    assert any(note == "network a, mean over foreground classes" for note in table.notes)


def test_seeds_of_a_method_become_mean_and_spread(summary: Summary) -> None:
    runs = [
        variant(summary, method=m, seed=s, dice=d)
        for m, s, d in [("cps", 0, 0.7), ("cps", 1, 0.8), ("dacl", 1, 0.9), ("dacl", 0, 0.9)]
    ]
    table = comparison_table(runs)
    assert [row[:3] for row in table.rows] == [
        ("cps", "2", "75.00 ± 7.07"),
        ("dacl", "2", "90.00 ± 0.00"),
    ]
    assert any("over runs" in note for note in table.notes)
    assert r"$\pm$" in table.latex()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evaluated_on": "val"}, "evaluated_on"),
        ({"dataset_fingerprint": "f00"}, "dataset_fingerprint"),
        ({"labeled_patients": ["p1", "p2"]}, "labeled_patients"),
        ({"checkpoint_rule": "latest"}, "checkpoint_rule"),
        ({"empty_rule": "mcnet"}, "empty_rule"),
        ({"post_processing": "largest-component"}, "post_processing"),
        ({"seed": 5}, "seeds"),
    ],
)
def test_a_mixture_is_refused_or_marked(summary: Summary, changes: dict, said: str) -> None:
    runs = [variant(summary, method="cps"), variant(summary, method="dacl", **changes)]
    with pytest.raises(DaclError, match=said):
        comparison_table(runs)
    forced = comparison_table(runs, force=True)
    assert any(
        note.startswith("NOT COMPARABLE, forced: ") and said in note for note in forced.notes
    )


def test_the_labelled_count_is_an_axis_of_its_own(summary: Summary) -> None:
    runs = [summary, variant(summary, labeled_patients=["p1", "p2"])]
    table = comparison_table(runs, axis="labeled")
    assert [row[0] for row in table.rows] == ["1", "2"]
    assert not any("p1" in note for note in table.notes)
    with pytest.raises(DaclError, match="method: cps, dacl"):
        comparison_table([summary, variant(runs[1], method="cps")], axis="labeled")


def test_runs_of_one_row_must_be_alike_too(summary: Summary) -> None:
    runs = [summary, variant(summary, seed=1, networks=["a"])]
    with pytest.raises(DaclError, match="networks"):
        comparison_table(runs)


@pytest.mark.parametrize("force", [False, True])
def test_a_seed_stands_once_in_a_row(summary: Summary, force: bool) -> None:
    with pytest.raises(DaclError, match="dacl seed 0 stands twice in the row 'dacl'"):
        comparison_table([summary, summary], force=force)
    with pytest.raises(DaclError, match="stands twice"):
        comparison_table([summary, variant(summary, method="cps"), summary], force=force)


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [("steps", 10, 20), ("preset", "small", "paper"), ("config_hash", "a" * 64, "b" * 64)],
)
def test_runs_of_one_row_differ_in_the_seed_alone(
    summary: Summary, key: str, one: object, other: object
) -> None:
    runs = [variant(summary, **{key: one}), variant(summary, seed=1, **{key: other})]
    with pytest.raises(DaclError, match=f"{key} in row dacl: {str(one)[:12]}, {str(other)[:12]}"):
        comparison_table(runs)
    forced = comparison_table(runs, force=True)
    assert any(f"forced: {key} in row dacl" in note for note in forced.notes)
    comparison_table([runs[0], variant(summary, seed=1, **{key: one})])


def test_the_hash_of_the_configuration_is_of_its_row_and_optional(summary: Summary) -> None:
    table = comparison_table(
        [
            variant(summary, method="cps", config_hash="c" * 64),
            variant(summary, method="dacl", config_hash="d" * 64),
        ]
    )
    assert not any("config_hash" in note for note in table.notes)
    without = variant(summary)
    without["provenance"].pop("config_hash", None)
    comparison_table([without, variant(summary, seed=1, config_hash="d" * 64)])


def test_other_budgets_are_noted(summary: Summary) -> None:
    table = comparison_table([variant(summary, method="cps", steps=10), summary])
    assert any(note.startswith("steps differ: cps 10, dacl") for note in table.notes)


def test_undefined_means_are_dashes(summary: Summary) -> None:
    blank = copy.deepcopy(summary)
    blank["networks"]["a"]["foreground"]["asd_mm"]["mean"] = None
    assert "| - |" in comparison_table([blank]).markdown()


def test_requests_that_make_no_table(summary: Summary) -> None:
    with pytest.raises(DaclError, match="no results"):
        comparison_table([])
    with pytest.raises(DaclError, match="unknown axis 'colour'"):
        comparison_table([summary], axis="colour")
    with pytest.raises(DaclError, match="no network 'teacher'"):
        comparison_table([summary], network="teacher")
