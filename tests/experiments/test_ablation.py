"""The rows of Table 2 and what removes a part."""

import pytest
import torch
from methods import tiny_batch as tiny

from dacl.config import recipe, resolve
from dacl.errors import DaclError
from dacl.experiments.ablation import (
    ALL_LABELED,
    ANCHORS,
    LABELED_ONLY,
    PARTS,
    check_distinct,
    choose,
    components,
    full,
    without,
)

BASE = resolve("small", {"optim": {"steps": 7}, "contrast": {"bank_size": 500}})


def switches(config):
    """Every value of the configuration, those that the method does not read too."""
    flat = {}
    for key, section in config.model_dump().items():
        inner = section if isinstance(section, dict) else {"": section}
        flat |= {f"{key}.{leaf}".rstrip("."): value for leaf, value in inner.items()}
    return flat


def test_each_row_differs_from_the_one_above_in_exactly_one_switch():
    rows = {row.key: row for row in components()}
    assert list(rows) == [LABELED_ONLY, "I", "II", "III", "IV", "V", "VI", ANCHORS]
    changed = {}
    for row in rows.values():
        if row.above is not None:
            above = switches(rows[row.above].config(BASE, 0))
            own = switches(row.config(BASE, 0))
            changed[row.key] = {
                key: (above[key], own[key]) for key in own if above[key] != own[key]
            }
    assert changed == {
        "II": {"method": ("cps", "dacl")},
        "III": {"contrast.sampling": ("random", "density")},
        "IV": {"contrast.scales": ((16,), (8, 16, 32))},
        "V": {"contrast.bank_size": (0, 500)},
        "VI": {"contrast.positiveness": ("none", "outside")},
        ANCHORS: {"contrast.negatives_from": ("pixels", "anchors")},
    }


def test_the_last_row_is_the_base_and_labelled_rows_read_nothing_else():
    rows = {row.key: row for row in components(upper_bound=True)}
    assert rows[ANCHORS].config(BASE, 3) == BASE.model_copy(update={"seed": 3})
    assert full(BASE).key == ANCHORS
    few = rows[LABELED_ONLY].config(BASE, 0)
    every = rows[ALL_LABELED].config(BASE, 0, patients=50)
    assert (few.method, few.labeled) == ("supervised", 3)
    assert (every.method, every.labeled) == ("supervised", 50)


def test_row_i_is_plain_cps():
    row = components()[1].config(BASE, 0)
    assert recipe(row) == recipe(resolve("small", {"method": "cps", "optim": {"steps": 7}}))


def test_the_full_method_goes_by_the_name_it_has_in_the_table():
    pixels = resolve("small", {"contrast": {"negatives_from": "pixels"}})
    assert full(pixels).key == "VI"
    rows = {row.key: row for row in components()}
    assert recipe(full(pixels).config(pixels, 0)) == recipe(rows["VI"].config(pixels, 0))


def test_without_removes_parts_one_by_one_or_together():
    rows = {row.key: row.config(BASE, 0) for row in without(BASE, [*PARTS, "bank+ms"])}
    assert list(rows) == [ANCHORS, *(f"without-{part}" for part in PARTS), "without-bank+ms"]
    assert rows["without-pcl"].method == "cps"
    assert rows["without-da"].contrast.sampling == "random"
    assert rows["without-ms"].contrast.scales == (16,)
    assert rows["without-bank"].contrast.bank_size == 0
    assert rows["without-w"].contrast.positiveness == "none"
    both = rows["without-bank+ms"].contrast
    assert (both.bank_size, both.scales) == (0, (16,))
    assert rows["without-bank"].contrast.scales == (8, 16, 32)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(DaclError, match="no part 'bnk'") as error:
        without(BASE, ["bnk"])
    assert "pcl, da, ms, bank, w" in error.value.hint
    with pytest.raises(DaclError, match="no row 'VII'") as error:
        choose(components(), ["VII"])
    assert "labeled-only, I, II" in error.value.hint
    assert [row.key for row in choose(components(), ["VI", "I"])] == ["I", "VI"]


@pytest.mark.parametrize("preset", ["small+literal", "small+dgcl"])
def test_every_row_exists_under_the_presets_that_are_readings(preset):
    base = resolve(preset)
    for row in (*components(), *without(base, list(PARTS))):
        assert row.config(base, 1).seed == 1
    without_bank = {row.key: row.config(base, 0) for row in without(base, ["bank"])}["without-bank"]
    assert without_bank.contrast.bank_size == 0
    assert without_bank.contrast.density_from != "bank"


def test_dgcl_has_no_positiveness_to_add():
    base = resolve("small+dgcl")
    with pytest.raises(DaclError, match="rows V and VI are the same configuration"):
        check_distinct(components(), base, patients=50)
    check_distinct(components()[:-2], base, patients=50)


def test_two_rows_of_one_configuration_are_refused():
    check_distinct(components(upper_bound=True), BASE, patients=50)
    flat = resolve("small", {"contrast": {"positiveness": "none"}})
    with pytest.raises(DaclError, match="rows V and VI are the same configuration"):
        check_distinct(components(), flat, patients=50)


@pytest.mark.parametrize("bf16", [False, True])
def test_row_ii_with_contrast_weight_0_is_row_i_to_the_last_bit(bf16):
    base = tiny.config(weight=0.0)
    rows = {row.key: row for row in components()}
    results = []
    for key in ("I", "II"):
        method = tiny.build(rows[key].config(base, 0))
        method.bf16 = bf16
        history = tiny.train(method, 4)
        results.append(
            ([(h["supervised"], h["cross"]) for h in history], tiny.network_weights(method))
        )
    (losses, weights), (other_losses, other_weights) = results
    assert losses == other_losses
    assert all(torch.equal(weights[key], other_weights[key]) for key in weights)
