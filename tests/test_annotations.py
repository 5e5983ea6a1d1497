"""The pytest hook checks the annotations of `dacl`; without it half of what the tests promise is void."""

import pytest
import torch
from jaxtyping import TypeCheckError

from dacl.contrast.density import multiscale_density


def test_a_wrong_shape_is_refused_at_the_call():
    units = torch.zeros(2, 5, 3)
    other_width = torch.zeros(2, 5, 4)
    with pytest.raises(TypeCheckError):
        multiscale_density(units, other_width, torch.ones(2, 5, dtype=torch.bool), (1,))


def test_an_int_passes_where_a_float_is_asked_for():
    from dacl.data.readers.phantom_anatomy import GROUPS

    assert GROUPS
