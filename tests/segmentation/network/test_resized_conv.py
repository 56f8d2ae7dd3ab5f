"""Convolving before enlarging against enlarging before convolving."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit.segmentation.network import resized_conv
from swinkit.segmentation.network.resized_conv import (
    conv_of_enlarged,
    conv_of_resized,
    shifted_resizing,
)

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@settings(max_examples=40, deadline=None)
@given(size=sizes, coarse=st.lists(sizes, max_size=3), batch=st.integers(1, 2))
def test_same_map(size: tuple[int, int], coarse: list[tuple[int, int]], batch: int) -> None:
    torch.manual_seed(0)
    finest = torch.randn(batch, 3, *size, dtype=torch.float64)
    maps = [torch.randn(batch, 2 + n, *hw, dtype=torch.float64) for n, hw in enumerate(coarse)]
    weight = torch.randn(4, 3 + sum(m.shape[1] for m in maps), 3, 3, dtype=torch.float64)
    ours = conv_of_resized(weight, finest, maps)
    assert torch.allclose(ours, conv_of_enlarged(weight, finest, maps), atol=1e-10)


def test_same_gradients() -> None:
    finest = torch.randn(2, 3, 8, 10, requires_grad=True)
    coarse = torch.randn(2, 5, 3, 4, requires_grad=True)
    weight = torch.randn(6, 8, 3, 3, requires_grad=True)
    scale = torch.randn(2, 6, 8, 10)
    inputs = (weight, finest, coarse)
    first, second = (
        torch.autograd.grad((join(weight, finest, [coarse]) * scale).sum(), inputs)
        for join in (conv_of_resized, conv_of_enlarged)
    )
    for ours, theirs in zip(first, second, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_large_maps_are_enlarged_first(monkeypatch: pytest.MonkeyPatch) -> None:
    finest, coarse = torch.randn(1, 2, 4, 12), torch.randn(1, 2, 2, 6)
    weight = torch.randn(3, 4, 3, 3)
    late = conv_of_resized(weight, finest, [coarse])
    monkeypatch.setattr(resized_conv, "LONGEST_SIDE", 8)
    early = conv_of_resized(weight, finest, [coarse])
    assert torch.equal(early, conv_of_enlarged(weight, finest, [coarse]))
    assert torch.allclose(early, late, atol=1e-5)


def test_rows_outside_the_axis_are_zero() -> None:
    before, at, after = shifted_resizing(3, 6, torch.zeros(()))
    line = torch.rand(3)
    enlarged = F.interpolate(line[None, None], size=6, mode="linear")[0, 0]
    assert torch.allclose(at @ line, enlarged)
    assert torch.allclose((before @ line)[1:], enlarged[:-1])
    assert torch.allclose((after @ line)[:-1], enlarged[1:])
    assert (before[0] == 0).all()
    assert (after[-1] == 0).all()
