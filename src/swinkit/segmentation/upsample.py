"""Bilinear upsampling of maps, all at once or block by block.

`F.interpolate(..., mode="bilinear", align_corners=False)` makes the whole output; here a rectangle
of it is made from the rectangle of the map that it reads. Large outputs are made block by block,
so that K numbers for every pixel never exist at a time.

Legend: K classes, h w part of the map, H W rectangle of the output.
"""

from collections.abc import Iterator
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.settings import SizeHW

Span = tuple[int, int]  # first, last + 1
Block = tuple[Span, Span]  # rows, columns


def upsampled(maps: Tensor, output_hw: SizeHW, pixels: int) -> Iterator[tuple[Block, Tensor]]:
    """`K h w` upsampled to `output_hw`, in blocks of at most about `pixels`: `K H W` of each."""
    map_hw = (maps.shape[1], maps.shape[2])
    for block in blocks(output_hw, pixels):
        read = block_read(map_hw, output_hw, block)
        part = maps[:, slice(*read[0]), slice(*read[1])]
        yield block, upsample(part, read, map_hw, output_hw, block)


def upsample(part: Tensor, read: Block, map_hw: SizeHW, output_hw: SizeHW, block: Block) -> Tensor:
    """A block of the output, equal to that of `F.interpolate` up to the rounding of positions.

    Args:
        part: `K h w`, the rectangle `read` of the map.
        read: what `block_read` gives for the block.
        map_hw: size of the whole map.
        output_hw: size of the whole output.
        block: of the output.

    Returns:
        `K H W`.
    """
    if map_hw == output_hw:
        return part
    if block == whole_block(output_hw):
        return F.interpolate(part[None], size=output_hw, mode="bilinear", align_corners=False)[0]
    down, across = (
        (_positions(span, source, target) - first).to(part)
        for span, source, target, (first, _) in zip(block, map_hw, output_hw, read, strict=True)
    )
    # grid_sample counts from -1 to 1, from edge to edge, x before y.
    y = (2 * down + 1) / part.shape[1] - 1
    x = (2 * across + 1) / part.shape[2] - 1
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)
    return F.grid_sample(part[None], grid[None], padding_mode="border", align_corners=False)[0]


def block_read(map_hw: SizeHW, output_hw: SizeHW, block: Block) -> Block:
    """The rows and columns of a map that `upsample` reads for a block of the output."""
    if map_hw == output_hw:
        return block
    if block == whole_block(output_hw):
        return whole_block(map_hw)
    rows, columns = (
        (
            max(0, int((first + 0.5) * (source / target) - 0.5)),
            min(source, int((last - 0.5) * (source / target) - 0.5) + 2),
        )
        for (first, last), source, target in zip(block, map_hw, output_hw, strict=True)
    )
    return rows, columns


def blocks(size_hw: SizeHW, pixels: int) -> Iterator[Block]:
    """Rectangles of at most about `pixels` that cover an image, row by row, squares if they can."""
    if size_hw[0] * size_hw[1] <= pixels:
        yield whole_block(size_hw)
        return
    width = min(size_hw[1], max(1, isqrt(pixels)))
    height = min(size_hw[0], max(1, pixels // width))
    width = min(size_hw[1], max(1, pixels // height))
    for top in range(0, size_hw[0], height):
        for left in range(0, size_hw[1], width):
            yield (top, min(top + height, size_hw[0])), (left, min(left + width, size_hw[1]))


def whole_block(size_hw: SizeHW) -> Block:
    """All rows and columns."""
    return (0, size_hw[0]), (0, size_hw[1])


def _positions(span: Span, source: int, target: int) -> Tensor:
    """Where the centers of the output's places lie in the map, in its places; float64."""
    return (torch.arange(*span, dtype=torch.float64) + 0.5) * (source / target) - 0.5
