"""Doubling a map by products with matrices is the bilinear interpolation that the CPU does."""

import pytest
import torch
from torch.nn import functional as F

from dacl.networks.upsampling import BilinearUpsample, upsampled_by_products

SIZES = [(2, 2), (3, 5), (16, 12), (128, 128)]


def interpolated(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def maps(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)
    return x.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients_are_those_of_the_interpolation(size):
    found = []
    for double in (interpolated, lambda x: upsampled_by_products(x, torch.float64)):
        x = maps(*size).requires_grad_()
        out = double(x)
        (out * maps(2 * size[0], 2 * size[1])).sum().backward()
        found.append((out.detach(), x.grad))
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)  # places in fp32


def test_sixteen_bits_lose_what_sixteen_bits_lose():
    x = maps(16, 16)
    error = upsampled_by_products(x, torch.bfloat16).double() - interpolated(x)
    assert error.abs().max() < 4 * 2**-8 * x.abs().max()
    assert error.abs().mean() > 0


def test_the_result_is_channels_last():
    out = upsampled_by_products(maps(4, 6), torch.bfloat16)
    assert out.shape == (2, 3, 8, 12)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_on_the_cpu_nothing_changes():
    x = maps(5, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = BilinearUpsample()(x)
    assert torch.equal(found, interpolated(x))
