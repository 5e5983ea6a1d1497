"""The class of the largest score."""

import numpy as np
import pytest
import torch

from dacl.label_map import label_map, mask_of


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("classes", [1, 2, 4, 14])
def test_the_argmax_the_first_of_equals(classes, order, dtype):
    torch.manual_seed(0)
    scores = torch.randn(3, classes, 31, 17).mul_(2).round_()  # whole numbers: many are equal
    scores = scores.to(dtype).contiguous(memory_format=order)
    found = label_map(scores)
    assert torch.equal(found, scores.argmax(dim=1))
    assert found.dtype == torch.int64


def test_volumes_slices_of_a_tensor_and_none_at_all():
    torch.manual_seed(0)
    scores = torch.randn(4, 3, 5, 6, 7, requires_grad=True)
    assert torch.equal(label_map(scores)[1:], scores[1:].argmax(dim=1))
    assert torch.equal(label_map(scores[..., ::2]), scores[..., ::2].argmax(dim=1))
    assert label_map(scores[:0]).shape == (0, 5, 6, 7)


@pytest.mark.parametrize("classes", [256, 257, 300])
def test_more_classes_than_a_byte_counts(classes):
    scores = torch.zeros(1, classes, 2, 1)
    scores[0, -1, 0] = 1
    scores[0, 255, 1] = 1
    assert label_map(scores).flatten().tolist() == [classes - 1, 255]


def test_a_mask_is_the_label_map_of_one_volume_in_bytes():
    scores = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    mask_ZHW = mask_of(scores)
    assert mask_ZHW.dtype == np.uint8
    assert np.array_equal(mask_ZHW, scores.argmax(dim=0).numpy())
