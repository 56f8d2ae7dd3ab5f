"""Upsampling block by block against the whole."""

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit.segmentation.upsample import blocks, upsampled

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(size=SIDES, pixels=st.integers(1, 2000))
def test_blocks_cover_every_place_once(size: tuple[int, int], pixels: int) -> None:
    seen = np.zeros(size, int)
    for rows, columns in blocks(size, pixels):
        assert (rows[1] - rows[0]) * (columns[1] - columns[0]) <= pixels
        seen[slice(*rows), slice(*columns)] += 1
    assert (seen == 1).all()


@settings(deadline=None)
@given(map_hw=SIDES, answer_hw=SIDES, pixels=st.integers(1, 400))
def test_a_block_is_a_part_of_the_whole(
    map_hw: tuple[int, int], answer_hw: tuple[int, int], pixels: int
) -> None:
    maps = torch.randn(3, *map_hw, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(maps[None], size=answer_hw, mode="bilinear")[0]
    for (rows, columns), found in upsampled(maps, answer_hw, pixels):
        assert torch.allclose(found, whole[:, slice(*rows), slice(*columns)], atol=1e-4)
    ((_, found),) = upsampled(maps, answer_hw, answer_hw[0] * answer_hw[1])
    assert torch.equal(found, whole)
