"""Joining two maps: as `torch.cat`, with dense gradients."""

import pytest
import torch

from dacl.networks.joining import join

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
    for joined in (join, lambda *both: torch.cat(both, dim=1)):
        inputs = maps(axes, order, dtype)
        out = joined(*inputs)
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
    out = join(skip, deep)
    out.backward(torch.randn_like(out))
    assert sorted(arrived) == [3, 5]


def test_only_what_needs_a_gradient_gets_one():
    skip, deep = maps(2, torch.channels_last, torch.float32)
    join(skip.detach(), deep).sum().backward()
    assert torch.equal(deep.grad, torch.ones_like(deep))
