"""Sides held against each other: numbers by hand, intervals against a loop, and what must not matter."""

import made_evaluations
import numpy as np
import pytest
from made_evaluations import frames
from made_results import base

from dacl.errors import DaclError
from dacl.experiments.comparison.compared import compare_sides
from dacl.experiments.comparison.sides import read_sides
from dacl.experiments.folders import Place
from dacl.experiments.paired import RESAMPLES, SEED, off_zero


@pytest.fixture
def write(tmp_path):
    """Write the runs of a side, one per element of `values`, and give their folders."""

    def runs(method, values, *, seeds=None, name=None, settings=None, **options):
        return [
            made_evaluations.write(
                tmp_path / f"{name or method}-seed{seed}",
                base(method=method, seed=seed, **(settings or {})), each, **options,
            )
            for seed, each in zip(seeds or range(len(values)), values, strict=True)
        ]  # fmt: skip

    return runs


def compare(*paths, reference=0, network="a", **options):
    sides = read_sides([p for side in paths for p in side], Place(), network)
    return compare_sides(sides, sides[reference], network=network, **options)


def of(patients, *classes):
    """Values by patient and class."""
    return {
        p: dict(zip(("RV", "LV"), each, strict=False))
        for p, each in zip(patients, zip(*classes, strict=True), strict=True)
    }


def row(compared, name, n=0):
    return next(row for row in compared.differences[n].rows if row.name == name)


PATIENTS = tuple(f"p{n}" for n in range(1, 8))
OLD = of(PATIENTS, (0.5,) * 7, (0.5, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5))
NEW = of(
    PATIENTS,
    (0.625, 0.625, 0.625, 0.625, 0.625, 0.625, 0.25),
    (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.375),
)


def test_two_single_runs_by_hand(write):
    compared = compare(write("cps", [frames(OLD)]), write("dacl", [frames(NEW)]))
    assert [side.label for side in compared.sides] == ["cps", "dacl"]
    right = row(compared, "RV")
    # six patients gain 0.125, one loses 0.25
    assert right.gain_by_patient == (0.125,) * 6 + (-0.25,)
    assert (right.reference_mean, right.side_mean) == pytest.approx((0.5, 4.0 / 7))
    assert right.difference.mean == pytest.approx(0.5 / 7)
    assert (right.wins, right.losses, right.ties) == (6, 1, 0)
    # ranks: six of 3.5, one of 7; a negative sum of 7 or less: none, that one, or one or two of the six: 1 + 1 + 6 + 15
    assert right.test.p == pytest.approx(2 * (1 + 1 + 6 + 15) / 2**7)
    left = row(compared, "LV")
    assert (left.wins, left.losses, left.ties) == (1, 1, 5)
    # of two signs no pattern is further from the centre than one of each
    assert (left.test.p, left.test.zeros, left.test.least_p) == (1.0, 5, 0.5)
    assert right.p_holm == pytest.approx(2 * right.test.p)
    assert left.p_holm == 1.0
    foreground = row(compared, "foreground")
    # half of RV's gain and half of LV's, patient by patient
    assert foreground.gain_by_patient == (0.0625, 0.1875, 0.0625, 0.0625, 0.0625, 0.0625, -0.1875)
    assert foreground.p_holm is None
    assert [each.name for each in compared.differences[0].rows] == ["RV", "LV", "foreground"]


def test_intervals_are_those_of_a_loop_over_resamples(write):
    rng = np.random.default_rng(0)
    first, second = (rng.uniform(0.2, 0.7, (3, 7)).round(3) for _ in range(2))
    compared = compare(
        write("cps", [frames(of(PATIENTS, each)) for each in first]),
        write("dacl", [frames(of(PATIENTS, each)) for each in second]),
    )
    gain_SP = second - first
    drawn = np.random.default_rng(SEED)
    patients_RP = drawn.integers(7, size=(RESAMPLES, 7))
    seeds_RS = drawn.integers(3, size=(RESAMPLES, 3))
    over_patients, over_both = [], []
    for patients, seeds in zip(patients_RP, seeds_RS, strict=True):
        over_patients.append(sum(gain_SP[:, p].mean() for p in patients) / 7)
        over_both.append(sum(gain_SP[s, p] for s in seeds for p in patients) / 21)
    found = row(compared, "RV").difference
    assert found.by_seed == pytest.approx(gain_SP.mean(axis=1))
    expected = np.percentile(over_patients, [2.5, 97.5])
    assert found.ci95_over_patients == pytest.approx(expected, abs=1e-12)
    expected = np.percentile(over_both, [2.5, 97.5])
    assert found.ci95_over_patients_and_seeds == pytest.approx(expected, abs=1e-12)


def test_swapping_the_sides_turns_every_sign(write):
    rng = np.random.default_rng(1)
    first, second = (
        [frames(of(PATIENTS, *rng.uniform(0.2, 0.7, (2, 7)))) for _ in range(2)] for _ in range(2)
    )
    old, new = write("cps", first), write("dacl", second)
    there, back = compare(old, new), compare(old, new, reference=1)
    for one, two in zip(there.differences[0].rows, back.differences[0].rows, strict=True):
        assert two.gain_by_patient == pytest.approx([-gain for gain in one.gain_by_patient])
        assert two.difference.mean == pytest.approx(-one.difference.mean)
        for name in ("ci95_over_patients", "ci95_over_patients_and_seeds"):
            low, high = getattr(one.difference, name)
            assert getattr(two.difference, name) == pytest.approx((-high, -low))
        assert (two.wins, two.losses) == (one.losses, one.wins)
        assert two.test.p == pytest.approx(one.test.p)
        assert two.p_holm == pytest.approx(one.p_holm)
    moved = there.differences[0], back.differences[0]
    assert [case.case for case in moved[0].improved] == [case.case for case in moved[1].worsened]


def test_the_order_of_runs_cases_and_classes_does_not_matter(write):
    rng = np.random.default_rng(2)
    values = {
        m: [of(PATIENTS, *rng.uniform(0.2, 0.7, (2, 7))) for _ in range(2)] for m in ("cps", "dacl")
    }
    old, new = (write(m, [frames(each) for each in runs]) for m, runs in values.items())
    turned = [
        frames({p: dict(reversed(classes.items())) for p, classes in reversed(each.items())})
        for each in values["dacl"]
    ]
    other = write("dacl", turned, name="turned")
    straight, shuffled = compare(old, new), compare(old[::-1], other[::-1])
    for name in ("RV", "LV", "foreground"):
        one, two = row(straight, name), row(shuffled, name)
        assert dict(zip(one.patients, one.gain_by_patient, strict=True)) == pytest.approx(
            dict(zip(two.patients, two.gain_by_patient, strict=True))
        )
        assert one.difference.ci95_over_patients_and_seeds == pytest.approx(
            two.difference.ci95_over_patients_and_seeds
        )
        assert one.test.p == pytest.approx(two.test.p)


def test_seeds_are_paired_by_their_number_not_by_their_place(write):
    # seed 5 is 0.25 above on both sides: paired, the difference has no spread
    low, high = (frames(of(PATIENTS, (value,) * 7)) for value in (0.25, 0.5))
    better = [frames(of(PATIENTS, (value,) * 7)) for value in (0.625, 0.375)]
    compared = compare(write("cps", [low, high], seeds=(3, 5)), write("dacl", better, seeds=(5, 3)))
    assert row(compared, "RV").difference.by_seed == (0.125, 0.125)
    assert compared.differences[0].paired


def test_cells_undefined_in_one_run_are_left_out_of_all(write):
    old = {**frames(OLD), "p1_ED": {"RV": None, "LV": 0.0}}
    new = frames(NEW)
    compared = compare(write("cps", [old]), write("dacl", [new]))
    [found] = compared.differences
    assert found.undefined == 1
    right = row(compared, "RV")
    # of p1 only ES is left: 0.5 - 0.125 and 0.625 - 0.125
    assert right.gain_by_patient[0] == 0.125
    assert right.reference_mean == pytest.approx((0.375 + 6 * 0.5) / 7)
    # LV keeps both frames of p1: (0.0 + 0.375) / 2 against 0.5
    assert row(compared, "LV").gain_by_patient[0] == pytest.approx(0.5 - 0.1875)


@pytest.mark.parametrize(("metric", "perfect"), [("dice", 1.0), ("hd95_vox", 0.0)])
def test_painting_an_absent_class_is_charged_beside_the_difference(metric, perfect, write):
    old = {**frames(OLD), "p1_ED": {"RV": None, "LV": 0.5}}
    new = {**frames(OLD), "p1_ED": {"RV": 0.25, "LV": 0.5}}
    folders = write("cps", [old], metric=metric), write("dacl", [new], metric=metric)
    compared = compare(*folders, metric=metric)
    [found] = compared.differences
    assert (found.undefined, found.contested) == (1, 1)
    right, left = row(compared, "RV").difference, row(compared, "LV").difference
    assert right.mean == 0.0
    # of p1 the mean over its two frames moves by half
    other = (0.25 - perfect) / 2 / 7
    assert right.charged.mean == pytest.approx(other)
    assert left.charged is None
    assert row(compared, "foreground").difference.charged.mean == pytest.approx(other / 2)


def test_a_patient_and_a_class_without_values_are_left_out(write):
    values = frames(of(PATIENTS[:2], (0.5, None), (None, None)))
    compared = compare(write("cps", [values]), write("dacl", [values]))
    assert row(compared, "RV").patients == ("p1",)
    assert row(compared, "foreground").patients == ("p1",)
    empty = row(compared, "LV")
    assert (empty.patients, empty.difference, empty.test, empty.p_holm) == ((), None, None, None)
    assert compared.differences[0].undefined == 2 + 4
    # the family of Holm is RV alone
    assert row(compared, "RV").p_holm == row(compared, "RV").test.p == 1.0


def test_for_a_distance_lower_is_better(write):
    old, new = of(PATIENTS, (4.0,) * 7), of(PATIENTS, (2.0,) * 5 + (4.0, 6.0))
    runs = [write(m, [frames(v)], metric="asd_mm") for m, v in (("cps", old), ("dacl", new))]
    compared = compare(*runs, metric="asd_mm")
    assert not compared.higher_is_better
    found = row(compared, "RV")
    assert found.difference.mean == pytest.approx(-8 / 7)
    assert (found.wins, found.losses, found.ties) == (5, 1, 1)
    [difference] = compared.differences
    assert [case.case for case in difference.improved] == ["p1_ED", "p1_ES", "p2_ED"]
    assert [case.case for case in difference.worsened] == ["p7_ED", "p7_ES"]


def test_cases_that_moved_most_name_the_class_that_moved_most(write):
    old = {f"p{n}_ED": {"RV": 0.5, "LV": 0.5} for n in range(6)}
    new = {f"p{n}_ED": {"RV": 0.5 + 0.0625 * (n - 2), "LV": 0.5} for n in range(6)}
    new["p5_ED"] = {"RV": 0.625, "LV": 0.25}
    [found] = compare(write("cps", [old]), write("dacl", [new])).differences
    # gains of the mean: -0.0625, -0.03125, 0, 0.03125, 0.0625 and (0.125 - 0.25) / 2
    assert [case.case for case in found.improved] == ["p4_ED", "p3_ED"]
    assert [case.case for case in found.worsened] == ["p0_ED", "p5_ED", "p1_ED"]
    last = found.worsened[1]
    assert (last.reference, last.side) == (0.5, 0.4375)
    assert (last.class_name, last.class_reference, last.class_side) == ("LV", 0.5, 0.25)


def three(value):
    """Three seeds that agree on seven patients but for a little."""
    return [frames(of(PATIENTS, tuple(value + 0.001 * n for n in range(7)))) for _ in range(3)]


def test_a_claim_needs_seeds_patients_and_like_protocols(write):
    old, new = write("cps", three(0.25)), write("dacl", three(0.5))
    assert row(compare(old, new), "RV").claim
    assert not row(compare(old[:2], new[:2]), "RV").claim
    few = [{case: x for case, x in run.items() if case[:2] < "p6"} for run in three(0.5)]
    lower = [{case: {"RV": 0.25} for case in run} for run in few]
    found = row(
        compare(write("cps", lower, name="few-cps"), write("dacl", few, name="few-dacl")), "RV"
    )
    assert off_zero(found.difference.ci95_over_patients_and_seeds)
    assert off_zero(found.difference.ci95_over_seeds)
    assert len(found.patients) == 5
    assert not found.claim
    other = write("dacl", three(0.5), name="other", checkpoint_rule="latest")
    assert not row(compare(old, other, force=True), "RV").claim


def test_other_seeds_are_refused_and_forced_averaged_on_each_side(write):
    old = write("cps", [frames(of(PATIENTS[:2], (value, value))) for value in (0.25, 0.5)])
    new = write("dacl", [frames(of(PATIENTS[:2], (0.75, 0.5)))])
    with pytest.raises(DaclError, match=r"cps and dacl in seeds: 0, 1 != 0") as error:
        compare(old, new)
    assert "--force" in error.value.hint
    compared = compare(old, new, force=True)
    [found] = compared.differences
    assert (found.paired, found.mixture) == (False, ("seeds: 0, 1 != 0",))
    difference = row(compared, "RV").difference
    # cps averages 0.375 for both patients
    assert row(compared, "RV").gain_by_patient == (0.375, 0.125)
    assert len(difference.by_seed) == 1
    assert (
        difference.ci95_over_patients_and_seeds == difference.ci95_over_patients == (0.125, 0.375)
    )


def test_one_value_over_several_seeds_ties_with_itself(write):
    # 0.1 + 0.1 + 0.1 is not 3 * 0.1: averaged on each side, the difference is 1e-17 and no win
    values = {f"{p}_ED": {"RV": 0.1} for p in PATIENTS}
    compared = compare(write("cps", [values] * 3), write("dacl", [values]), force=True)
    found = row(compared, "RV")
    assert (found.wins, found.losses, found.ties, found.test.p) == (0, 0, 7, 1.0)
    assert compared.differences[0].improved == compared.differences[0].worsened == ()


def test_networks_may_differ_and_nothing_else_of_the_protocol(write):
    old = write("supervised", [frames(OLD)])
    assert compare(old, write("dacl", [frames(NEW)])).differences[0].mixture == ()
    new = write("dacl", [frames(NEW)], name="x", empty_rule="mcnet: zeros", split_hash="d" * 64)
    with pytest.raises(DaclError, match="not measured alike") as error:
        compare(old, new)
    assert "empty_rule: strict != mcnet" in error.value.message
    assert "split_hash: eeeeeee != ddddddd" in error.value.message
    [found] = compare(old, new, force=True).differences
    assert len(found.mixture) == 2
    # values that look alike when shortened are shown whole
    longer = write("dacl", [frames(NEW)], name="y", empty_rule="strict: zeros")
    assert "'strict: zeros'" in " ".join(
        compare(
            write("cps", [frames(OLD)], empty_rule="strict: ones"), longer, force=True
        ).differences[0].mixture
    )  # fmt: skip


def test_other_cases_are_refused_and_forced_left_out(write):
    old, new = write("cps", [frames(OLD)]), frames(NEW)
    del new["p7_ES"]
    new["p9_ES"] = {"RV": 0.5, "LV": 0.5}
    other = write("dacl", [new])
    with pytest.raises(DaclError, match="cases: 2 of 15 are not in every run"):
        compare(old, other)
    [found] = compare(old, other, force=True).differences
    assert found.unshared == 2
    assert found.rows[0].gain_by_patient[-1] == -0.25


def test_sides_without_a_common_case_cannot_be_forced(write):
    other = {"q1_ED": {"RV": 0.5}}
    with pytest.raises(DaclError, match="share no case"):
        compare(write("cps", [frames(OLD)]), write("dacl", [other]), force=True)
    other = {case: {"liver": 0.5} for case in frames(OLD)}
    with pytest.raises(DaclError, match="share no class"):
        compare(write("cps", [frames(OLD)], name="b"), write("dacl", [other], name="c"), force=True)


def test_one_side_and_a_metric_without_values_are_refused(write):
    old = write("cps", [frames(OLD)])
    with pytest.raises(DaclError, match="one side only: cps, seeds 0"):
        compare(old)
    empty = {case: {"RV": None} for case in frames(OLD)}
    runs = [write(m, [empty], name=f"mm-{m}", metric="asd_mm") for m in ("cps", "dacl")]
    with pytest.raises(DaclError, match="asd_mm is defined in no case") as error:
        compare(*runs, metric="asd_mm")
    assert "spacing" in error.value.hint


def test_every_side_is_held_against_the_reference_with_a_family_of_its_own(write):
    third = of(PATIENTS, (0.75,) * 7, (0.75,) * 7)
    compared = compare(
        write("cps", [frames(OLD)]), write("dacl", [frames(NEW)]),
        write("supervised", [frames(third)]), reference=1,
    )  # fmt: skip
    assert [each.side.label for each in compared.differences] == ["cps", "supervised"]
    assert row(compared, "RV").difference.mean == pytest.approx(-0.5 / 7)
    assert row(compared, "RV", 1).test.p == pytest.approx(2 / 2**7)
    assert row(compared, "RV", 1).p_holm == pytest.approx(4 / 2**7)
