"""The U-Net of SSL4MIS by its numbers."""

import pytest
import torch
from torch import nn

from dacl.networks.dropout import Dropout
from dacl.networks.unet import UNet


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_parameter_count_is_the_published_one():
    network = UNet(1, 4)
    assert sum(p.numel() for p in network.parameters()) == 1_813_764
    assert network.stride == 16


@pytest.mark.parametrize("size", [(32, 32), (48, 16)])
def test_logits_have_the_images_grid_and_features_half_of_it(size):
    output = UNet(2, 3, width=4).eval()(images(1, 2, *size))
    assert output.logits.shape == (1, 3, *size)
    assert output.features.shape == (1, 8, size[0] // 2, size[1] // 2)


def test_dropout_is_the_encoders_alone_and_rises_with_depth():
    network = UNet(1, 4)

    def rates(part):
        return [m.p for m in part.modules() if isinstance(m, Dropout)]

    assert rates(network.encoder) == [0.05, 0.1, 0.2, 0.3, 0.5]
    assert rates(network.decoder) == [0, 0, 0, 0]


def test_slope_and_upsampling_are_the_ancestors():
    network = UNet(1, 4)
    slopes = {m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.01}
    upsamplings = [m for m in network.modules() if isinstance(m, nn.Upsample)]
    assert [(m.mode, m.align_corners) for m in upsamplings] == [("bilinear", True)] * 4
    assert network.classifier.kernel_size == (3, 3)


def test_evaluation_is_deterministic_and_training_is_not():
    network = UNet(1, 2, width=4)
    x = images(2, 1, 32, 32)
    assert not torch.equal(network(x).logits, network(x).logits)
    network.eval()
    assert torch.equal(network(x).logits, network(x).logits)


def test_without_dropout_training_repeats_itself():
    network = UNet(1, 2, width=4, dropout=(0.0,) * 5)
    x = images(2, 1, 32, 32)
    assert torch.equal(network(x).logits, network(x).logits)


def test_features_are_the_map_that_the_last_decoder_stage_reads():
    """A gradient of the features reaches all but the last stage and the classifier."""
    network = UNet(1, 2, width=4)
    network(images(2, 1, 32, 32)).features.sum().backward()
    without = {n for n, p in network.named_parameters() if p.grad is None}
    assert without == {
        n for n, _ in network.named_parameters() if n.startswith(("decoder.3.", "classifier."))
    }


def test_a_network_that_is_given_an_encoding_uses_it():
    first, second = UNet(1, 2, width=4).eval(), UNet(1, 2, width=4, upsampling="transposed").eval()
    x = images(2, 1, 32, 32)
    encoded = first.encode(x)
    assert [tuple(m.shape[1:]) for m in encoded] == [
        (4 * 2**stage, 32 // 2**stage, 32 // 2**stage) for stage in range(5)
    ]
    assert torch.equal(first(x, encoded).logits, first(x).logits)
    assert not torch.equal(second(x, encoded).logits, second(x).logits)
    assert len(encoded) == 5  # not consumed: two decoders read it


def test_the_upsampling_gets_dense_gradients():
    """Its backward takes several times as long on a view with gaps."""
    network = UNet(1, 4, width=4).to(memory_format=torch.channels_last)
    dense = []

    def watch(module, args, upsampled):
        upsampled.register_hook(
            lambda grad: dense.append(grad.is_contiguous(memory_format=torch.channels_last))
        )

    for up in network.decoder:
        up.upsample.register_forward_hook(watch)
    batch = images(2, 1, 32, 32).contiguous(memory_format=torch.channels_last)
    network(batch).logits.square().sum().backward()
    assert dense == [True] * 4
