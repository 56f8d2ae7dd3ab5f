"""Masks pasted by crops and products against grid_sample over the whole image."""

import torch
import torch.nn.functional as F
from box_strategies import boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit.detection.boxes import pasting
from swinkit.detection.boxes.pasting import paste_masks


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
    limit, pasting.CHUNK_PIXELS = pasting.CHUNK_PIXELS, 500
    try:
        assert torch.equal(paste_masks(masks, where, (64, 80)), whole)
    finally:
        pasting.CHUNK_PIXELS = limit


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
