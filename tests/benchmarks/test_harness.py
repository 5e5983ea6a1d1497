"""Statistics of the harness on numbers worked by hand, and what its records say."""

import time

import pytest
import torch

from benchmarks import harness
from benchmarks.cache import Cache
from benchmarks.harness import AtLeast, AtMost, Bench, Record, Spread, quotients, spread


def test_spread_is_the_median_and_the_quartiles():
    assert spread([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.25, 1.75)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_a_ratio_is_of_neighbours_not_of_medians():
    """A minute in which the machine is ten times slower falls on both neighbours."""
    reference, ours = [2.0, 20.0, 2.0], [1.0, 10.0, 2.0]
    assert quotients(reference, ours) == Spread(2.0, 1.5, 2.0)
    assert (
        quotients([2.0, 20.0, 30.0], [1.0, 2.0, 10.0]).median == 3.0
    )  # 2, 10, 3; of the medians it would be 10


def test_what_was_measured_once_is_held_against_every_round():
    assert quotients([12.0], [1.0, 2.0, 3.0]) == Spread(6.0, 5.0, 9.0)
    assert quotients([3.0, 4.0, 8.0], [2.0]) == Spread(2.0, 1.75, 3.0)


def test_targets():
    assert AtLeast(10).met(10)
    assert not AtLeast(10).met(9.99)
    assert AtMost(1.1).met(1.1)
    assert not AtMost(1.1).met(1.11)
    assert (str(AtLeast(250)), str(AtMost(0.05))) == (">= 250", "<= 0.05")


def test_interleave_alternates_and_leaves_the_warm_up_out():
    called = []
    jobs = {name: lambda name=name: called.append(name) for name in "ab"}
    seconds = Bench("part").interleave(jobs, rounds=3, warmup=2)
    assert called == list("ab" * 5)
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_interleave_measures_each_job_by_itself():
    seconds = Bench("part", quick=True).interleave(
        {"slow": lambda: time.sleep(0.02), "fast": lambda: None}, rounds=9, warmup=0
    )
    assert len(seconds["slow"]) == 2
    assert min(seconds["slow"]) >= 0.02
    assert min(seconds["fast"]) < 0.01


def test_a_record_of_a_speed_up(capsys):
    bench = Bench("loading")
    record = bench.ratio(
        "a batch", "24 slices", [0.024, 0.048], [0.48, 0.48],
        against="scipy", unit="ms / slice", per=24, target=AtLeast(10),
    )  # fmt: skip
    assert bench.records == [record]
    assert (record.part, record.name, record.size, record.unit) == (
        "loading",
        "a batch",
        "24 slices",
        "ms / slice",
    )
    assert (record.median, record.low, record.high) == pytest.approx((1.5, 1.25, 1.75))
    assert record.reference_median == pytest.approx(20.0)
    assert (record.ratio, record.ratio_of) == (pytest.approx(15.0), "reference / ours")
    assert (record.target, record.met) == (">= 10", True)
    assert (record.device, record.threads) == ("cpu", torch.get_num_threads())
    assert (
        "a batch, 24 slices: 1.5 ms / slice, 15 x (reference / ours), target >= 10: met"
        in capsys.readouterr().err
    )


def test_a_record_of_a_cost_turns_the_ratio_round():
    record = Bench("step").ratio("dacl", "8", [1.2], [1.0], against="cps", target=AtMost(1.1))
    assert (record.ratio, record.ratio_of, record.met) == (
        pytest.approx(1.2),
        "ours / reference",
        False,
    )


def test_a_figure_is_held_against_its_median():
    record = Bench("metrics").figure(
        "time", "large", [1.0, 1.1, 1.5], unit="s", target=AtMost(1.2), precision="bf16"
    )
    assert (record.median, record.met, record.ratio, record.reference) == (1.1, True, None, None)
    assert record.precision == "bf16"
    with pytest.raises(TypeError, match="nonsense"):
        Bench("metrics").figure("time", "large", [1.0], unit="s", nonsense=1)


def test_both_allocators_take_turns(monkeypatch):
    asked = []

    def in_child(job, *args, allocator, calls):
        asked.append((job, args, allocator))
        return _Outcome(2.0 if allocator == "default" else 1.0)

    monkeypatch.setattr(harness, "in_child", in_child)
    record = Bench("step").under_both_allocators("a step", "8", "module:job", 8, rounds=2)
    assert [allocator for *_, allocator in asked] == ["default", "no-mmap"] * 2
    assert {(job, args) for job, args, _ in asked} == {("module:job", (8,))}
    assert (record.ratio, record.ratio_of) == (2.0, "reference / ours")


class _Outcome:
    def __init__(self, seconds):
        self.seconds = seconds


def test_the_cache_is_keyed_by_all_that_changes_a_result(tmp_path, monkeypatch):
    bench = Bench("metrics", cache=Cache(tmp_path / "cache.json"))
    measured = []

    def measure():
        measured.append(1)
        return {"seconds": [float(len(measured))]}

    assert bench.cached("medpy", "0.5.2", "large", measure) == ({"seconds": [1.0]}, None)
    kept, day = bench.cached("medpy", "0.5.2", "large", measure)
    assert kept == {"seconds": [1.0]}
    assert len(day) == len("2026-01-01")
    for key in (
        ("medpy", "0.4.0", "large"),
        ("medpy", "0.5.2", "small"),
        ("other", "0.5.2", "large"),
    ):
        assert bench.cached(*key, measure)[1] is None
    assert len(measured) == 4
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    assert bench.cached("medpy", "0.5.2", "large", measure)[1] is None
    monkeypatch.undo()
    monkeypatch.setattr("benchmarks.cache.cpu_model", lambda: "another machine")
    assert bench.cached("medpy", "0.5.2", "large", measure)[1] is None
    monkeypatch.undo()
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    assert bench.cached("medpy", "0.5.2", "large", measure)[1] is None
    assert len(measured) == 7


def test_without_a_path_nothing_is_kept():
    cache, answers = Cache(), iter((1, 2))
    assert cache.get(("a",), lambda: next(answers)) == (1, None)
    assert cache.get(("a",), lambda: next(answers)) == (2, None)


def test_records_name_their_part_and_conditions():
    names = set(Record.__dataclass_fields__)
    asked = "part name size unit median low high ratio reference target met memory_mb threads allocator precision note"
    assert set(asked.split()) <= names
