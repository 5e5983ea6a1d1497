from itertools import pairwise

import pytest
import torch

from dacl.config import OptimConfig
from dacl.training.schedule import poly_lr, set_lr


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.01),
        (7_500, 0.01 * 0.75**0.9),
        (15_000, 0.01 * 0.5**0.9),
        (29_999, 0.01 * (1 / 30_000) ** 0.9),
    ],
)
def test_poly_of_the_paper(step, expected):
    assert poly_lr(step, OptimConfig()) == pytest.approx(expected, rel=1e-9)


def test_the_rate_falls_at_every_step_and_stays_positive():
    optim = OptimConfig(steps=50)
    rates = [poly_lr(step, optim) for step in range(50)]
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert rates[-1] > 0


def test_power_0_keeps_it_constant():
    assert {poly_lr(step, OptimConfig(steps=9, poly_power=0)) for step in range(9)} == {0.01}


def test_every_group_gets_the_rate():
    parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [p]} for p in parameters], lr=1.0)
    set_lr(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
