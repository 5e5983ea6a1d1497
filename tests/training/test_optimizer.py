import pytest
import torch
from torch import nn

from dacl.config import OptimConfig
from dacl.training.optimizer import optimizer_of, with_momentum


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


@pytest.mark.parametrize("fused", [True, False])
def test_a_late_first_gradient(fused):
    """The fused kernel of PyTorch fails without the momentum."""
    module = layers()
    optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9, fused=fused)
    with_momentum(optimizer)
    steps(optimizer, module)
    assert all(state["momentum_buffer"].any() for state in optimizer.state.values())


def test_what_a_checkpoint_held_stays():
    module = layers()
    optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9)
    steps(optimizer, module)
    before = [state["momentum_buffer"].clone() for state in optimizer.state.values()]
    with_momentum(optimizer)
    after = [state["momentum_buffer"] for state in optimizer.state.values()]
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
