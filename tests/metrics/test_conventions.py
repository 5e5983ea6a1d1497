"""Every named convention on every way a class can be missing."""

import math

import numpy as np
import pytest

from dacl.errors import DaclError
from dacl.metrics.conventions import CONVENTIONS, METRICS, Score, convention_named, score_volume

CLASSES = ("background", "right ventricle", "myocardium", "left ventricle", "atrium")
SHAPE = (3, 4, 12)
SPACING_MM = (10.0, 1.5, 1.25)
DIAGONAL_VOX = 13.0
DIAGONAL_MM = math.sqrt(30.0**2 + 6.0**2 + 15.0**2)


def volume(*labels: int) -> np.ndarray:
    """Each label as a 1 x 2 x 2 block of its own."""
    mask = np.zeros(SHAPE, np.uint8)
    for label in labels:
        mask[1, 1:3, 2 * label : 2 * label + 2] = label
    return mask


def scores(
    convention: str, pred: np.ndarray, truth: np.ndarray, spacing: tuple | None = SPACING_MM
) -> dict[str, Score]:
    found = score_volume(
        pred, truth, CLASSES, spacing_mm=spacing, convention=convention_named(convention)
    )
    return {score.class_name: score for score in found}


def test_strict_tells_ok_missed_spurious_and_undefined_apart() -> None:
    found = scores("strict", pred=volume(1, 3), truth=volume(1, 2))
    assert {name: score.status for name, score in found.items()} == {
        "right ventricle": "ok",
        "myocardium": "missed",
        "left ventricle": "spurious",
        "atrium": "undefined",
    }
    assert [getattr(found["right ventricle"], m) for m in METRICS] == [1.0, 1.0] + [0.0] * 6
    for name in ("myocardium", "left ventricle"):
        values = [getattr(found[name], m) for m in METRICS]
        np.testing.assert_allclose(values, [0, 0] + [DIAGONAL_VOX] * 3 + [DIAGONAL_MM] * 3)
    assert all(math.isnan(getattr(found["atrium"], m)) for m in METRICS)


@pytest.mark.parametrize(
    ("convention", "missed", "spurious", "undefined"),
    [
        ("mcnet", (0.0, 0.0), None, (0.0, 0.0)),
        ("dhc", (0.0, 128.0), (0.0, 128.0), (0.01, 0.0)),
        ("transunet", (0.0, 0.0), (1.0, 0.0), (0.0, 0.0)),
        ("ssl4mis", None, None, None),
    ],
)
def test_published_conventions(
    convention: str, missed: tuple | None, spurious: tuple | None, undefined: tuple | None
) -> None:
    all_classes = (1, 2, 3, 4)
    cases = {
        "missed": (volume(1, 2, 3), volume(*all_classes), missed),
        "spurious": (volume(*all_classes), volume(1, 2, 3), spurious),
        "undefined": (volume(1, 2, 3), volume(1, 2, 3), undefined),
    }
    for status, (pred, truth, want) in cases.items():
        if want is None:
            with pytest.raises(DaclError, match=f"'atrium' is absent .*{convention}"):
                scores(convention, pred, truth)
            continue
        score = scores(convention, pred, truth)["atrium"]
        assert score.status == status
        assert score.dice == want[0]
        assert score.jc == pytest.approx(want[0] / (2 - want[0]))
        assert {getattr(score, m) for m in METRICS[2:]} == {want[1]}


def test_masks_that_hold_the_class_score_alike_under_every_convention() -> None:
    truth = volume(1, 2, 3, 4)
    pred = np.roll(truth, 1, axis=1)
    want = scores("strict", pred, truth)
    assert all(scores(name, pred, truth) == want for name in CONVENTIONS)


def test_unknown_spacing_leaves_only_the_millimetres_undefined() -> None:
    truth = volume(1, 2)
    found = scores("strict", np.roll(truth, 1, axis=2), truth, spacing=None)["right ventricle"]
    assert math.isnan(found.asd_mm)
    assert math.isnan(found.hd95_mm)
    assert found.asd_vox > 0


def test_spacing_is_in_the_order_of_the_axes() -> None:
    truth = volume(1)
    found = [
        scores("strict", np.roll(truth, 1, axis=axis), truth)["right ventricle"].hd95_mm
        for axis in range(3)
    ]
    np.testing.assert_allclose(found, SPACING_MM)


def test_classes_do_not_see_each_other() -> None:
    truth, pred = volume(1, 2), volume(1, 2)
    pred[0, 0, :] = 2
    assert scores("strict", pred, truth)["right ventricle"].dice == 1.0
    assert scores("strict", pred, truth)["myocardium"].dice == pytest.approx(2 * 4 / (4 + 16))


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DaclError, match="unknown convention 'nnunet'") as error:
        convention_named("nnunet")
    assert "ssl4mis" in error.value.hint
