"""Transposed convolutions: PyTorch's values to the bit, and its gradients."""

import pytest
import torch
from torch import nn

from dacl.networks import transposed_convolution
from dacl.networks.transposed_convolution import TransposedConv2x2, TransposedConv2x2x2

KINDS = {
    TransposedConv2x2: (nn.ConvTranspose2d, (3, 4), torch.channels_last),
    TransposedConv2x2x2: (nn.ConvTranspose3d, (3, 4, 2), torch.channels_last_3d),
}


def pair(kind, dtype=torch.float32):
    """Ours and PyTorch's with the same parameters, and an image of four channels for them."""
    plain, size, layout = KINDS[kind]
    torch.manual_seed(0)
    ours = kind(4, 6)
    theirs = plain(4, 6, kernel_size=2, stride=2)
    theirs.load_state_dict(ours.state_dict())
    layers = [layer.to(dtype=dtype, memory_format=layout) for layer in (ours, theirs)]
    return layers, torch.randn(2, 4, *size, dtype=dtype).contiguous(memory_format=layout)


def value_and_gradients(layer, x):
    own = x.clone().requires_grad_()
    out = layer(own)
    grown = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out)
    out.backward(grown)
    return out.detach(), own.grad, layer.weight.grad, layer.bias.grad


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_pytorch(kind):
    layers, x = pair(kind, torch.float64)
    for ours, theirs in zip(*(value_and_gradients(layer, x) for layer in layers), strict=True):
        torch.testing.assert_close(ours, theirs)
        assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_pytorchs_to_the_bit_in_training_and_out_of_it(kind, bf16):
    (ours, theirs), x = pair(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        expected = theirs(x)
        assert torch.equal(ours(x), expected)
        with torch.no_grad():
            assert torch.equal(ours(x), expected)
    assert expected.dtype == (torch.bfloat16 if bf16 else torch.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast_parameters_learn_in_their_own_type(kind):
    layers, x = pair(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [value_and_gradients(layer, x) for layer in layers]
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.05)
    assert [each.dtype for each in found[0]] == [torch.bfloat16] + 3 * [torch.float32]


def test_an_image_of_another_type_is_refused_as_by_pytorch():
    layers, x = pair(TransposedConv2x2)
    for layer in layers:
        with pytest.raises(RuntimeError, match="Double"):
            layer(x.double())


@pytest.mark.parametrize("frozen", ["x", "weight", "bias"])
def test_what_is_frozen_gets_no_gradient(frozen):
    (ours, _), x = pair(TransposedConv2x2)
    inputs = {"x": x, "weight": ours.weight, "bias": ours.bias}
    for name, tensor in inputs.items():
        tensor.requires_grad_(name != frozen)
    ours(x).sum().backward()
    assert [name for name, tensor in inputs.items() if tensor.grad is None] == [frozen]


@pytest.mark.parametrize("kind", KINDS)
def test_onednn_is_not_asked_for_the_biass_gradient(kind, monkeypatch):
    """What the module is for."""
    asked = []
    real = torch.ops.aten.convolution_backward

    def watched(*args, output_mask, **named):
        asked.append(output_mask)
        return real(*args, output_mask=output_mask, **named)

    monkeypatch.setattr(transposed_convolution.torch.ops.aten, "convolution_backward", watched)
    (ours, _), x = pair(kind)
    ours(x.requires_grad_()).sum().backward()
    assert asked == [(True, True, False)]
    assert torch.equal(ours.bias.grad, torch.full((6,), float(ours(x).numel() / 6)))


def test_a_checkpoint_is_pytorchs():
    (ours, theirs), _ = pair(TransposedConv2x2x2)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours).partition("(")[2] == repr(theirs).partition("(")[2]


def test_another_size_is_pytorchs_to_choose():
    (ours, theirs), x = pair(TransposedConv2x2)
    assert torch.equal(ours(x, output_size=[7, 9]), theirs(x, output_size=[7, 9]))
