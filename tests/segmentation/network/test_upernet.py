"""Pyramid pooling, UPerNet's decoder, and its convolution before upsampling."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit.segmentation.network import upernet
from swinkit.segmentation.network.upernet import (
    PyramidPooling,
    UPerNetHead,
    conv_of_resized,
    conv_of_upsampled,
    shifted_resizing,
)

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@pytest.mark.parametrize("size_hw", [(1, 1), (5, 7), (12, 6)])
def test_shapes_at_any_size(size_hw: tuple[int, int]) -> None:
    neck = PyramidPooling(8, 4, (1, 2, 3, 6)).eval()
    maps = torch.randn(2, 8, *size_hw)
    assert neck(maps).shape == (2, 4, *size_hw)
    assert [tuple(pooled.shape[2:]) for pooled in neck.pooled(maps)] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (6, 6),
    ]


def test_every_place_sees_the_whole_map() -> None:
    neck = PyramidPooling(3, 4, (1, 2)).eval()
    maps = torch.rand(1, 3, 16, 16, requires_grad=True)
    neck(maps)[0, :, 0, 0].sum().backward()
    assert maps.grad is not None
    assert (maps.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize("gradients", [False, True])
def test_joining_before_upsampling_changes_nothing_but_rounding(
    gradients: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = UPerNetHead((4, 6, 8), 5, 7).eval()
    sizes = ((4, (17, 23)), (6, (9, 12)), (8, (5, 6)), (5, (3, 3)))
    maps = [torch.randn(2, channels, *size_hw) for channels, size_hw in sizes]
    image = torch.zeros(2, 3, 68, 92)
    with torch.set_grad_enabled(gradients):
        late = head(image, maps)
        monkeypatch.setattr(upernet, "conv_of_resized", conv_of_upsampled)
        assert torch.allclose(late, head(image, maps), atol=1e-5)
    assert late.shape == (2, 7, 17, 23)


@settings(max_examples=40, deadline=None)
@given(size=SIZES, coarse=st.lists(SIZES, max_size=3), batch=st.integers(1, 2))
def test_same_map(size: tuple[int, int], coarse: list[tuple[int, int]], batch: int) -> None:
    torch.manual_seed(0)
    finest = torch.randn(batch, 3, *size, dtype=torch.float64)
    maps = [torch.randn(batch, 2 + n, *hw, dtype=torch.float64) for n, hw in enumerate(coarse)]
    weight = torch.randn(4, 3 + sum(m.shape[1] for m in maps), 3, 3, dtype=torch.float64)
    ours = conv_of_resized(weight, finest, maps)
    assert torch.allclose(ours, conv_of_upsampled(weight, finest, maps), atol=1e-10)


def test_same_gradients() -> None:
    finest = torch.randn(2, 3, 8, 10, requires_grad=True)
    coarse = torch.randn(2, 5, 3, 4, requires_grad=True)
    weight = torch.randn(6, 8, 3, 3, requires_grad=True)
    scale = torch.randn(2, 6, 8, 10)
    inputs = (weight, finest, coarse)
    first, second = (
        torch.autograd.grad((join(weight, finest, [coarse]) * scale).sum(), inputs)
        for join in (conv_of_resized, conv_of_upsampled)
    )
    for ours, theirs in zip(first, second, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_large_maps_are_upsampled_first(monkeypatch: pytest.MonkeyPatch) -> None:
    finest, coarse = torch.randn(1, 2, 4, 12), torch.randn(1, 2, 2, 6)
    weight = torch.randn(3, 4, 3, 3)
    late = conv_of_resized(weight, finest, [coarse])
    monkeypatch.setattr(upernet, "LONGEST_SIDE", 8)
    early = conv_of_resized(weight, finest, [coarse])
    assert torch.equal(early, conv_of_upsampled(weight, finest, [coarse]))
    assert torch.allclose(early, late, atol=1e-5)


def test_rows_outside_the_axis_are_zero() -> None:
    before, at, after = shifted_resizing(3, 6, torch.zeros(()))
    line = torch.rand(3)
    upsampled = F.interpolate(line[None, None], size=6, mode="linear")[0, 0]
    assert torch.allclose(at @ line, upsampled)
    assert torch.allclose((before @ line)[1:], upsampled[:-1])
    assert torch.allclose((after @ line)[:-1], upsampled[1:])
    assert (before[0] == 0).all()
    assert (after[-1] == 0).all()
