import torch
from torch import nn

from dacl.config import OptimConfig
from dacl.training.optimizer import optimizer_of, restore_optimizer


def steps(optimizer: torch.optim.SGD, module: nn.Module) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    for step in range(3):
        optimizer.zero_grad(set_to_none=True)
        x = torch.randn(5, 4, generator=generator)
        late = module[1] if step > 0 else nn.Identity()  # the second layer has no gradient at first
        late(module[0](x)).square().sum().backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in module.parameters()]


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))


def test_a_momentum_of_0_changes_no_step():
    optim = OptimConfig(lr=0.01)
    ours, theirs = layers(), layers()
    found = steps(optimizer_of(ours, optim, torch.device("cpu")), ours)
    plain = torch.optim.SGD(
        theirs.parameters(), optim.lr, optim.momentum, weight_decay=optim.weight_decay
    )
    expected = steps(plain, theirs)
    assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


def test_a_late_first_gradient_under_the_fused_kernel():
    """It fails where some parameters have a momentum and others none."""
    module = layers()
    optimizer = optimizer_of(module, OptimConfig(lr=0.01), torch.device("cpu"))
    optimizer.param_groups[0]["fused"] = True
    steps(optimizer, module)
    assert all(state["momentum_buffer"].any() for state in optimizer.state.values())


def test_a_restored_optimizer_goes_on_in_its_own_way():
    """With the momentum of the other, with one where that had none, and with the kernel of this device."""
    theirs, ours = layers(), layers()
    before = torch.optim.SGD(theirs.parameters(), 0.01, momentum=0.9, foreach=True)
    theirs[0](torch.ones(1, 4)).sum().backward()  # the second layer has no gradient yet
    before.step()
    optimizer = torch.optim.SGD(ours.parameters(), 0.5, momentum=0.9, fused=True)
    restore_optimizer(optimizer, before.state_dict())
    assert optimizer.param_groups[0]["fused"]
    assert not optimizer.param_groups[0]["foreach"]
    for own, other in zip(ours[0].parameters(), theirs[0].parameters(), strict=True):
        assert torch.equal(
            optimizer.state[own]["momentum_buffer"], before.state[other]["momentum_buffer"]
        )
    assert all(not optimizer.state[own]["momentum_buffer"].any() for own in ours[1].parameters())
