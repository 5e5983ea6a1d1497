"""L_cross: hard pseudo-labels, both ways."""

import math

import numpy as np
import pytest
import torch

from dacl.losses.consistency import cross_pseudo_supervision


def logits(seed):
    return torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def one_way(student, teacher):
    """Mean over pixels of -log p_student(argmax teacher)."""
    total = []
    for b, y, x in np.ndindex(2, 2, 2):
        exps = np.exp(student[b, :, y, x].astype(float))
        total.append(-math.log(exps[int(np.argmax(teacher[b, :, y, x]))] / exps.sum()))
    return sum(total) / len(total)


def test_equals_the_loops():
    a, b = logits(0), logits(1)
    expected = one_way(a.numpy(), b.numpy()) + one_way(b.numpy(), a.numpy())
    assert cross_pseudo_supervision(a, b).item() == pytest.approx(expected, rel=1e-5)


def test_targets_carry_no_gradient():
    """The gradient of a is that of a's cross entropy alone, as if b were data."""
    a, b = logits(0).requires_grad_(), logits(1).requires_grad_()
    cross_pseudo_supervision(a, b).backward()
    expected = (a.detach().softmax(1) - one_hot(b.detach())) / 8
    torch.testing.assert_close(a.grad, expected)
    torch.testing.assert_close(b.grad, (b.detach().softmax(1) - one_hot(a.detach())) / 8)


def one_hot(values):
    return torch.nn.functional.one_hot(values.argmax(dim=1), 3).movedim(-1, 1).float()


def test_half_precision_logits_are_computed_in_fp32():
    assert (
        cross_pseudo_supervision(logits(0).bfloat16(), logits(1).bfloat16()).dtype == torch.float32
    )
