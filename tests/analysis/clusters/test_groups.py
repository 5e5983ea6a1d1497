"""Seeds of one configuration are one group, with a name that tells it from the others."""

from pathlib import Path

import pytest

from dacl.analysis.clusters.groups import Member, group_by_configuration
from dacl.config import resolve
from dacl.errors import DaclError


def member(seed=0, rule="best", path="run", method="dacl", **settings):
    config = resolve("small", {"labeled": 3, "method": method, "seed": seed, **settings})
    return Member(Path(path), config, rule)


def labels(*members):
    return [group.label for group in group_by_configuration(members)]


def test_seeds_of_a_configuration_are_one_group():
    groups = group_by_configuration(
        [member(0, method="cps"), member(1), member(1, method="cps"), member(0)]
    )
    assert [group.label for group in groups] == ["cps", "dacl"]
    assert [dict(group.members) for group in groups] == [{0: 0, 1: 2}, {1: 1, 0: 3}]


def test_where_it_ran_makes_no_group():
    assert labels(member(0), member(1, precision="bf16", device="cpu")) == ["dacl"]


def test_settings_tell_groups_of_a_method_apart():
    plain = {"sampling": "random", "positiveness": "none"}
    assert labels(member(), member(contrast=plain), member(contrast={"positiveness": "none"})) == [
        "dacl",
        "dacl, sampling=random, positiveness=none",
        "dacl, positiveness=none",
    ]
    many = {**plain, "tau": 0.2, "bank_size": 100}
    assert labels(member(), member(contrast=many))[1].endswith(", 2 more")


@pytest.mark.parametrize("first", [True, False])
def test_mirroring_tells_groups_apart_whichever_is_first(first):
    found = labels(*(member(image={"mirror": mirror}) for mirror in (first, not first)))
    assert found == (["dacl", "dacl, mirror=False"] if first else ["dacl, mirror=False", "dacl"])


def test_two_checkpoints_of_a_run_are_told_apart_by_rule():
    assert labels(member(rule="best"), member(rule="latest")) == ["dacl, best", "dacl, latest"]


def test_a_seed_twice_is_refused():
    with pytest.raises(DaclError, match="one and two are both dacl seed 0") as raised:
        group_by_configuration([member(path="one"), member(1), member(path="two")])
    assert "once" in raised.value.hint
