"""A CPS step as the field writes it, by us: fp32, eager, contiguous, Dice class by class, an optimizer per network."""

import torch
from torch import Tensor, nn

from dacl.methods import Batch, Method
from dacl.networks.dropout import Dropout
from dacl.networks.transposed_convolution import TransposedConv2x2, TransposedConv2x2x2
from dacl.networks.upsampling import BilinearUpsample

REFERENCE = "fp32, eager, an optimizer per network (written by us as the field does it)"


def plain(network: nn.Module) -> nn.Module:
    """The network with the field's layers: PyTorch's own, activations out of place, the default layout."""
    for name, child in network.named_children():
        if isinstance(child, Dropout):
            setattr(network, name, nn.Dropout(child.p))
        elif isinstance(child, BilinearUpsample):
            doubled = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            setattr(network, name, doubled)
        elif isinstance(child, (TransposedConv2x2, TransposedConv2x2x2)):
            setattr(network, name, _plain_transposed(child))
        elif isinstance(child, (nn.LeakyReLU, nn.ReLU)):
            child.inplace = False
        else:
            plain(child)
    return network


def _plain_transposed(ours: TransposedConv2x2 | TransposedConv2x2x2) -> nn.Module:
    kind = nn.ConvTranspose2d if isinstance(ours, TransposedConv2x2) else nn.ConvTranspose3d
    theirs: nn.Module = kind(
        ours.in_channels, ours.out_channels, kernel_size=2, stride=2, device=ours.weight.device
    )
    theirs.load_state_dict(ours.state_dict())
    return theirs


class FieldStep:
    """One co-training step of two networks on a batch; calling it returns the loss as a number.

    Args:
        method: a CPS whose two networks become the field's; it is used up.
    """

    def __init__(self, method: Method) -> None:
        layout = torch.contiguous_format
        self.networks = [plain(n).to(memory_format=layout) for n in method.networks.values()]
        self.classes = method.classes
        self.optimizers = [
            torch.optim.SGD(n.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
            for n in self.networks
        ]
        self.cross_entropy = nn.CrossEntropyLoss()

    def __call__(self, batch: Batch) -> float:
        """Forward, losses, backward, update."""
        loss = self.loss(batch)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()

    def loss(self, batch: Batch) -> Tensor:
        """Half cross entropy, half Dice of each network, and each network's argmax as the other's label."""
        labeled, labels = batch.labeled, batch.labels
        logits = [network(batch.images).logits for network in self.networks]
        probs = [torch.softmax(each, dim=1) for each in logits]
        total = torch.zeros((), device=labels.device)
        for own_logits, own_probs in zip(logits, probs, strict=True):
            total = total + 0.5 * (
                self.cross_entropy(own_logits[:labeled], labels)
                + self._dice(own_probs[:labeled], labels)
            )
        for own, other in ((0, 1), (1, 0)):
            pseudo = torch.argmax(probs[other].detach(), dim=1)
            total = total + self.cross_entropy(logits[own], pseudo)
        return total

    def _dice(self, probs: Tensor, labels: Tensor) -> Tensor:
        truth = torch.cat([(labels == n).float().unsqueeze(1) for n in range(self.classes)], dim=1)
        total = torch.zeros((), device=labels.device)
        for n in range(self.classes):
            said, true = probs[:, n], truth[:, n]
            overlap = (2 * torch.sum(said * true) + 1e-5) / (
                torch.sum(said * said) + torch.sum(true * true) + 1e-5
            )
            (1 - overlap).item()  # the field keeps each class's number, and waits for it
            total = total + (1 - overlap)
        return total / self.classes
