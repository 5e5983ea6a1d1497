"""What is drawn as a feature, and what as a negative."""

import pytest
import torch

from dacl.contrast.draws import Draws
from dacl.contrast.units import pixel_units
from dacl.networks.heads import NoProjection


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("out_of_class", [False, True])
def test_drawn_pixels_are_reliable_members_of_their_class_or_of_none_of_it(out_of_class):
    """The feature of a pixel points along the axis of its class, so that membership survives the draw."""
    classes = torch.randint(-1, 4, (2, 9, 9), generator=generator())
    axis = torch.where(classes < 0, 7, classes)
    features = torch.nn.functional.one_hot(axis, 8).movedim(-1, 1).float()
    draws = Draws(*torch.rand(2, classes.numel(), generator=generator()), *[torch.zeros(0)] * 4)
    units = pixel_units(
        NoProjection(), features, classes, draws,
        dim=8, n_classes=4, cap=16, others=20, out_of_class=out_of_class,
    )  # fmt: skip
    for n in range(3):
        assert set(units.units_CMD[n, units.valid_CM[n]].argmax(dim=-1).tolist()) == {n + 1}
        assert int(units.valid_CM[n].sum()) == 16
    others = [
        set(row[ok].argmax(dim=-1).tolist())
        for row, ok in zip(units.others_XRD, units.other_valid_XR, strict=True)
    ]
    assert others == ([{0, 2, 3}, {0, 1, 3}, {0, 1, 2}] if out_of_class else [{0}])
