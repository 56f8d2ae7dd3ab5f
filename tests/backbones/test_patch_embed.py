"""Patch embedding against a loop over patches, at any size.

Legend: H W pixels, p patch size, C channels.
"""

import pytest
import torch
from torch import Tensor

from swinkit.backbones.patch_embed import PatchEmbed


def by_loops(embed: PatchEmbed, image: Tensor) -> Tensor:
    """`B L C`: cut each patch out of a canvas of zeros, weigh it, norm it."""
    p = embed.patch_size
    rows, columns = embed.grid_hw(image.shape[-2:])
    canvas = torch.zeros(*image.shape[:2], rows * p, columns * p, dtype=image.dtype)
    canvas[..., : image.shape[2], : image.shape[3]] = image
    weight, bias = embed.projection.weight, embed.projection.bias
    tokens = [
        (canvas[:, None, :, r * p : (r + 1) * p, c * p : (c + 1) * p] * weight).sum((2, 3, 4))
        + bias
        for r in range(rows)
        for c in range(columns)
    ]
    return embed.norm(torch.stack(tokens, 1))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(("channels", "patch"), [(1, 4), (3, 4), (5, 2), (3, 3)])
@pytest.mark.parametrize("size", [(1, 1), (3, 9), (8, 12), (13, 7), (16, 17)])
def test_equals_a_loop_over_patches(
    size: tuple[int, int], channels: int, patch: int, norm: bool
) -> None:
    embed = PatchEmbed(channels, 6, patch, norm=norm).double()
    image = torch.randn(2, channels, *size, dtype=torch.float64)
    tokens = embed(image)
    assert embed.grid_hw(size) == (-(-size[0] // patch), -(-size[1] // patch))
    assert tokens.shape == (2, embed.grid_hw(size)[0] * embed.grid_hw(size)[1], 6)
    torch.testing.assert_close(tokens, by_loops(embed, image))


def test_norm_is_optional_in_the_state() -> None:
    assert "norm.weight" in PatchEmbed(3, 4, 4, norm=True).state_dict()
    assert "norm.weight" not in PatchEmbed(3, 4, 4, norm=False).state_dict()
