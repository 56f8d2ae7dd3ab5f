"""Masks pasted by crops and products against grid_sample over the whole image; their targets."""

import torch
import torch.nn.functional as F
from box_strategies import boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import roi_align

from swinkit.detection.boxes import masks as module
from swinkit.detection.boxes.masks import mask_targets, paste_masks


def whole_image(masks: Tensor, where: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(N, H, W) bilinear values, one grid over the whole image for each mask."""
    y = (torch.arange(size_hw[0]) + 0.5)[None] - where[:, 1:2]
    x = (torch.arange(size_hw[1]) + 0.5)[None] - where[:, 0:1]
    y = y / (where[:, 3:] - where[:, 1:2]) * 2 - 1
    x = x / (where[:, 2:3] - where[:, 0:1]) * 2 - 1
    grid = torch.stack(
        [x[:, None].expand(-1, y.shape[1], -1), y[:, :, None].expand(-1, -1, x.shape[1])], dim=-1
    )
    return F.grid_sample(masks[:, None], grid, align_corners=False)[:, 0]


@given(st.data(), st.integers(1, 70), st.integers(1, 70), st.integers(0, 9999))
@settings(deadline=None)
def test_pasted_pixels_are_those_of_grid_sample(
    data: st.DataObject, height: int, width: int, seed: int
) -> None:
    where = data.draw(boxes(1, 6, smallest=0.125)) - 5
    masks = torch.rand(len(where), 7, 7, generator=torch.Generator().manual_seed(seed))
    values = whole_image(masks, where, (height, width))
    pasted = paste_masks(masks, where, (height, width))
    # Where the value is the threshold itself but for rounding, either answer is right.
    clear = (values - 0.5).abs() > 1e-4
    assert torch.equal(pasted[clear], (values >= 0.5)[clear])


def test_many_small_chunks_are_one_large() -> None:
    where = torch.rand(20, 4) * 40
    where[:, 2:] += where[:, :2]
    masks = torch.rand(20, 28, 28)
    whole = paste_masks(masks, where, (64, 80))
    limit, module.CHUNK_PIXELS = module.CHUNK_PIXELS, 500
    try:
        assert torch.equal(paste_masks(masks, where, (64, 80)), whole)
    finally:
        module.CHUNK_PIXELS = limit


def test_nothing_outside_the_image_or_without_area() -> None:
    masks = torch.ones(4, 5, 5)
    where = torch.tensor(
        [[-30.0, 0, -5, 9], [100, 100, 120, 130], [4, 4, 4, 9], [2.0, 3.0, 6.0, 7.0]]
    )
    pasted = paste_masks(masks, where, (20, 30))
    assert not pasted[:3].any()
    assert pasted[3].sum() == 16
    assert pasted[3, 3:7, 2:6].all()


def test_no_instances_and_half_precision() -> None:
    assert paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (5, 6)).shape == (0, 5, 6)
    half = paste_masks(torch.ones(1, 4, 4).bfloat16(), torch.tensor([[0.0, 0, 5, 6]]), (6, 5))
    assert half.all()
    assert half.dtype == torch.bool


def test_autocast_changes_no_pixel() -> None:
    masks, where = torch.rand(3, 28, 28), torch.tensor([[1.0, 2, 60, 50]] * 3)
    plain = paste_masks(masks, where, (64, 64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(paste_masks(masks, where, (64, 64)), plain)


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
