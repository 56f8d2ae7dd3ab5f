"""Pooling from a pyramid against torchvision's RoIAlign, box by box; awkward boxes by rows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import roi_align

from swinkit.detection.boxes import pooling
from swinkit.detection.boxes.pooling import RoIPooling, tap_counts

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


def by_rows(level: Tensor, rois: Tensor, scale: float, size: int) -> Tensor:
    return torch.cat(pooling.pool_rows(level, rois, scale, size))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, float, int]:
    """A map, boxes that may leave it or have no area, a scale, a side."""
    height, width = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    level = torch.randn(2, 3, height, width, dtype=torch.float64)
    number = st.floats(-40, 150, width=32, allow_subnormal=False)
    count = draw(st.integers(1, 6))
    rows = [[draw(st.integers(0, 1)), *(draw(number) for _ in range(4))] for _ in range(count)]
    rois = torch.tensor(rows, dtype=torch.float64)
    corners = rois[:, 1:].reshape(-1, 2, 2).sort(dim=1).values
    rois = torch.cat([rois[:, :1], corners.flatten(1)], dim=1)
    return level, rois, draw(st.sampled_from([1.0, 0.25])), draw(st.sampled_from([1, 3, 7]))


@given(cases())
@settings(deadline=None)
def test_like_torchvision(case: tuple[Tensor, Tensor, float, int]) -> None:
    level, rois, scale, size = case
    ours = by_rows(level, rois, scale, size).view(len(rois), size, size, -1).permute(0, 3, 1, 2)
    assert torch.allclose(ours, roi_align(level, rois, size, scale, 0, True), atol=1e-9)


def test_a_box_turned_around_is_empty() -> None:
    # torchvision ends the process over some of these.
    rois = torch.tensor([[0.0, 5.0, 5.0, 1.0, 1.0], [0.0, 1.0, 5.0, 5.0, 1.0]])
    assert not by_rows(torch.ones(1, 2, 8, 8), rois, 1.0, 3).any()


def test_layout_of_the_map_and_size_of_the_chunks_do_not_matter() -> None:
    level = torch.randn(2, 5, 12, 14)
    corner = torch.rand(30, 2) * 40
    rois = torch.cat([torch.randint(0, 2, (30, 1)), corner, corner + torch.rand(30, 2) * 40], 1)
    rois = rois[tap_counts(rois, 0.25, 7).prod(1).argsort()]
    whole = by_rows(level, rois, 0.25, 7)
    together = level.to(memory_format=torch.channels_last)
    assert torch.equal(by_rows(together, rois, 0.25, 7), whole)
    limit, pooling.CHUNK_PAIRS = pooling.CHUNK_PAIRS, 1
    try:
        assert torch.equal(by_rows(level, rois, 0.25, 7), whole)
    finally:
        pooling.CHUNK_PAIRS = limit


def test_gradient_numerically() -> None:
    level = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0.0, 1.0, 2.0, 17.0, 19.0], [0.0, -3.0, 2.0, 30.0, 9.0]]).double()
    assert torch.autograd.gradcheck(lambda values: by_rows(values, rois, 0.25, 2), level)
