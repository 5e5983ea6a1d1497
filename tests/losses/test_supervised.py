"""L_sup against loops, and its extremes."""

import math

import numpy as np
import pytest
import torch

from dacl.losses.supervised import SMOOTH, dice_loss, supervised_loss


def case(seed=0, classes=4):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 3, 4, generator=generator)
    return logits, torch.randint(0, classes, (2, 3, 4), generator=generator)


def dice_by_hand(probs, labels):
    per_class = []
    for c in range(probs.shape[1]):
        overlap = squares = pixels = 0.0
        for b, y, x in np.ndindex(*labels.shape):
            truth = float(labels[b, y, x] == c)
            overlap += probs[b, c, y, x] * truth
            squares += probs[b, c, y, x] ** 2
            pixels += truth
        per_class.append(1 - (2 * overlap + SMOOTH) / (squares + pixels + SMOOTH))
    return sum(per_class) / len(per_class)


def cross_entropy_by_hand(probs, labels):
    logs = [-math.log(probs[b, labels[b, y, x], y, x]) for b, y, x in np.ndindex(*labels.shape)]
    return sum(logs) / len(logs)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_loops(seed):
    logits, labels = case(seed)
    probs = logits.softmax(dim=1)
    by_hand = dice_by_hand(probs.numpy(), labels.numpy())
    assert dice_loss(probs, labels).item() == pytest.approx(by_hand, rel=1e-5)
    expected = 0.5 * (by_hand + cross_entropy_by_hand(probs.numpy(), labels.numpy()))
    assert supervised_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_dice_is_zero_when_perfect_and_almost_one_when_all_is_wrong():
    _, labels = case(classes=2)
    truth = torch.nn.functional.one_hot(labels, 2).movedim(-1, 1).float()
    assert dice_loss(truth, labels).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(1 - truth, labels).item() == pytest.approx(1, abs=1e-4)


def test_a_class_absent_everywhere_costs_nothing_and_stays_differentiable():
    labels = torch.zeros(1, 3, 3, dtype=torch.long)
    logits = torch.zeros(1, 2, 3, 3)
    logits[:, 0] = 60
    logits.requires_grad_()
    loss = supervised_loss(logits, labels)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_are_computed_in_fp32():
    logits, labels = case()
    loss = supervised_loss(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, supervised_loss(logits.bfloat16().float(), labels))
