"""What cannot be one graph is refused; tests/methods/test_static_shapes.py traces what can."""

import pytest
from methods import tiny_batch as tiny

from dacl.errors import DaclError
from dacl.ranks import Ranks
from dacl.training.compiled import compiled_terms


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
