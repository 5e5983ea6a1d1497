import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from dacl.networks.convolution import Conv3x3, Conv3x3x3, columns_of_a_group, over_groups
from dacl.networks.unet import UNet
from dacl.networks.vnet import VNet

CHANNELS = [(1, 16), (16, 16), (32, 16), (16, 4), (16, 32), (64, 32), (16, 14), (128, 64)]
SHAPES = {Conv3x3: (2, 8, 16), Conv3x3x3: (2, 3, 4, 16)}
LAYOUTS = {Conv3x3: torch.channels_last, Conv3x3x3: torch.channels_last_3d}


def made(kind, channels_in: int, channels_out: int) -> nn.Module:
    torch.manual_seed(0)
    return kind(channels_in, channels_out, normed=False).to(memory_format=LAYOUTS[kind])


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
    for grouped in (False, True):
        layer.grouped = grouped
        layer.zero_grad()
        own = x.clone().requires_grad_()
        out = layer(own)
        grown = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).double()
        (out * grown).sum().backward()
        found.append((out.detach(), own.grad, layer.weight.grad, layer.bias.grad))
    for expected, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_layer_is_pytorchs_and_in_a_checkpoint_as_well(kind):
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
    expected = layer(x)
    layer.grouped = True
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("kind", SHAPES)
def test_autocast_maps_stay_in_sixteen_bits_and_as_they_lie(kind):
    layer, x = made(kind, 16, 16), images(kind, 16)
    expected = layer(x)
    layer.grouped = True
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    assert out.is_contiguous(memory_format=LAYOUTS[kind])
    torch.testing.assert_close(out.float(), expected, rtol=2e-2, atol=2e-2)


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
from dacl.networks.unet import UNet
from dacl.networks.convolution import Conv3x3

network = UNet(1, 4, dropout=(0.0,) * 5)
for module in network.modules():
    if isinstance(module, Conv3x3):
        module.grouped = True
traced = torch.compile(network, fullgraph=True, dynamic=False, backend="aot_eager")
x = torch.randn(2, 1, 32, 32)
found, expected = traced(x).logits, network(x).logits
torch.testing.assert_close(found, expected)
"""


def test_it_is_part_of_one_graph():
    """In a process of its own, for the hook of the tests cannot be traced."""
    done = subprocess.run([sys.executable, "-c", TRACE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_on_a_cpu_a_network_stays_as_it_is():
    network = UNet(1, 4)
    over_groups(network, torch.device("cpu"))
    assert not any(module.grouped for module in network.modules() if isinstance(module, Conv3x3))


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (9, 0)])
def test_only_tensor_cores_that_take_tf32_get_groups(capability, allowed, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    networks = [UNet(1, 4), VNet(1, 2)]
    for network in networks:
        over_groups(network, torch.device("cuda"))
        layers = [m for m in network.modules() if isinstance(m, (Conv3x3, Conv3x3x3))]
        assert layers
        assert all(layer.grouped == (allowed and capability >= (8, 0)) for layer in layers)


@pytest.mark.parametrize(("network", "size"), [(UNet(1, 4), (32, 32)), (VNet(1, 2), (16, 16, 16))])
def test_a_network_over_groups_says_the_same(network, size):
    network.eval()
    x = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(x)
        for module in network.modules():
            if isinstance(module, (Conv3x3, Conv3x3x3)):
                module.grouped = True
        found = network(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "size"),
    [(UNet(1, 4, dropout=(0.0,) * 5), (32, 32)), (VNet(1, 2, dropout=0.0), (16, 16, 16))],
)
def test_a_bias_that_the_norm_takes_away_costs_no_gradient(network, size):
    network.double()
    x = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(0)).double()
    found = []
    for grouped in (False, True):
        own = copy.deepcopy(network)
        for module in own.modules():
            if isinstance(module, (Conv3x3, Conv3x3x3)):
                module.grouped = grouped
        own(x).logits.square().mean().backward()
        found.append(own)
    plain, ours = found
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())  # running statistics
    without = 0
    for (name, theirs), mine in zip(plain.named_parameters(), ours.parameters(), strict=True):
        if mine.grad is None:
            without += 1
            assert name.endswith("bias")
            assert theirs.grad.abs().max() < 1e-12
        else:
            torch.testing.assert_close(mine.grad, theirs.grad)
    assert without == sum(isinstance(m, (Conv3x3, Conv3x3x3)) and m.normed for m in ours.modules())
    assert without > 0
