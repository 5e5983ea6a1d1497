"""The projection head z."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from dacl.networks.heads import ProjectionHead
from dacl.seeding import stream


def features(seed=0, rows=9):
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed))


@given(scale=st.floats(0.5, 100))
def test_does_not_see_the_scale_of_the_features(scale):
    """In training, batch statistics remove it."""
    head = ProjectionHead(6, 4, stream(0))
    head.layers[0].bias.data.zero_()
    torch.testing.assert_close(head(scale * features()), head(features()), rtol=0, atol=1e-2)


def test_half_precision_features_are_projected_in_fp32():
    assert ProjectionHead(6, 4, stream(0))(features().bfloat16()).dtype == torch.float32


def test_weights_come_from_the_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = (ProjectionHead(6, 4, stream(seed)) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    for same, different, reference in zip(
        second.parameters(), other.parameters(), first.parameters(), strict=True
    ):
        assert torch.equal(same, reference)
        drawn = reference.std() > 0  # batch norm starts at 1 and 0
        assert torch.equal(different, reference) != drawn


def test_linear_layers_start_in_the_default_range():
    """+-1/sqrt(fan in), as nn.Linear draws them."""
    head = ProjectionHead(64, 100, stream(0))
    first, last = head.layers[0], head.layers[3]
    for layer, bound in ((first, 1 / 8), (last, 1 / 10)):
        for values in (layer.weight, layer.bias):
            assert 0.9 * bound < values.abs().max() <= bound
