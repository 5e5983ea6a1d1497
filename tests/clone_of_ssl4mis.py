"""What stands in for a clone of SSL4MIS: the files and names that its example takes, with code of ours."""

from pathlib import Path

FILES = {
    "networks/unet.py": """
from torch import nn
from dacl.networks.unet import UNet as Ours

class UNet(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.inner = Ours(channels, classes, 16, [0.0] * 5)

    def forward(self, images):
        return self.inner(images).logits * FACTOR
""",
    "utils/losses.py": """
import no_such_module

class DiceLoss(nn.Module):
    def __init__(self, classes):
        super().__init__()

    def forward(self, probs, labels):
        return probs.mean() + 0 * labels.float().mean()
""",
    "dataloaders/dataset.py": """
import no_such_module

def random_rot_flip(image, label):
    return np.rot90(image).copy(), np.rot90(label).copy()

def random_rotate(image, label):
    return ndimage.rotate(image, 9, order=0), ndimage.rotate(label, 9, order=0)

class RandomGenerator(object):
    def __init__(self, size):
        self.size = size

    def __call__(self, sample):
        turn = random_rot_flip if random.random() < 0.5 else random_rotate
        pair = turn(sample["image"], sample["label"])
        pair = [zoom(x, (self.size[0] / x.shape[0], self.size[1] / x.shape[1]), order=0) for x in pair]
        return dict(zip(("image", "label"), (torch.from_numpy(pair[0])[None], torch.from_numpy(pair[1]))))
""",
}


def write(folder: Path, factor: int) -> None:
    """Write the files; the network is ours, times `factor`."""
    for name, text in FILES.items():
        path = folder / "code" / name
        path.parent.mkdir(parents=True)
        path.write_text(text.replace("FACTOR", str(factor)))
