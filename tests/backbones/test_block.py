"""The block's inference pieces equal its forward; stochastic depth; what padding may do.

Legend: B batch, C channels, P slots, nW windows, nS seam windows, T tokens per window.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swinkit.backbones import block as block_module
from swinkit.backbones.block import BlockGeometry, SwinBlock
from swinkit.windows.layout import WindowLayout
from swinkit.windows.shift_mask import shift_mask

C = 8
LAYOUTS = {
    "plain": ((8, 12), (4, 4), (0, 0)),
    "shifted": ((8, 12), (4, 4), (2, 2)),
    "padded": ((7, 9), (4, 4), (0, 0)),
    "padded and shifted": ((7, 9), (4, 3), (2, 1)),
    "shifted on one axis": ((9, 4), (4, 4), (2, 0)),
    "one window": ((3, 3), (4, 4), (0, 0)),
}


def geometry_of(name: str) -> tuple[BlockGeometry, int]:
    layout = WindowLayout.of(*LAYOUTS[name])
    padding = layout.padding() if layout.is_padded else None
    return BlockGeometry(layout.num_windows, padding, shift_mask(layout)), layout.num_slots


def build(version: Any, window: tuple[int, int], **settings: Any) -> SwinBlock:
    values: dict[str, Any] = {
        "mlp_ratio": 2.0,
        "qkv_bias": True,
        "pretrained_window_hw": (0, 0),
        "drop_path_rate": 0.0,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "kernel": "sdpa",
    }
    block = SwinBlock(C, 2, window, version=version, **{**values, **settings})
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block.eval()


@pytest.mark.parametrize("floats", [1, 4 * 16 * C, 7 * 16 * C, 20 * 16 * C, 10**9])
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("version", [1, 2])
def test_pieces_equal_forward(
    version: int, name: str, batch: int, floats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_module, "PIECE_FLOATS", floats)
    block = build(version, LAYOUTS[name][1])
    geometry, slots = geometry_of(name)
    tokens = torch.randn(batch, slots, C)
    before = tokens.clone()
    with torch.no_grad():
        expected = block(tokens, geometry)
        assert torch.equal(tokens, before)
        block.update_(tokens, geometry)
    torch.testing.assert_close(tokens, expected, rtol=1e-5, atol=1e-5)


def test_part_of_a_geometry_keeps_the_mask_with_its_windows() -> None:
    geometry, slots = geometry_of("padded and shifted")
    assert geometry.mask is not None
    assert geometry.padding is not None
    count, tokens = geometry.num_windows, slots // geometry.num_windows
    nothing = torch.zeros(count - geometry.mask.shape[0], tokens, tokens)
    full = torch.cat([nothing, geometry.mask])
    for first in range(count):
        for last in range(first + 1, count + 1):
            part = geometry.part(first, last)
            assert part.num_windows == last - first
            assert part.padding is not None
            assert torch.equal(part.padding, geometry.padding[first * tokens : last * tokens])
            own = torch.zeros(last - first, tokens, tokens)
            if part.mask is not None:
                own[own.shape[0] - part.mask.shape[0] :] = part.mask
            assert torch.equal(own, full[first:last])


@pytest.mark.parametrize("version", [1, 2])
def test_what_padding_slots_hold_does_not_matter(version: int) -> None:
    block = build(version, (4, 3))
    geometry, slots = geometry_of("padded and shifted")
    assert geometry.padding is not None
    tokens = torch.randn(1, slots, C)
    other = tokens.masked_fill(geometry.padding[:, None], 50.0)
    kept = ~geometry.padding
    assert torch.equal(block(tokens, geometry)[:, kept], block(other, geometry)[:, kept])


def halves(block: SwinBlock, tokens: Tensor, geometry: BlockGeometry) -> tuple[Tensor, Tensor]:
    return block.attention_branch(tokens, geometry), block.mlp_branch(tokens)


@pytest.mark.parametrize("version", [1, 2])
def test_stochastic_depth_drops_whole_images_and_keeps_the_mean(version: int) -> None:
    rate = 0.4
    block = build(version, (2, 2), drop_path_rate=rate)
    nn.init.zeros_((block.mlp.fc2 if version == 1 else block.norm2).weight)
    nn.init.zeros_((block.mlp.fc2 if version == 1 else block.norm2).bias)
    geometry = BlockGeometry(1, None, None)
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
    geometry = BlockGeometry(1, None, None)
    tokens = torch.randn(2, 4, C)
    with torch.no_grad():
        assert torch.equal(block(tokens, geometry), block(tokens, geometry))
        block.train()
        assert not torch.equal(block(tokens, geometry), block(tokens, geometry))
