"""True masks at the size of a mask head."""

import torch
from torchvision.ops import roi_align

from swinkit.detection.boxes.mask_targets import mask_targets


def test_each_box_looks_at_its_own_object() -> None:
    masks = torch.zeros(3, 20, 30, dtype=torch.uint8)
    masks[0, :10] = 1
    masks[2, :, 15:] = 1
    where = torch.tensor([[0.0, 0.0, 30.0, 20.0], [0.0, 0.0, 30.0, 20.0], [20.0, 2.0, 28.0, 8.0]])
    found = mask_targets(masks, where, torch.tensor([2, 0, 2]), 4)
    assert found.dtype == torch.float32
    assert torch.equal(found[0], torch.tensor([[0.0, 0, 1, 1]] * 4))
    assert torch.equal(found[1], torch.tensor([[0.0, 0, 1, 1]] * 4).T.flip(0))
    assert found[2].all()


def test_like_roi_align_on_a_copy_for_every_box() -> None:
    masks = (torch.rand(4, 40, 50) > 0.5).to(torch.uint8)
    where = torch.rand(9, 4) * 20
    where[:, 2:] += where[:, :2] + 3
    which = torch.tensor([3, 1, 1, 0, 3, 3, 1, 0, 0])
    rois = torch.cat([torch.arange(9.0)[:, None], where], dim=1)
    expected = roi_align(masks[which].float()[:, None], rois, 28, 1.0, 0, True)[:, 0] >= 0.5
    assert torch.equal(mask_targets(masks, where, which, 28).bool(), expected)


def test_no_boxes() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert mask_targets(torch.zeros(0, 9, 9), torch.zeros(0, 4), none, 28).shape == (0, 28, 28)
    assert mask_targets(torch.zeros(2, 9, 9), torch.zeros(0, 4), none, 14).shape == (0, 14, 14)
