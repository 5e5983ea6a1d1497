"""Configurations: presets, layers, TOML, and what the errors say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dacl.config import Config, config_hash, known_keys, merge, recipe, resolve, settings_of
from dacl.config_text import parse_assignments, read_toml, to_toml
from dacl.errors import DaclError
from dacl.presets import PRESETS


def through_toml(config, path):
    path.write_text(to_toml(config))
    return resolve(config.preset, read_toml(path))


def test_a_preset_under_another_presets_name_is_refused():
    with pytest.raises(DaclError, match="'paper' is the base, but 'small'"):
        resolve("paper", {"preset": "small"})


@pytest.mark.parametrize("preset", PRESETS)
def test_toml_round_trip(preset, tmp_path):
    config = resolve(preset)
    assert config.preset == preset
    assert through_toml(config, tmp_path / "config.toml") == config


@given(
    tau=st.floats(1e-6, 10),
    scales=st.sets(st.integers(1, 99), min_size=1).map(sorted),
    lr=st.floats(1e-9, 1),
    unit=st.sampled_from(["pixel", "class"]),
)
def test_toml_round_trip_of_any_values(tmp_path_factory, tau, scales, lr, unit):
    layer = {"contrast": {"tau": tau, "scales": scales, "unit": unit}, "optim": {"lr": lr}}
    config = resolve("small", layer)
    assert config.contrast.tau == tau
    assert through_toml(config, tmp_path_factory.getbasetemp() / "any.toml") == config


def test_the_paper_preset_holds_the_papers_numbers():
    config = resolve("paper")
    contrast, optim = config.contrast, config.optim
    assert (optim.steps, optim.lr, optim.momentum, optim.weight_decay) == (30_000, 0.01, 0.9, 1e-4)
    assert (contrast.anchors, contrast.positives, contrast.negatives) == (256, 512, 512)
    assert (contrast.tau, contrast.bank_size, contrast.weight) == (0.4, 1000, 0.1)
    assert contrast.warmup_fraction * optim.steps == pytest.approx(1000)
    assert config.cross.weight == 1
    assert (optim.batch_labeled, optim.batch_unlabeled, config.image.patch_size) == (12, 12, 256)


def test_later_layers_win_leaf_by_leaf():
    file = {"contrast": {"tau": 0.2, "phi": 0.8}, "labeled": 7}
    assignments = parse_assignments(["contrast.tau=0.3", "optim.lr=0.1"])
    config = resolve("small", file, assignments, {"optim": {"lr": 0.5}})
    assert (config.contrast.tau, config.contrast.phi) == (0.3, 0.8)
    assert (config.labeled, config.optim.lr) == (7, 0.5)
    assert config.optim.steps == PRESETS["small"]["optim"]["steps"]
    assert config.optim.momentum == 0.9


def test_merge_leaves_its_arguments_alone():
    base, over = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}}
    assert merge(base, over) == {"a": {"b": 9, "c": 2}, "d": 3}
    assert (base, over) == ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}})
    assert merge({"a": {"b": 1}}, {"a": 5}) == {"a": 5}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("contrast.tau=0.2", {"contrast": {"tau": 0.2}}),
        ("contrast.scales=[8, 16]", {"contrast": {"scales": [8, 16]}}),
        ("labeled=7", {"labeled": 7}),
        ("compile=true", {"compile": True}),
        ("method=cps", {"method": "cps"}),
        ("method='cps'", {"method": "cps"}),
        (" optim.lr = 1e-3", {"optim": {"lr": 1e-3}}),
    ],
)
def test_assignments_are_read_as_toml_else_as_text(item, expected):
    assert parse_assignments([item]) == expected


def test_assignments_join_and_the_last_wins():
    items = ["contrast.tau=1.0", "contrast.phi=0.5", "contrast.tau=0.2"]
    assert parse_assignments(items) == {"contrast": {"tau": 0.2, "phi": 0.5}}


def test_an_assignment_without_a_value_says_how_to_write_one():
    with pytest.raises(DaclError, match=r"contrast\.tau") as caught:
        parse_assignments(["contrast.tau"])
    assert "--set contrast.tau=" in caught.value.hint


@pytest.mark.parametrize(
    ("layer", "key", "near"),
    [
        ({"contrast": {"tua": 0.2}}, "contrast.tua", "contrast.tau"),
        ({"optim": {"step": 5}}, "optim.step", "optim.steps"),
        ({"labelled": 3}, "labelled", "labeled"),
        ({"contarst": {"tau": 0.1}}, "contarst", "contrast"),
    ],
)
def test_an_unknown_key_names_the_nearest(layer, key, near):
    with pytest.raises(DaclError, match=f"unknown configuration key '{key}'") as caught:
        resolve("paper", layer)
    assert near in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("contrast.tau", 0),
        ("contrast.phi", 1.0),
        ("contrast.scales", []),
        ("contrast.scales", [16, 8]),
        ("contrast.scales", [8, 8]),
        ("contrast.max_fraction", 0.6),
        ("contrast.bank_size", -1),
        ("contrast.positiveness", "inside"),
        ("image.patch_size", 100),
        ("network.dropout", [0.1] * 4),
        ("network.dropout", [0.1] * 4 + [1.0]),
        ("network.vnet_dropout", 1.0),
        ("optim.steps", 0),
        ("optim.lr", "fast"),
        ("optim.momentum", 1.0),
        ("labeled", 0),
        ("labeled", 2.5),
        ("seed", -1),
        ("method", "mcnet"),
    ],
)
def test_a_value_out_of_range_is_named(key, value):
    with pytest.raises(DaclError, match=key.split(".")[0]) as caught:
        resolve("paper", parse_assignments([f"{key}={value!r}"]))
    assert key.rpartition(".")[2] in caught.value.message
    assert "docs/configuration.md" in caught.value.hint


def test_an_unknown_preset_lists_them():
    with pytest.raises(DaclError, match="'large'") as caught:
        resolve("large")
    assert "paper" in caught.value.hint
    assert "small" in caught.value.hint


def test_a_size_and_a_reading_join():
    joined, small, literal = (resolve(name) for name in ("small+literal", "small", "literal"))
    assert joined.preset == "small+literal"
    assert joined.image == small.image
    assert joined.contrast == literal.contrast != small.contrast
    assert literal.image == resolve("paper").image


def test_the_readings_hold_the_settings_they_are_named_after():
    dgcl, literal = resolve("dgcl").contrast, resolve("literal").contrast
    assert (dgcl.anchors, dgcl.positives, dgcl.negatives) == (200, 100, 512)
    assert (dgcl.bank_size, dgcl.bank_insert, dgcl.scales) == (10_000, 1000, (8, 16, 32))
    assert (dgcl.tau, dgcl.weight, dgcl.schedule) == (0.5, 0.5, "constant")
    assert (dgcl.density_from, dgcl.reliability, dgcl.positiveness) == ("bank", "entropy", "none")
    assert (literal.denominator, literal.reduction) == ("decoupled", "sum")
    assert (literal.positiveness, literal.bank, literal.unit) == (
        "inside_attached", "shared", "class"
    )  # fmt: skip
    assert literal.tau_w == 1.0  # Eq. 9 prints no temperature


@pytest.mark.parametrize(
    ("contrast", "said"),
    [
        ({"bank_size": 0, "density_from": "bank"}, "among 0 features at most, not more than max"),
        ({"bank_size": 32, "density_from": "bank"}, "among 32 features"),
        ({"sample_cap": 32, "density_from": "batch"}, "among 32 features"),
        ({"sample_cap": 16, "bank_size": 16}, "among 32 features"),
        ({"positiveness": "claim1"}, "no gradient where tau_w = tau"),
        ({"positiveness": "inside_denominator", "denominator": "decoupled"}, "with_positive"),
    ],
)
def test_settings_that_would_do_nothing_are_refused_in_one_line(contrast, said):
    with pytest.raises(DaclError, match=said) as error:
        resolve("small", {"contrast": contrast})
    assert error.value.message.startswith("configuration section contrast: ")
    assert len(error.value.message) < 200


def test_a_recipe_leaves_out_chance_machine_and_what_the_method_does_not_read():
    base = {"method": "cps"}
    same = [
        {"seed": 5}, {"device": "cpu"}, {"journal": {"log_every": 3}}, {"contrast": {"tau": 9.0}},
    ]  # fmt: skip
    assert {config_hash(resolve("small", merge(base, over))) for over in [{}, *same]} == {
        config_hash(resolve("small", base))
    }
    for over in ({"labeled": 7}, {"cross": {"weight": 2.0}}, {"method": "dacl"}):
        assert recipe(resolve("small", merge(base, over))) != recipe(resolve("small", base))
    assert recipe(resolve("small", {"contrast": {"tau": 9.0}}))["contrast.tau"] == 9.0
    assert not any(
        key.startswith("cross") for key in recipe(resolve("small", {"method": "supervised"}))
    )


def test_nothing_can_be_changed_after_the_fact():
    config = resolve("paper")
    with pytest.raises(ValidationError, match="frozen"):
        config.labeled = 7
    with pytest.raises(ValidationError, match="frozen"):
        config.contrast.tau = 0.1
    assert resolve("paper") == config == Config()


def test_every_leaf_is_known_by_its_dotted_name():
    dump = Config().model_dump()
    expected = {
        name if not isinstance(value, dict) else f"{name}.{leaf}"
        for name, value in dump.items()
        for leaf in (value if isinstance(value, dict) else [name])
    }
    assert set(known_keys()) == expected
    assert len(known_keys()) == len(expected)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(DaclError, match=r"nowhere\.toml"):
        read_toml(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("labeled = \n")
    with pytest.raises(DaclError, match=r"broken\.toml is not valid TOML.*line 1"):
        read_toml(broken)


def test_a_preset_has_other_sizes_in_3d_and_they_can_be_overridden():
    flat, deep = resolve("small"), resolve("small", {"image": {"dims": 3}})
    assert (flat.network.width, deep.network.width) == (16, 8)
    assert (deep.image.patch_depth, deep.image.slice_spacing_mm) == (64, 3.0)
    assert deep.optim.steps == flat.optim.steps == 3000
    over = resolve("small+literal", {"image": {"dims": 3}}, {"network": {"width": 32}})
    assert over.network.width == 32
    assert over.contrast.unit == "class"
    assert resolve("small", deep.model_dump(mode="json")) == deep


def test_a_recipe_has_the_keys_of_its_dims_alone():
    flat, deep = recipe(resolve("paper")), recipe(resolve("paper", {"image": {"dims": 3}}))
    assert deep["image.dims"] == 3
    assert set(deep) - set(flat) == {
        "image.dims", "image.patch_depth", "image.slice_spacing_mm", "image.volume_shape",
        "image.foreground_fraction", "image.window_overlap", "network.vnet_dropout",
    }  # fmt: skip
    assert set(flat) - set(deep) == {"network.dropout", "network.shared_encoder"}


def test_settings_that_are_off_are_no_part_of_the_recipe():
    plain = recipe(resolve("paper"))
    for over, key in (
        ({"image": {"mirror": False}}, "image.mirror"),
        ({"labeled_order": "random:1"}, "labeled_order"),
        ({"labeled_cases": ["p1", "p2", "p3"]}, "labeled_cases"),
    ):
        assert key not in plain
        assert key in recipe(resolve("paper", over))


def test_a_complete_recipe_has_every_key_that_was_read():
    plain, off = (
        settings_of(resolve("paper", over)) for over in ({}, {"image": {"mirror": False}})
    )
    assert plain.keys() == off.keys()
    assert (plain["image.mirror"], off["image.mirror"]) == (True, False)
    assert (plain["labeled_order"], plain["labeled_cases"], plain["image.dims"]) == ("split", [], 2)
    assert settings_of(resolve("paper", {"image": {"dims": 3}}))["image.dims"] == 3


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"labeled_cases": ["p1", "p2"]}, "labeled = 3, but labeled_cases names 2 patients"),
        (
            {"labeled": 1, "labeled_cases": ["p1"], "labeled_order": "random:0"},
            "exclude each other",
        ),
        ({"labeled_order": "random"}, "labeled_order"),
        ({"image": {"dims": 3}, "network": {"shared_encoder": True}}, "needs the U-Net"),
        ({"image": {"dims": 4}}, "image.dims"),
        (
            {"contrast": {"unit": "class", "bank_insert": 7}},
            "bank_insert = 7 is less than the 8 images",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(over, said):
    with pytest.raises(DaclError, match=said):
        resolve("small", over)


@pytest.mark.parametrize(
    ("preset", "steps", "journal", "found"),
    [
        ("paper", 30_000, {}, 3000),
        ("small", 3000, {}, 750),
        ("small", 12, {}, 3),
        ("small", 3000, {"validations": 10}, 300),
        ("small", 3000, {"validate_every": 7}, 7),
    ],
)
def test_validations_are_evenly_spaced_unless_told_otherwise(preset, steps, journal, found):
    config = resolve(preset, {"optim": {"steps": steps}, "journal": journal})
    assert config.validate_every == found


def test_toml_is_read_as_utf_8_whatever_the_locale_and_an_editor_s_mark_is_passed_over(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes("\ufefflabeled_cases = ['pätient1']\n".encode())
    assert read_toml(path) == {"labeled_cases": ["pätient1"]}
