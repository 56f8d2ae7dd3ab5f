"""The backbone against the classic one: pad, roll, partition, attend, reverse, roll, crop.

Written from the papers with its own loops over window positions, on the same parameters and in
float64, for any size, window, rule and version.

Legend: B batch, H W map, C channels, N heads, M window, T tokens per window, n windows.
"""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from swinkit.backbones.config import SwinConfig
from swinkit.backbones.swin import SwinBackbone

SizeHW = tuple[int, int]
EMBED, HEADS = 4, (1, 2, 4)


def bias_of(attention: Any, window: SizeHW, trained_on: SizeHW) -> Tensor:
    """`N T T`, offset by offset."""
    places = [(y, x) for y in range(window[0]) for x in range(window[1])]
    offsets = [[(y - v, x - u) for v, u in places] for y, x in places]
    if attention.version == 1:
        wide = 2 * window[1] - 1
        rows = [[(y + window[0] - 1) * wide + x + window[1] - 1 for y, x in r] for r in offsets]
        return attention.position_bias.table[torch.tensor(rows)].permute(2, 0, 1)
    sides = window if trained_on == (0, 0) else trained_on
    scale = torch.tensor([8 / max(side - 1, 1) for side in sides])
    scaled = torch.tensor(offsets).float() * scale
    coordinates = torch.sign(scaled) * torch.log2(1 + scaled.abs()) / 3
    return (16 * torch.sigmoid(attention.position_bias.mlp(coordinates.double()))).permute(2, 0, 1)


def attend(attention: Any, windows: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
    """`B n T C` with a mask `n T T`."""
    channels, heads = windows.shape[-1], attention.num_heads
    bias_qkv = attention.qkv.bias
    if attention.version == 2:
        nothing = torch.zeros(channels, dtype=windows.dtype)
        bias_qkv = torch.cat([attention.q_bias, nothing, attention.v_bias])
    qkv = windows @ attention.qkv.weight.T + bias_qkv
    query, key, value = (
        part.unflatten(-1, (heads, channels // heads)).transpose(2, 3) for part in qkv.chunk(3, -1)
    )
    if attention.version == 1:
        scores = query @ key.mT / math.sqrt(channels // heads)
    else:
        # A padded token's key is zero (it has no bias): its cosine is 0, not 0 / 0.
        lengths = query.norm(dim=-1)[..., :, None] * key.norm(dim=-1)[..., None, :]
        lengths = lengths.clamp(min=1e-12)
        scores = query @ key.mT / lengths * attention.logit_scale.exp().clamp(max=100)
    weights = (scores + bias + mask[:, None]).softmax(-1)
    return attention.projection((weights @ value).transpose(2, 3).flatten(3))


def shift_of(size: SizeHW, window: SizeHW, rule: str) -> SizeHW:
    half = [side // 2 for side in window]
    fits = [size[axis] <= window[axis] for axis in range(2)]
    if rule == "shrink_both" and any(fits):
        return 0, 0
    if rule == "shrink_per_axis":
        half = [0 if fits[axis] else half[axis] for axis in range(2)]
    return half[0], half[1]


def cut(grid: Tensor, window: SizeHW) -> Tensor:
    """`... H W C` -> `... n T C`"""
    rows, columns = grid.shape[-3] // window[0], grid.shape[-2] // window[1]
    grid = grid.unflatten(-3, (rows, window[0])).unflatten(-2, (columns, window[1]))
    return grid.transpose(-4, -3).flatten(-3, -2).flatten(-4, -3)


def glue(windows: Tensor, window: SizeHW, padded: SizeHW) -> Tensor:
    """Inverse of `cut`."""
    rows, columns = padded[0] // window[0], padded[1] // window[1]
    grid = windows.unflatten(-3, (rows, columns)).unflatten(-2, window)
    return grid.transpose(-4, -3).flatten(-3, -2).flatten(-4, -3)


def block_on_map(block: Any, grid: Tensor, bias: Tensor, window: SizeHW, shift: SizeHW) -> Tensor:
    """`B H W C`"""
    height, width = grid.shape[1:3]
    read = block.norm1(grid) if block.version == 1 else grid
    read = F.pad(read, (0, 0, 0, -width % window[1], 0, -height % window[0]))
    padded = (read.shape[1], read.shape[2])
    bands = []
    for axis in range(2):
        place = torch.arange(padded[axis])
        wrapped = place >= padded[axis] - shift[axis]
        bands.append(wrapped if shift[axis] else torch.zeros_like(wrapped))
    region = 2 * bands[0].long()[:, None] + bands[1].long()
    region = cut(region[..., None], window)[..., 0]
    mask = -100.0 * (region[:, :, None] != region[:, None, :]).double()
    rolled = torch.roll(read, (-shift[0], -shift[1]), (1, 2))
    attended = glue(attend(block.attention, cut(rolled, window), bias, mask), window, padded)
    attended = torch.roll(attended, shift, (1, 2))[:, :height, :width]
    if block.version == 1:
        grid = grid + attended
        return grid + block.mlp(block.norm2(grid))
    grid = grid + block.norm1(attended)
    return grid + block.norm2(block.mlp(grid))


def classic(model: SwinBackbone, image: Tensor) -> list[Tensor]:
    """Every stage's map `B h w C`, normed where the model says so."""
    config = model.config
    p = config.patch_size
    image = F.pad(image, (0, -image.shape[3] % p, 0, -image.shape[2] % p))
    grid = model.patch_embed.norm(model.patch_embed.projection(image).permute(0, 2, 3, 1))
    maps = []
    for number, stage in enumerate(model.stages):
        if number > 0:
            grid = F.pad(grid, (0, 0, 0, grid.shape[2] % 2, 0, grid.shape[1] % 2))
            children = [grid[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
            merged, merge = torch.cat(children, -1), stage.merge
            if config.version == 1:
                grid = merge.reduction(merge.norm(merged))
            else:
                grid = merge.norm(merge.reduction(merged))
        window = config.windows[number]
        shift = shift_of((grid.shape[1], grid.shape[2]), window, config.small_map_rule)
        for turn, block in enumerate(stage.blocks):
            bias = bias_of(block.attention, window, config.pretrained_windows[number])
            grid = block_on_map(block, grid, bias, window, shift if turn % 2 else (0, 0))
        normed = model.norms[str(number)](grid) if number in config.norm_stages else grid
        maps.append(normed)
    return maps


def strong(config: SwinConfig) -> SwinBackbone:
    torch.manual_seed(4)
    model = SwinBackbone(config).double().eval()
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "table" not in name and "logit" not in name:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        else:
            nn.init.normal_(parameter, mean=float("norm" in name), std=0.3)
    return model


window_sides = st.integers(1, 4)
window_sizes = st.tuples(window_sides, window_sides)


@pytest.mark.parametrize("rule", ["shrink_both", "shrink_per_axis", "keep"])
@pytest.mark.parametrize("version", [1, 2])
@given(
    size=st.tuples(st.integers(1, 130), st.integers(1, 130)),
    window=st.tuples(window_sizes, window_sizes, window_sizes),
    depths=st.tuples(*[st.integers(1, 3)] * 3),
    batch=st.integers(1, 2),
    kernel=st.sampled_from(["auto", "sdpa", "reference"]),
    norms=st.sampled_from([(2,), (0, 1, 2), ()]),
    pretrained=st.sampled_from([0, (5, 3)]),
)
@settings(max_examples=12, deadline=None)
def test_equals_the_classic_form_at_any_size(
    version: Any,
    rule: Any,
    size: SizeHW,
    window: Any,
    depths: Any,
    batch: int,
    kernel: Any,
    norms: Any,
    pretrained: Any,
) -> None:
    config = SwinConfig(
        version=version,
        embed_dim=EMBED,
        depths=depths,
        num_heads=HEADS,
        window_size=window,
        mlp_ratio=2.0,
        small_map_rule=rule,
        attention=kernel,
        norm_stages=norms,
        pretrained_window_size=pretrained,
    )
    model = strong(config)
    image = torch.randn(batch, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        expected = classic(model, image)
        in_inference = model(image)
    # Coordinates of V2 are float32 numbers in both.
    for theirs, updated, fresh in zip(expected, in_inference, model(image), strict=True):
        for ours in (updated, fresh):
            torch.testing.assert_close(ours.permute(0, 2, 3, 1), theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("size", [(61, 30), (64, 48)])
def test_gradients_of_the_classic_form(version: Any, size: SizeHW) -> None:
    config = SwinConfig(
        version=version, embed_dim=EMBED, depths=(2, 2, 2), num_heads=HEADS, window_size=(3, 2),
        norm_stages=(0, 1, 2),
    )  # fmt: skip
    model = strong(config)
    image = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*model.named_parameters(), strict=True)
    maps = [out.permute(0, 2, 3, 1) for out in model(image)]
    weights = [torch.randn_like(out) for out in maps]
    gradients = [
        torch.autograd.grad(
            sum((out * weight).sum() for out, weight in zip(outs, weights, strict=True)),
            (image, *parameters),
        )
        for outs in (maps, classic(model, image))
    ]
    for name, ours, theirs in zip(("image", *names), *gradients, strict=True):
        assert float((ours - theirs).abs().max()) <= 1e-5 * float(theirs.abs().max()), name
