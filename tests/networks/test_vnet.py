"""The V-Net of UA-MT by its numbers."""

import pytest
import torch
from torch import nn

from dacl.networks.vnet import VNet


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_parameter_count_is_the_published_one():
    network = VNet(1, 2)
    assert parameters(network) == 9_448_866
    assert (network.stride, network.feature_channels) == (16, 32)
    assert 4 * 2 * parameters(VNet(1, 14, width=32)) == pytest.approx(289e6, rel=0.05), "DHC's file"


@pytest.mark.parametrize("size", [(16, 32, 32), (32, 16, 48)])
def test_logits_have_the_images_grid_and_features_half_of_it(size):
    output = VNet(2, 3, width=4).eval()(images(1, 2, *size))
    assert output.logits.shape == (1, 3, *size)
    assert output.features.shape == (1, 8, *(side // 2 for side in size))


def test_convolutions_per_level_are_the_ancestors():
    network = VNet(1, 2, width=4)

    def kernels(part):
        return [[m.kernel_size[0] for m in stage if isinstance(m, nn.Conv3d)] for stage in part]

    # the first of the deeper levels is the strided convolution that leads to it
    assert kernels(network.encoder) == [[3], [2, 3, 3], [2, 3, 3, 3], [2, 3, 3, 3], [2, 3, 3, 3]]
    assert kernels(network.decoder) == [[3, 3, 3], [3, 3, 3], [3, 3], [3]]
    ups = [m for m in network.modules() if isinstance(m, nn.ConvTranspose3d)]
    assert [(m.kernel_size, m.stride) for m in ups] == [((2, 2, 2), (2, 2, 2))] * 4
    assert network.classifier.kernel_size == (1, 1, 1)


def test_skips_are_added():
    """With what comes from below silenced, a decoder stage reads the encoder's map as it is."""
    network = VNet(1, 2, width=4).eval()
    read = []
    network.decoder[-1].register_forward_pre_hook(lambda _, args: read.append(args[0]))
    with torch.no_grad():
        norm = network.upsample[-1][1]
        norm.weight.zero_(), norm.bias.zero_()
    x = images(1, 1, 16, 16, 16)
    network(x)
    torch.testing.assert_close(read[0], network.encode(x)[0], rtol=0, atol=0)


def test_dropout_takes_whole_channels_of_the_deepest_and_the_last_map_in_training_alone():
    network = VNet(1, 2, width=4)
    seen = []
    network.dropout.register_forward_hook(lambda _, args, out: seen.append((args[0], out)))
    x = images(2, 1, 16, 32, 32)
    network(x)
    assert [tuple(out.shape[1:]) for _, out in seen] == [(64, 1, 2, 2), (4, 16, 32, 32)]
    for before, after in seen:
        kept = (after == 2 * before).flatten(2).all(dim=2)
        dropped = (after == 0).flatten(2).all(dim=2)
        assert (kept | dropped).all()
    assert dropped.any() or (seen[0][1] == 0).flatten(2).all(dim=2).any()
    network.eval()
    assert torch.equal(network(x).logits, network(x).logits)


def test_without_dropout_training_repeats_itself():
    network = VNet(1, 2, width=4, dropout=0.0)
    x = images(2, 1, 16, 32, 32)
    assert torch.equal(network(x).logits, network(x).logits)


def test_features_are_the_map_that_the_last_decoder_stage_reads():
    """A gradient of the features reaches all but the last stage and the classifier."""
    network = VNet(1, 2, width=4)
    network(images(2, 1, 16, 32, 32)).features.sum().backward()
    without = {n for n, p in network.named_parameters() if p.grad is None}
    last = ("decoder.3.", "upsample.3.", "classifier.")
    assert without == {n for n, _ in network.named_parameters() if n.startswith(last)}


def test_an_encoding_can_be_given_and_is_not_consumed():
    network = VNet(1, 2, width=4).eval()
    x = images(1, 1, 16, 32, 48)
    encoded = network.encode(x)
    assert [tuple(m.shape[1:]) for m in encoded] == [
        (4 * 2**s, 16 // 2**s, 32 // 2**s, 48 // 2**s) for s in range(5)
    ]
    assert torch.equal(network(x, encoded).logits, network(x).logits)
    assert len(encoded) == 5
