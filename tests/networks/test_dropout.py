"""Dropout with sixteen bits an element."""

import pytest
import torch

from dacl.networks.dropout import Dropout


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5])
def test_share_of_zeros_and_scale_of_the_rest_are_those_of_dropout(p):
    torch.manual_seed(0)
    out = Dropout(p)(torch.ones(1_000_000))
    # 5 standard deviations of a binomial
    assert (out == 0).double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / 1e6) ** 0.5)
    torch.testing.assert_close(
        out[out != 0].unique(), torch.tensor([1 / (1 - p)]), rtol=1e-4, atol=0
    )


def test_neighbours_and_channels_are_dropped_independently():
    """A quartet shares one draw of 64 bits: each lag up to 9 is as likely to agree as chance has it."""
    torch.manual_seed(1)
    kept = Dropout(0.5)(torch.ones(1_000_000)) != 0
    for lag in range(1, 10):
        agree = (kept[lag:] == kept[:-lag]).double().mean().item()
        assert agree == pytest.approx(0.5, abs=0.0025)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 1, 1)])
def test_shape_type_and_memory_format_stay(dtype, shape):
    x = torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)
    out = Dropout(0.5)(x)
    assert out.shape == x.shape
    assert out.dtype == dtype
    assert out.stride() == x.stride()
    kept = out != 0
    torch.testing.assert_close(out[kept], 2 * x[kept])


def test_inputs_with_gaps_and_repeats():
    x = torch.randn(4, 6, 8)
    for given in (x[:, ::2], x.transpose(0, 2), x[:1].expand(5, -1, -1)):
        out = Dropout(0.5)(given)
        assert out.shape == given.shape
        kept = out != 0
        assert 0 < kept.double().mean() < 1
        torch.testing.assert_close(out[kept], 2 * given[kept])
    repeated = Dropout(0.5)(torch.ones(1).expand(1000))
    assert 400 < (repeated != 0).sum() < 600  # each place on its own


@pytest.mark.parametrize("p", [0.999999, 1.0])
def test_nearly_everything_is_dropped(p):
    out = Dropout(p)(torch.ones(1000))
    assert torch.isfinite(out).all()
    assert (out == 0).double().mean() > 0.99


def test_every_element_has_a_draw_of_its_own():
    """In each memory format the mask of many draws covers every place evenly."""
    torch.manual_seed(2)
    for x in (torch.ones(2, 3, 2, 2), torch.ones(2, 3, 4, 2)[:, :, ::2]):
        for order in (torch.contiguous_format, torch.channels_last):
            x = x.contiguous(memory_format=order)
            kept = torch.stack([Dropout(0.25)(x) != 0 for _ in range(4000)]).double().mean(dim=0)
            torch.testing.assert_close(kept, torch.full_like(kept, 0.75), atol=0.035, rtol=0)


def test_gradient_passes_where_the_value_passes():
    x = torch.randn(50, requires_grad=True)
    out = Dropout(0.5)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, torch.where(out != 0, 2.0, 0.0))


def test_nothing_is_drawn_in_evaluation_or_at_zero():
    x = torch.randn(9)
    before = torch.get_rng_state()
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_come_from_the_default_generator():
    x = torch.ones(100)
    found = []
    for _ in range(2):
        torch.manual_seed(7)
        found.append(Dropout(0.5)(x))
    assert torch.equal(*found)
    assert not torch.equal(found[0], Dropout(0.5)(x))
