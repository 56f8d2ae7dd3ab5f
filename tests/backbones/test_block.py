"""A block's residuals, stochastic depth and dropout; what padding may hold.

Legend: B batch, C channels, P slots, nW windows, nS seam windows, T tokens per window.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swinkit.backbones.block import SwinBlock
from swinkit.windows.attention import WindowAttention
from swinkit.windows.layout import WindowLayout
from swinkit.windows.shift_mask import WindowGeometry

C = 8


def padded_and_shifted() -> tuple[WindowGeometry, int]:
    layout = WindowLayout.of((7, 9), (4, 3), (2, 1))
    return WindowGeometry.of(layout), layout.num_slots


def build(version: Any, window: tuple[int, int], **settings: Any) -> SwinBlock:
    own = {"mlp_ratio": 2.0, "drop_path_rate": settings.pop("drop_path_rate", 0.0)}
    attention = WindowAttention(C, 2, window, version=version, **{"kernel": "sdpa", **settings})
    block = SwinBlock(attention, dropout=settings.get("dropout", 0.0), **own)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block.eval()


@pytest.mark.parametrize("version", [1, 2])
def test_what_padding_slots_hold_does_not_matter(version: int) -> None:
    block = build(version, (4, 3))
    geometry, slots = padded_and_shifted()
    assert geometry.padding is not None
    tokens = torch.randn(1, slots, C)
    other = tokens.masked_fill(geometry.padding[:, None], 50.0)
    kept = ~geometry.padding
    assert torch.equal(block(tokens, geometry)[:, kept], block(other, geometry)[:, kept])


def halves(block: SwinBlock, tokens: Tensor, geometry: WindowGeometry) -> tuple[Tensor, Tensor]:
    return block.attention_branch(tokens, geometry), block.mlp_branch(tokens)


@pytest.mark.parametrize("version", [1, 2])
def test_stochastic_depth_drops_whole_images_and_keeps_the_mean(version: int) -> None:
    rate = 0.4
    block = build(version, (2, 2), drop_path_rate=rate)
    nn.init.zeros_((block.mlp.fc2 if version == 1 else block.norm2).weight)
    nn.init.zeros_((block.mlp.fc2 if version == 1 else block.norm2).bias)
    geometry = WindowGeometry(1)
    tokens = torch.randn(1, 4, C).expand(4000, -1, -1)
    with torch.no_grad():
        branch, nothing = halves(block, tokens[:1], geometry)
        assert not nothing.any()
        torch.testing.assert_close(block(tokens[:1], geometry), tokens[:1] + branch)
        block.train()
        added = block(tokens, geometry) - tokens
    dropped = added.flatten(1).abs().amax(1) < 1e-5
    kept = added[~dropped]
    torch.testing.assert_close(kept, (branch / (1 - rate)).expand_as(kept), rtol=1e-4, atol=1e-4)
    # Five standard deviations of a binomial of 4000.
    assert abs(float(dropped.float().mean()) - rate) <= 5 * (rate * (1 - rate) / 4000) ** 0.5


def test_dropout_acts_in_training_only() -> None:
    block = build(1, (2, 2), dropout=0.5, attention_dropout=0.5)
    geometry = WindowGeometry(1)
    tokens = torch.randn(2, 4, C)
    with torch.no_grad():
        assert torch.equal(block(tokens, geometry), block(tokens, geometry))
        block.train()
        assert not torch.equal(block(tokens, geometry), block(tokens, geometry))
