"""Pooling from a pyramid against torchvision's RoIAlign, box by box."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align

from swinkit.detection.boxes.pooling import RoIPooling

STRIDES = (4, 8, 16, 32)


def pyramid(dtype: torch.dtype = torch.float32, channels: int = 3) -> list[Tensor]:
    return [torch.randn(2, channels, 256 // s, 320 // s).to(dtype) for s in STRIDES]


def some_rois() -> Tensor:
    corner = torch.rand(40, 2) * 200
    sides = torch.exp(torch.rand(40, 2) * 2 + 4)
    image = torch.randint(0, 2, (40, 1)).float()
    return torch.cat([image, corner, corner + sides], dim=1)


def one_by_one(maps: list[Tensor], rois: Tensor, size: int) -> Tensor:
    levels = RoIPooling(size).levels(rois).tolist()
    return torch.cat(
        [
            roi_align(maps[level], rois[row : row + 1], size, 1 / STRIDES[level], 0, True)
            for row, level in enumerate(levels)
        ]
    )


@pytest.mark.parametrize("by_rows", [False, True])
@pytest.mark.parametrize("size", [7, 14])
def test_every_box_comes_from_its_level_and_keeps_its_place(size: int, by_rows: bool) -> None:
    maps, rois = pyramid(), some_rois()
    assert len(RoIPooling(size).levels(rois).unique()) == 3
    pooled = RoIPooling(size, by_rows=by_rows)([*maps, maps[-1][..., ::2, ::2]], rois)
    assert torch.allclose(pooled, one_by_one(maps, rois, size), atol=1e-5)


@pytest.mark.parametrize("by_rows", [False, True])
def test_gradient_is_that_of_roi_align(by_rows: bool) -> None:
    maps, rois = pyramid(), some_rois()
    weight = torch.randn(len(rois), 3, 7, 7)
    ours = [level.clone().requires_grad_() for level in maps]
    theirs = [level.clone().requires_grad_() for level in maps]
    (RoIPooling(7, by_rows=by_rows)(ours, rois) * weight).sum().backward()
    (one_by_one(theirs, rois, 7) * weight).sum().backward()
    for own, other in zip(ours, theirs, strict=True):
        assert own.grad is not None
        expected = torch.zeros_like(own) if other.grad is None else other.grad
        assert torch.allclose(own.grad, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "level"), [(1, 0), (111.9, 0), (112, 1), (223.9, 1), (224, 2), (448, 3), (5000, 3)]
)
def test_level_of_a_side(side: float, level: int) -> None:
    rois = torch.tensor([[0.0, 10.0, 10.0, 10.0 + side, 10.0 + side]])
    assert RoIPooling(7).levels(rois).tolist() == [level]
    assert RoIPooling(7, (8,)).levels(rois).tolist() == [0]


@pytest.mark.parametrize("by_rows", [False, True])
def test_half_precision_maps_keep_their_type_and_exact_boxes(by_rows: bool) -> None:
    maps = pyramid()
    rois = torch.tensor([[1.0, 200.3, 100.6, 260.9, 150.2]])
    exact = RoIPooling(7, by_rows=by_rows)(maps, rois)
    half = RoIPooling(7, by_rows=by_rows)([level.bfloat16() for level in maps], rois)
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().max() < 0.03


@pytest.mark.parametrize("by_rows", [False, True])
@pytest.mark.parametrize("number", [0, 1])
def test_levels_without_boxes_stay_in_the_graph(number: int, by_rows: bool) -> None:
    maps = [level.requires_grad_() for level in pyramid()]
    rois = torch.tensor([[0.0, 300, 300, 310, 310]])[:number]  # on the first level, off the map
    pooled = RoIPooling(7, by_rows=by_rows)(maps, rois)
    assert pooled.shape == (number, 3, 7, 7)
    pooled.sum().backward()
    assert all(level.grad is not None and not level.grad.any() for level in maps)


def test_backward_is_a_gather() -> None:
    maps = [level.requires_grad_() for level in pyramid()]
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        RoIPooling(7)(maps, some_rois()).sum().backward()
    names = {event.key for event in profile.key_averages()}
    assert not [name for name in names if "index_put" in name or "index_select_backward" in name]


@pytest.mark.parametrize("by_rows", [False, True])
def test_boxes_that_are_no_numbers_are_empty(by_rows: bool) -> None:
    rois = torch.tensor([[1.0, 0, 0, 50, 60], [1, float("nan"), 0, 5, 5], [0, 0, 0, 9, 1e40]])
    pooled = RoIPooling(7, by_rows=by_rows)(pyramid(), rois)
    assert pooled[0].any()
    assert not pooled[1:].any()
