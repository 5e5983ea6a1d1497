"""What cannot be one graph is refused; tests/methods/test_static_shapes.py traces what can."""

import pytest
import torch
from methods import tiny_batch as tiny

from dacl.config import resolve
from dacl.errors import DaclError
from dacl.ranks import Ranks
from dacl.training.compiled import compiled_terms, worth_compiling


def test_a_share_of_pixels_that_changes_with_the_step_is_refused():
    with pytest.raises(DaclError, match="another number of pixels") as error:
        compiled_terms(tiny.build(tiny.config(reliability="entropy")))
    assert "--compile" in error.value.hint


def test_without_a_contrast_its_reliability_does_not_matter():
    compiled_terms(tiny.build(tiny.config("cps", reliability="entropy")))


def test_several_ranks_are_refused():
    method = tiny.build(tiny.config("cps"))
    method.ranks = Ranks(rank=0, world=2)
    with pytest.raises(DaclError, match="other ranks"):
        compiled_terms(method)


def test_logged_steps_and_the_warm_up_of_the_contrast_are_not_compiled(monkeypatch):
    settings = tiny.config(warmup_fraction=0.5)  # of 30 steps, of which the last is logged
    method, batch, asked = tiny.build(settings), tiny.batch(), []

    def compiled(function, **_options):
        def call(batch, moment):
            asked.append(moment.step)
            return function(batch, moment)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    terms = compiled_terms(method)
    for step in (0, 14, 15, 28, 29):
        terms(batch, method.moment(batch, step))
    assert asked == [15, 28]


@pytest.mark.parametrize(
    ("over", "device", "world", "step", "told"),
    [
        ({}, "cuda", 1, 0, True),
        ({}, "cuda", 1, 15_000, True),
        ({}, "cuda", 1, 15_001, False),
        ({}, "cpu", 1, 0, False),
        ({}, "cuda", 2, 0, False),
        ({"compile": True}, "cuda", 1, 0, False),
        ({"contrast": {"reliability": "entropy"}}, "cuda", 1, 0, False),
    ],
)
def test_a_long_run_on_a_gpu_is_told_of_the_compiler(over, device, world, step, told):
    found = worth_compiling(resolve("paper", over), torch.device(device), Ranks(world=world), step)
    assert bool(found) == told
