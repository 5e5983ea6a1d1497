"""The fast step and the field's, from the same weights: the same losses and gradients within the precision."""

import pytest
import torch

from benchmarks.field_step import FieldStep, plain
from benchmarks.made_steps import Size, batch_of, method_of
from benchmarks.step import Step
from dacl.networks.dropout import Dropout
from dacl.networks.unet import UNet
from dacl.networks.vnet import VNet

SIZES = [Size(4, 32), Size(2, 48, 2, dims=3)]


def without_dropout(method):
    for part in method.modules():
        if isinstance(part, (Dropout, torch.nn.Dropout3d)):
            part.p = 0.0
    return method


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("bf16", "rtol"), [(False, 1e-5), (True, 2e-2)])
def test_our_step_has_the_losses_and_gradients_of_the_fields(size, bf16, rtol):
    ours, theirs = (without_dropout(method_of("cps", size)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    ours.bf16 = bf16
    batch = batch_of(size)
    field = FieldStep(theirs)
    our_loss, their_loss = ours.losses(batch, 1).total, field.loss(batch)
    assert our_loss.item() == pytest.approx(their_loss.item(), rel=rtol)
    our_loss.backward()
    their_loss.backward()
    for network, other in zip(ours.networks.values(), field.networks, strict=True):
        gradients = [
            torch.cat([p.grad.flatten() for p in n.parameters()]) for n in (network, other)
        ]
        cosine = torch.cosine_similarity(*gradients, dim=0).item()
        assert cosine > (0.85 if bf16 else 1 - 1e-4)


def test_the_fields_network_differs_by_its_layers_alone():
    network = UNet(1, 4, width=4).eval()
    image = torch.randn(1, 1, 32, 32)
    expected = network(image).logits
    changed = plain(network).eval()
    assert not any(isinstance(part, Dropout) for part in changed.modules())
    assert sum(isinstance(part, torch.nn.Dropout) for part in changed.modules()) == 9
    assert torch.equal(changed(image).logits, expected)


@pytest.mark.parametrize(
    ("network", "kind", "axes"),
    [
        (VNet(1, 2, width=4), torch.nn.ConvTranspose3d, 3),
        (UNet(1, 2, width=4, upsampling="transposed"), torch.nn.ConvTranspose2d, 2),
    ],
)
def test_the_fields_transposed_convolutions_are_pytorchs(network, kind, axes):
    image = torch.randn(1, 1, *[16] * axes)
    expected = network.eval()(image).logits
    changed = plain(network).eval()
    assert [type(part) for part in changed.modules() if isinstance(part, kind)] == [kind] * 4
    assert torch.equal(changed(image).logits, expected)


def test_a_field_step_updates_both_networks():
    field = FieldStep(method_of("cps", Size(2, 32)))
    before = [next(n.parameters()).detach().clone() for n in field.networks]
    assert field(batch_of(Size(2, 32))) > 0
    for old, network in zip(before, field.networks, strict=True):
        assert not torch.equal(old, next(network.parameters()))


def test_late_in_a_run_the_banks_are_full_and_every_pixel_is_sure():
    size = Size(4, 32)
    method, batch = method_of("dacl", size), batch_of(size)
    outputs = method.forward_networks(batch.images)
    classes = method.reliable("a", outputs, batch, 0)
    assert classes.shape == (4, 16, 16)
    assert torch.equal(classes[:2], batch.labels[:, ::2, ::2])
    assert torch.equal(classes[2:], classes[:2])
    assert method.contrast["b"].bank.valid_CL.all()


def test_a_step_has_its_phases():
    seconds = Step("dacl", "fp32", Size(2, 32)).timed()
    assert len(seconds) == 3
    assert min(seconds) > 0
