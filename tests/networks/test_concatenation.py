"""Two maps as one: as `torch.cat`, with dense gradients."""

import pytest
import torch

from dacl.networks.concatenation import concatenate

ORDERS = [(2, torch.contiguous_format), (2, torch.channels_last), (3, torch.channels_last_3d)]


def maps(axes, order, dtype):
    torch.manual_seed(0)
    shapes = [(2, channels, *range(4, 4 + axes)) for channels in (3, 5)]
    return [
        torch.randn(shape).to(dtype).contiguous(memory_format=order).requires_grad_()
        for shape in shapes
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("axes", "order"), ORDERS)
def test_values_and_gradients_are_those_of_cat(axes, order, dtype):
    found = []
    for whole in (concatenate, lambda *both: torch.cat(both, dim=1)):
        inputs = maps(axes, order, dtype)
        out = whole(*inputs)
        torch.manual_seed(1)
        weights = torch.randn(out.shape).to(dtype).contiguous(memory_format=order)
        found.append([out, *torch.autograd.grad((out * weights).sum(), inputs)])
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.is_contiguous(memory_format=order)


def test_gradients_arrive_without_gaps():
    """What the module is for: a view of half the channels has the stride of all of them."""
    skip, deep = maps(2, torch.channels_last, torch.float32)
    arrived = []
    for each in (skip, deep):
        each.register_hook(lambda grad: arrived.append(grad.stride(3)))
    out = concatenate(skip, deep)
    out.backward(torch.randn_like(out))
    assert sorted(arrived) == [3, 5]


@pytest.mark.parametrize("frozen", [0, 1])
def test_one_of_the_maps_may_be_frozen(frozen):
    both = maps(2, torch.channels_last, torch.float32)
    both[frozen] = both[frozen].detach()
    learning = both[1 - frozen]
    arrived = []
    learning.register_hook(lambda grad: arrived.append(grad.stride(3)))
    out = concatenate(*both)
    out.backward(out.detach())
    assert torch.equal(learning.grad, learning)
    assert arrived == [learning.shape[1]]
    assert both[frozen].grad is None


def test_nothing_is_remembered_where_nothing_is_learned():
    both = maps(2, torch.channels_last, torch.float32)
    with torch.no_grad():
        out = concatenate(*both)
    assert torch.equal(out, torch.cat(both, dim=1))
    assert out.grad_fn is None


def test_functional_gradients():
    skip, deep = (each.detach() for each in maps(2, torch.channels_last, torch.float32))
    grad = torch.func.grad(lambda x: concatenate(x, deep).square().sum())(skip)
    assert torch.equal(grad, 2 * skip)
