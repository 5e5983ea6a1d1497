import subprocess
import sys

import pytest
import torch
from torch import nn

from dacl.networks.convolution import Conv3x3, Conv3x3x3, columns_of_a_group

CHANNELS = [(1, 16), (16, 16), (32, 16), (16, 4), (16, 32), (64, 32), (16, 14), (128, 64)]
SHAPES = {Conv3x3: (2, 8, 16), Conv3x3x3: (2, 3, 4, 16)}
LAYOUTS = {Conv3x3: torch.channels_last, Conv3x3x3: torch.channels_last_3d}


def made(kind, channels_in: int, channels_out: int) -> nn.Module:
    torch.manual_seed(0)
    return kind(channels_in, channels_out).to(memory_format=LAYOUTS[kind])


def images(kind, channels: int) -> torch.Tensor:
    batch, *space = SHAPES[kind]
    x = torch.randn(batch, channels, *space, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=LAYOUTS[kind])


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_over_groups_of_columns_a_convolution_is_the_same(kind, channels):
    layer = made(kind, *channels).double()
    x = images(kind, channels[0]).double()
    found = []
    for convolve in (layer.forward, layer.on_a_gpu):
        layer.zero_grad()
        own = x.clone().requires_grad_()
        out = convolve(own)
        grown = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).double()
        (out * grown).sum().backward()
        found.append((out.detach(), own.grad, layer.weight.grad, layer.bias.grad))
    for expected, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_layer_is_pytorchs_on_a_cpu_and_in_a_checkpoint(kind):
    layer = made(kind, 16, 16)
    torch.manual_seed(0)
    plain = (nn.Conv2d if kind is Conv3x3 else nn.Conv3d)(16, 16, kernel_size=3, padding=1)
    assert list(layer.state_dict()) == ["weight", "bias"]
    torch.testing.assert_close(layer.state_dict(), plain.state_dict(), rtol=0, atol=0)
    x = images(kind, 16)
    torch.testing.assert_close(layer(x), plain.to(memory_format=LAYOUTS[kind])(x), rtol=0, atol=0)


def test_a_width_that_no_group_divides_is_convolved_as_it_is():
    layer = made(Conv3x3, 16, 16)
    x = images(Conv3x3, 16)[..., :15]
    torch.testing.assert_close(layer.on_a_gpu(x), layer(x))


@pytest.mark.parametrize("kind", SHAPES)
def test_autocast_maps_stay_in_sixteen_bits_and_as_they_lie(kind):
    layer, x = made(kind, 16, 16), images(kind, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer.on_a_gpu(x)
    assert out.dtype == torch.bfloat16
    assert out.is_contiguous(memory_format=LAYOUTS[kind])
    torch.testing.assert_close(out.float(), layer(x), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("channels", "columns"),
    [
        ((1, 16), 8), ((16, 16), 4), ((32, 16), 4), ((16, 4), 8), ((16, 32), 4),
        ((32, 32), 2), ((64, 32), 2), ((32, 64), 2), ((64, 64), 1), ((128, 64), 1), ((256, 256), 1),
    ],
)  # fmt: skip
def test_groups_have_the_columns_that_were_fastest(channels, columns):
    assert columns_of_a_group(*channels) == columns


TRACE = """
import torch
from dacl.networks.convolution import Conv3x3

asked = []

@torch.compiler.assume_constant_result
def on_tensor_cores():
    asked.append(True)
    return True

class Anywhere(Conv3x3):
    def forward(self, x):
        return self.on_a_gpu(x) if on_tensor_cores() else super().forward(x)

layer = Anywhere(16, 16)
traced = torch.compile(layer, fullgraph=True, dynamic=False, backend="aot_eager")
x = torch.randn(2, 16, 8, 16)
for _ in range(2):
    torch.testing.assert_close(traced(x), layer.on_a_gpu(x))
assert len(asked) == 1
"""


def test_one_graph_holds_the_choice():
    """As on a GPU, where it is a constant of the graph; in a process of its own, for the hook cannot be traced."""
    done = subprocess.run([sys.executable, "-c", TRACE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
