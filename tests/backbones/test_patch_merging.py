"""Patch merging out of window order equals strided slices of the padded map.

Legend: B batch, H W map, C channels, P slots in window order, L tokens row-major.
"""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from swinkit.backbones.patch_merging import PatchMerging, merging_move
from swinkit.windows.layout import WindowLayout, move_tokens

sides = st.integers(1, 40)
windows = st.tuples(st.integers(2, 7), st.integers(2, 7))


def by_slices(merge: PatchMerging, tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """`B L C` row-major -> `B L' 2C` row-major, as the official code slices it."""
    grid = tokens.unflatten(1, size)
    grid = F.pad(grid, (0, 0, 0, size[1] % 2, 0, size[0] % 2))
    children = [grid[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    merged = torch.cat(children, -1).flatten(1, 2)
    if merge.version == 1:
        return merge.reduction(merge.norm(merged))
    return merge.norm(merge.reduction(merged))


@pytest.mark.parametrize("version", [1, 2])
@given(height=sides, width=sides, before=windows, after=windows, shifted=st.booleans())
@settings(max_examples=40, deadline=None)
def test_equals_strided_slices(
    version: Any, height: int, width: int, before: Any, after: Any, shifted: bool
) -> None:
    merge = PatchMerging(3, version=version).double()
    for parameter in merge.parameters():
        nn.init.normal_(parameter)
    size, halved = (height, width), (-(-height // 2), -(-width // 2))
    shift = (before[0] // 2, before[1] // 2) if shifted else (0, 0)
    first = WindowLayout.of(size, before, shift)
    second = WindowLayout.of(halved, after)
    tokens = torch.randn(2, height * width, 3, dtype=torch.float64, requires_grad=True)
    entered = move_tokens(tokens, first.enter())
    # What the slots of padding hold must never be read.
    entered = entered.masked_fill(first.padding()[:, None], 1e6)
    ours = move_tokens(merge(entered, merging_move(first, second)), second.leave())
    theirs = by_slices(merge, tokens, size)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(theirs)
    gradients = [
        torch.autograd.grad((out * weight).sum(), [tokens, *merge.parameters()])
        for out in (ours, theirs)
    ]
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other)


def test_shapes_of_the_checkpoints() -> None:
    shapes = {
        version: {
            k: tuple(v.shape) for k, v in PatchMerging(8, version=version).state_dict().items()
        }
        for version in (1, 2)
    }
    assert shapes[1] == {"reduction.weight": (16, 32), "norm.weight": (32,), "norm.bias": (32,)}
    assert shapes[2] == {"reduction.weight": (16, 32), "norm.weight": (16,), "norm.bias": (16,)}
