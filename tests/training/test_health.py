"""Every warning on a journal that was made up for it: it fires, it fires once, and just below it does not."""

import json
import re

import pytest
import tiny

from dacl.training.health import SEVERAL, Watch

NAMES = ("RV", "Myo", "LV")
STEPS, EVERY = 1000, 10
LONG = 5  # records: 5 % of the run


def settings(**over):
    return tiny.config(
        "dacl", **{"optim": {"steps": STEPS}, "journal": {"log_every": EVERY}} | over
    )


def record(step, *, weight=0.05, **diagnostics):
    healthy = {
        "reliable": 900.0,
        "anchors": 40.0,
        "agreement": 0.8,
        "gradient_share": 0.2,
    } | diagnostics
    return {
        "kind": "train",
        "step": step,
        "parts": {},
        "weights": {"contrast": weight},
        "diagnostics": {
            key: value if isinstance(value, dict) or key == "gradient_share" else dict.fromkeys(NAMES, value)
            for key, value in healthy.items()
        },
    }  # fmt: skip


def journal(*troubles, start=400, **common):
    """Consecutive records, each with its own diagnostics over the healthy ones."""
    return [record(start + EVERY * i, **common, **t) for i, t in enumerate(troubles)]


def validation(step, *, agreement=0.9, a=0.7, b=0.7):
    """`a`, `b`: recall of RV in the pseudo-labels of a network."""
    values = agreement if isinstance(agreement, dict) else dict.fromkeys(NAMES, agreement)
    return {
        "kind": "val",
        "step": step,
        "agreement": values,
        "dice": {name: dict.fromkeys(NAMES, 0.04) for name in ("a", "b", "mean")},
        "pseudo_label_recall": {
            name: {"RV": recall, "Myo": 0.1, "LV": 0.9} for name, recall in (("a", a), ("b", b))
        },
    }


def validations(*troubles, start=400):
    return [validation(start + EVERY * i, **t) for i, t in enumerate(troubles)]


def warnings(records, config=None, **options):
    watch = Watch(config or settings(), **options)
    return [(r["step"], text) for r in records for text in watch(r)]


def assert_told_once(records, step, *words, config=None):
    ((at, text),) = warnings(records, config)
    assert at == step
    for word in words:
        assert word in text, text


WELL = {}
NO_RV = {"anchors": {"RV": 0.0, "Myo": 3.0, "LV": 9.0}, "reliable": {"RV": 7.0, "Myo": 1.0, "LV": 1.0}}  # fmt: skip
COLLAPSED = {"agreement": 0.995}
DOMINANT = {"gradient_share": 0.62}
NOTHING = {"agreement": None}

CASES = {
    "no anchors": (
        NO_RV, LONG,
        (
            "in the 5 batches looked at since step 410 there was no anchor of RV (7 reliable units in the last): ",
            "Where its confident share is near 0, try a lower contrast.phi (now 0.3)",
        ),
    ),
    "background": (NOTHING, SEVERAL, ("foreground", "background alone", "--lr")),
    "dominant": (DOMINANT, SEVERAL, ("62 %", "outweighs", "contrast.weight (now 0.1)")),
}  # fmt: skip


@pytest.mark.parametrize(("trouble", "patience", "words"), CASES.values(), ids=CASES)
def test_a_trouble_that_lasts_is_told_once(trouble, patience, words):
    lasting = journal(WELL, *[trouble] * 20, WELL)
    assert_told_once(lasting, 400 + EVERY * patience, *words)
    assert warnings(journal(WELL, *[trouble] * (patience - 1), WELL)) == []


@pytest.mark.parametrize(("trouble", "patience", "_"), CASES.values(), ids=CASES)
def test_a_trouble_that_comes_back_is_told_again(trouble, patience, _):
    long = [trouble] * (patience + 1)
    told = warnings(journal(*long, WELL, *long))
    assert [step for step, _ in told] == [
        400 + EVERY * (patience - 1),
        400 + EVERY * (2 * patience + 1),
    ]
    flickering = [trouble] * (patience - 1)
    assert warnings(journal(*flickering, WELL, *flickering, WELL, *flickering)) == []


@pytest.mark.parametrize(
    "trouble",
    [
        {"anchors": {"RV": 0.5, "Myo": 1.0, "LV": 1.0}},  # one network of two, one anchor
        {"agreement": {"RV": None, "Myo": None, "LV": 0.3}},
        {"gradient_share": 0.5},
    ],
    ids=str,
)
def test_just_below(trouble):
    assert warnings(journal(*[trouble] * 30)) == []


@pytest.mark.parametrize(
    "trouble",
    [
        {"agreement": 0.99},
        {"agreement": {"RV": 1.0, "Myo": 1.0, "LV": 0.98}},
        {"agreement": {"RV": None, "Myo": float("nan"), "LV": 0.3}},
        {"agreement": None},
        {"agreement": {}},
    ],
    ids=str,
)
def test_just_below_at_validation(trouble):
    assert warnings(validations(*[trouble] * 30)) == []


def test_a_collapse_is_judged_at_validation():
    assert_told_once(
        validations(WELL, *[COLLAPSED] * 9), 420,
        "become one", "0.995", "2 validations", "no longer teach", "cross.weight (now 1)",
    )  # fmt: skip
    told = warnings(validations(COLLAPSED, WELL, COLLAPSED, COLLAPSED, WELL, COLLAPSED, COLLAPSED))
    assert [step for step, _ in told] == [430, 460]


def test_agreement_on_a_batch_is_no_collapse():
    """In train mode equal networks differ by their dropout, and unequal ones may meet on one batch."""
    assert warnings(journal(*[COLLAPSED] * 30)) == []


def test_train_records_between_two_validations_break_no_row():
    records = [
        validation(400, agreement=1.0),
        *journal(WELL, NOTHING, WELL),
        validation(440, agreement=1.0),
    ]
    assert_told_once(records, 440, "become one")
    batches = journal(*[NOTHING] * SEVERAL)
    records = [*batches[:2], validation(415), *batches[2:]]
    assert_told_once(records, 430, "foreground")


LOST = {"a": 0.0, "b": 0.0}


def test_a_class_that_neither_network_finds():
    assert_told_once(
        validations(WELL, *[LOST] * 9), 420,
        "neither network finds RV (Dice a 0.04, b 0.04) on the validation patients", "2 validations in a row",
        "recall 0", "contrast.phi (now 0.3)", "labelled patients",
    )  # fmt: skip
    told = warnings(validations(LOST, WELL, LOST, LOST, WELL, LOST, LOST))
    assert [step for step, _ in told] == [430, 460]
    assert warnings(validations(*[LOST] * 20, start=10)) == [], "the first fifth of the run"
    assert [step for step, _ in warnings(validations(*[LOST] * 22, start=10))] == [220]


def test_classes_that_share_a_trouble_share_a_warning():
    both = {"anchors": {"RV": 0.0, "Myo": 3.0, "LV": 0.0}, "reliable": {"RV": 7.0, "Myo": 1.0}}
    assert_told_once(
        journal(WELL, *[both] * LONG, WELL), 450,
        "since step 410 there was no anchor of RV (7 reliable units in the last), LV: ",
    )  # fmt: skip


@pytest.mark.parametrize(
    "recalls", [{"a": 0.0}, {"b": 0.0}, {"a": 1e-6, "b": 0.0}, {"a": None, "b": None}], ids=str
)
def test_a_class_that_one_network_finds_or_that_no_patient_has(recalls):
    assert warnings(validations(*[recalls] * 9)) == []


def test_validations_that_hold_less():
    """Of one network, and of a journal from before agreement was measured there."""
    assert warnings([{"kind": "val", "step": 400 + i, "dice": {"a": {}}} for i in range(9)]) == []


def test_absent_classes_do_not_hide_a_collapse():
    present = {"RV": None, "Myo": 0.999, "LV": 1.0}
    assert_told_once(validations(*[{"agreement": present}] * 9), 410, "Dice 0.999 or more")


def test_classes_are_told_apart():
    """RV has none from the first record on, LV from the fourth."""
    both = {"anchors": {"RV": 0.0, "Myo": 5.0, "LV": 0.0}}
    told = warnings(journal(*[NO_RV] * 3, *[both] * 6))
    named = [(step, re.findall(r"no anchor of (\w+)", text)) for step, text in told]
    assert named == [(440, ["RV"]), (470, ["LV"])]


def test_long_is_four_records_where_a_run_is_short():
    config = settings(optim={"steps": 100})
    assert_told_once(
        journal(*[NO_RV] * 6), 430, "in the 4 batches looked at since step 400 ", config=config
    )


def test_batches_looked_at_are_counted_where_they_are_not_evenly_spaced():
    """The last record of a run comes when it ends."""
    uneven = [record(step, **NO_RV) for step in (400, 410, 420, 430, 433)]
    assert_told_once(uneven, 433, "in the 5 batches looked at since step 400 ")
    again = [*journal(NO_RV, NO_RV, WELL), *journal(*[NO_RV] * 6, start=430)]
    assert_told_once(again, 470, "since step 430 ")


@pytest.mark.parametrize("trouble", [NO_RV, DOMINANT | {"gradient_share": None}])
def test_the_warm_up_is_no_trouble(trouble):
    """Without weight the contrast has no gradient, and its anchors move nothing."""
    assert warnings(journal(*[trouble] * 30, weight=0.0)) == []


@pytest.mark.parametrize(
    ("kind", "trouble", "patience"), [(validations, COLLAPSED, 2), (journal, NOTHING, SEVERAL)]
)
def test_the_first_tenth_settles_nothing(kind, trouble, patience):
    assert warnings(kind(*[trouble] * 10, start=10)) == []
    told = warnings(kind(*[trouble] * 30, start=10))
    assert [step for step, _ in told] == [100 + EVERY * patience]


def test_without_unlabeled_slices_no_agreement_is_expected():
    assert warnings(journal(*[NOTHING] * 9), unlabeled=False) == []


def test_another_rule_of_reliability_is_another_advice():
    config = settings(contrast={"reliability": "entropy"})
    ((_, text),) = warnings(journal(*[NO_RV] * 9), config)
    assert "contrast.reliability" in text


def test_records_that_hold_less():
    """Supervised, cross pseudo supervision alone, and scalars where a class has vectors."""
    bare = {"kind": "train", "step": 500, "weights": {"supervised": 1.0}, "diagnostics": {}}
    assert warnings([bare] * 30) == []
    cps = [dict(r, weights={"cross": 1.0}) for r in journal(*[NOTHING] * 4)]
    for r in cps:
        del r["diagnostics"]["anchors"], r["diagnostics"]["gradient_share"]
    assert len(warnings(cps)) == 1
    scalars = [dict(bare, diagnostics={"agreement": None}, step=500 + i) for i in range(4)]
    assert len(warnings(scalars)) == 1
    by_class = {"gradient_share": {"RV": 0.4, "Myo": float("nan"), "LV": 0.7}}
    assert_told_once(journal(*[by_class] * 4), 430, "70 %")


@pytest.mark.parametrize("at", range(1, 27))
def test_a_resumed_run_warns_as_one_left_alone(at):
    troubles = [NO_RV] * 7 + [DOMINANT] * 6 + [NOTHING] * 5
    judged = validations(WELL, *[COLLAPSED | LOST] * 5, WELL, *[COLLAPSED] * 2)
    records = journal(*troubles)
    for i, item in enumerate(judged):
        records.insert(3 * i, item)  # between the train records
    alone = warnings(records)
    assert len(alone) == 6
    before, after = Watch(settings()), Watch(settings())
    first = [(r["step"], text) for r in records[:at] for text in before(r)]
    written = [*records[:at], {"kind": "warning", "step": 2}]
    after.replay(json.loads(json.dumps(written)))
    assert first + [(r["step"], text) for r in records[at:] for text in after(r)] == alone
