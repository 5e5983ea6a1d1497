"""Runs grouped into sides, and what the sides are called."""

import made_evaluations
import pytest
from made_results import base

from dacl.errors import DaclError
from dacl.experiments.comparison.sides import choose_reference, read_sides
from dacl.experiments.folders import Place

VALUES = {"p1_ED": {"RV": 0.5}}


@pytest.fixture
def run(tmp_path):
    """Write a run and give its folder."""

    def write(name, *, settings=None, **options):
        config = base(**(settings or {}))
        return made_evaluations.write(tmp_path / name, config, VALUES, **options)

    return write


def sides(*paths, network="a"):
    return read_sides(paths, Place(), network)


def labels(*paths):
    return [side.label for side in sides(*paths)]


def test_seeds_of_a_configuration_are_one_side_in_the_order_given(run):
    found = sides(
        run("cps-2", settings={"method": "cps", "seed": 2}),
        run("dacl-1", settings={"seed": 1}),
        run("cps-0", settings={"method": "cps"}),
    )
    assert [side.label for side in found] == ["cps", "dacl"]
    assert [list(side.runs) for side in found] == [[0, 2], [1]]
    assert found[0].first.path.name == "cps-0"


def test_sides_of_one_method_are_told_apart_by_what_departs_from_the_preset(run):
    assert labels(
        run("stock", settings={"optim": {"steps": 100}}),
        run("light", settings={"optim": {"steps": 100}, "contrast": {"weight": 0.03}}),
        run("cold", settings={"optim": {"steps": 100}, "contrast": {"tau": 0.2, "scales": [16]}}),
        run("other", settings={"method": "cps", "optim": {"steps": 90}}),
    ) == [
        "dacl",
        "dacl, contrast.weight=0.03",
        "dacl, contrast.scales=[16], contrast.tau=0.2",
        "cps",
    ]


def test_a_label_of_many_settings_counts_the_others(run):
    contrast = {
        "weight": 0.5,
        "tau": 0.2,
        "anchors": 8,
        "positives": 8,
        "negatives": 8,
        "bank_size": 0,
    }
    [_, label] = labels(run("stock"), run("far", settings={"contrast": contrast}))
    assert label.startswith("dacl, contrast.weight=0.5, ")
    assert label.endswith(", 2 more")


def test_labelled_counts_are_told_where_they_differ(run):
    assert labels(
        run("three", settings={"method": "cps"}), run("seven", settings={"labeled": 7})
    ) == ["cps, 3 labelled", "dacl, 7 labelled"]


def test_one_run_evaluated_two_ways_is_two_sides_named_by_the_first_field_that_tells(run):
    plain, cleaned = run("plain"), run("cleaned", post_processing="largest-component")
    assert labels(plain, cleaned) == [
        "dacl, post_processing=none", "dacl, post_processing=largest-component",
    ]  # fmt: skip


def test_evaluations_by_two_versions_are_one_side_where_the_runs_say_so(run):
    first = run("first", provenance={"config_hash": "a" * 64})
    second = run("second", settings={"seed": 1}, provenance={"config_hash": "b" * 64})
    [side] = sides(first, second)
    assert list(side.runs) == [0, 1]


def test_without_runs_the_hash_groups_and_folders_name(run):
    tuned = {"contrast": {"weight": 0.5}}
    found = sides(
        run("VI-seed0", apart=True),
        run("V-seed0", apart=True, settings=tuned),
        run("VI-seed1", apart=True, settings={"seed": 1}),
    )
    assert [side.label for side in found] == ["dacl, VI", "dacl, V"]
    assert [list(side.runs) for side in found] == [[0, 1], [0]]


def test_without_runs_and_names_that_tell_the_hash_is_the_name(run):
    first = run("a/same-seed0", apart=True, provenance={"config_hash": "a" * 64})
    second = run("b/same-seed0", apart=True, provenance={"config_hash": "b" * 64})
    assert labels(first, second) == ["dacl, configuration aaaaaaa", "dacl, configuration bbbbbbb"]


def test_old_results_without_hash_are_grouped_by_method_preset_and_steps(run):
    old = {"apart": True, "provenance": {"config_hash": None}}
    found = sides(
        run("a", **old),
        run("b", settings={"seed": 1}, **old),
        run("c", settings={"optim": {"steps": 100}}, **old),
    )
    assert [(side.label, list(side.runs)) for side in found] == [
        ("dacl, steps=3000", [0, 1]), ("dacl, steps=100", [0]),
    ]  # fmt: skip


def test_a_run_and_an_evaluation_apart_from_its_run_meet(run):
    [side] = sides(run("one"), run("two", apart=True, settings={"seed": 1}))
    assert list(side.runs) == [0, 1]


def test_a_seed_twice_is_refused(run):
    with pytest.raises(DaclError, match=r"one.*two are both dacl seed 0") as error:
        sides(run("one"), run("two"))
    assert "once" in error.value.hint


def test_a_network_that_a_run_does_not_have_is_refused(run):
    with pytest.raises(DaclError, match="supervised seed 0 has no network 'b'") as error:
        sides(run("one"), run("two", settings={"method": "supervised"}), network="b")
    assert error.value.hint == "it has a"


def test_the_reference_is_the_first_or_named_by_label_run_or_method(run):
    found = sides(
        run("stock"),
        run("light", settings={"contrast": {"weight": 0.03}}),
        run("other", settings={"method": "cps"}),
    )
    paths = [side.first.path for side in found]
    assert choose_reference(found, None) is found[0]
    assert choose_reference(found, "dacl, contrast.weight=0.03") is found[1]
    assert choose_reference(found, "light") is found[1]
    assert choose_reference(found, str(paths[1])) is found[1]
    assert choose_reference(found, "cps") is found[2]
    # the label of one side although it is the method of two
    assert choose_reference(found, "dacl") is found[0]


def test_a_reference_that_means_none_or_several_is_refused(run):
    light, heavy = ({"contrast": {"weight": weight}} for weight in (0.03, 0.5))
    found = sides(run("light", settings=light), run("heavy", settings=heavy))
    with pytest.raises(DaclError, match="several sides") as error:
        choose_reference(found, "dacl")
    assert "dacl, contrast.weight=0.03; dacl, contrast.weight=0.5" in error.value.hint
    with pytest.raises(DaclError, match="no side"):
        choose_reference(found, "cps")
