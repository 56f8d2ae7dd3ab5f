"""Attention on the map equals attention computed without windows; receptive fields are true."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from swinkit import SwinBackbone, SwinConfig
from swinkit.backbones.stage import plan_stages
from swinkit.explaining.attention import rollout, spatial_reach, stitched
from swinkit.explaining.receptive import gradients, is_seen, seen_pixels

CPU = torch.device("cpu")


def build(version: int, window: int, depths: tuple[int, ...] = (2, 3)) -> SwinBackbone:
    torch.manual_seed(version)
    config = SwinConfig(
        version=version, patch_size=2, embed_dim=8, depths=depths,
        num_heads=(2,) * len(depths), window_size=window,
        norm_stages=tuple(range(len(depths))),
    )  # fmt: skip
    backbone = SwinBackbone(config).eval()
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return backbone


def unrolled(backbone: SwinBackbone, tokens: Tensor, shift: tuple[int, int]) -> Tensor:
    """(N, h, w, h, w) attention of block 1 of stage 0, by comparing every pair of places on the
    map that was never rolled; tokens `h w C`."""
    block = backbone.stages[0].blocks[1]
    side = block.attention.position_bias.window_hw[0]
    h, w = tokens.shape[:2]
    hp, wp = math.ceil(h / side) * side, math.ceil(w / side) * side
    read = block.norm1(tokens) if block.version == 1 else tokens
    padded = read.new_zeros(hp, wp, read.shape[-1])
    padded[:h, :w] = read
    query, key, _ = block.attention.query_key_value(padded.view(1, 1, hp * wp, -1))
    scores = (query @ key.transpose(-2, -1))[0, 0] * block.attention.scale()  # N L L
    row, column = torch.meshgrid(torch.arange(hp), torch.arange(wp), indexing="ij")
    row, column = row.flatten(), column.flatten()
    down, right = row[:, None] - row, column[:, None] - column
    window = torch.stack([(row - shift[0]).div(side, rounding_mode="floor"),
                          (column - shift[1]).div(side, rounding_mode="floor")])  # fmt: skip
    together = (window[:, :, None] == window[:, None]).all(0)
    index = (down + side - 1) * (2 * side - 1) + right + side - 1
    table = block.attention.position_bias.table_rows()
    bias = table[torch.where(together, index, 0)].permute(2, 0, 1)
    weights = (scores + bias).masked_fill(~together, -math.inf).softmax(-1)
    return weights.view(-1, hp, wp, hp, wp)[:, :h, :w, :h, :w]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("size", [(24, 16), (21, 27)])
def test_stitched_equals_attention_on_the_unrolled_image(
    version: int, size: tuple[int, int]
) -> None:
    backbone = build(version, 3)
    image = torch.rand(1, 3, *size)
    names = ["stages.0.blocks.0", "stages.0.blocks.1.attention"]
    with torch.no_grad():
        values = backbone.intermediates(image, names)
        plan = plan_stages(backbone.config, backbone.patch_embed.grid_hw(size), CPU, fixed=True)[0]
        layout, weights = plan.layouts[1], values[names[1]][0]
        expected = unrolled(backbone, values[names[0]][0], layout.shift_hw)
        for row in range(layout.size_hw[0]):
            for column in range(layout.size_hw[1]):
                own = stitched(weights, layout, (row, column))
                torch.testing.assert_close(own, expected[:, row, column], rtol=0, atol=1e-5)
    assert layout.shift_hw == (1, 1)


@settings(deadline=None, max_examples=15)
@given(
    version=st.sampled_from([1, 2]),
    height=st.integers(9, 30),
    width=st.integers(9, 30),
    window=st.integers(2, 4),
    data=st.data(),
)
def test_the_gradient_equals_the_theory(
    version: int, height: int, width: int, window: int, data: st.DataObject
) -> None:
    backbone = build(version, window).double()
    image = torch.rand(1, 3, height, width, dtype=torch.float64)
    grid_hw = backbone.patch_embed.grid_hw((height, width))
    shifts = data.draw(st.booleans())
    plans = plan_stages(backbone.config, grid_hw, CPU, fixed=True, shifts=shifts)
    places = []
    for stage, block in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2)):
        rows, columns = plans[stage].size_hw
        token = (data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1)))
        places.append((stage, block, token))
    found = gradients(backbone, image, places, shifts=shifts)
    for slope, (stage, block, token) in zip(found, places, strict=True):
        expected = seen_pixels(plans, (height, width), 2, stage, block, token)
        assert torch.equal(is_seen(slope), expected)


def test_the_shift_lets_a_token_see_further() -> None:
    backbone = build(1, 4)
    seen = [
        seen_pixels(
            plan_stages(backbone.config, (16, 16), CPU, fixed=True, shifts=shifts),
            (32, 32), 2, 0, 1, (8, 8),
        ).sum()
        for shifts in (True, False)
    ]  # fmt: skip
    # Windows of 4 x 4 patches of 2 x 2 pixels: one of them, or the four that a shifted one cuts.
    assert [int(pixels) for pixels in seen] == [16 * 16, 8 * 8]


@pytest.mark.parametrize("size", [(32, 32), (27, 21)])
def test_rollout_keeps_its_sum_but_for_padding(size: tuple[int, int]) -> None:
    backbone = build(1, 4)
    plans = plan_stages(backbone.config, backbone.patch_embed.grid_hw(size), CPU, fixed=True)
    names = [
        f"stages.{s}.blocks.{b}.attention" for s, depth in ((0, 2), (1, 3)) for b in range(depth)
    ]
    with torch.no_grad():
        values = backbone.intermediates(torch.rand(1, 3, *size), names)
    weights = [[values[name][0] for name in names if f"stages.{s}" in name] for s in range(2)]
    seed = torch.zeros(plans[1].size_hw)
    seed[1, 2] = 1.0
    found = rollout(weights, [plan.layouts for plan in plans], seed)
    assert found.shape == plans[0].size_hw
    assert float(found.min()) >= 0
    assert (
        float(found.sum()) == pytest.approx(1.0, abs=1e-5) if size == (32, 32) else found.sum() < 1
    )


def test_reach_of_known_weights() -> None:
    plan = plan_stages(build(1, 4).config, (8, 8), CPU, fixed=True)[0]
    own = torch.eye(16).expand(4, 2, 16, 16)
    assert spatial_reach(own, plan.layouts[0], 4).tolist() == [0.0, 0.0]
    right = torch.eye(16).roll(1, 1).expand(4, 1, 16, 16).clone()  # the next token of the window
    steps = (12 * 4 + 3 * 4 * math.hypot(1, 3) + 4 * math.hypot(3, 3)) / 16
    assert float(spatial_reach(right, plan.layouts[0], 4)) == pytest.approx(steps)
