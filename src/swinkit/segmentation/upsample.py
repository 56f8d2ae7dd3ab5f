"""Bilinear enlarging of maps, all at once or block by block.

`F.interpolate(..., mode="bilinear", align_corners=False)` makes the whole answer; here a rectangle
of it is made from the rectangle of the map that it reads. Large answers are made block by block,
so that K numbers for every pixel never exist at a time.

Legend: K classes, h w part of the map, H W rectangle of the answer.
"""

from collections.abc import Iterator
from math import isqrt

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.segmentation.result import label_type
from swinkit.settings import SizeHW

Span = tuple[int, int]  # first, last + 1
Block = tuple[Span, Span]  # rows, columns


def labels_of(logits: Tensor, answer_hw: SizeHW, pixels: int) -> np.ndarray:
    """The labels (H, W) that logits `K h w` have once enlarged to `answer_hw`.

    Args:
        pixels: most that are enlarged at a time; larger answers are made block by block.
    """
    map_hw = (logits.shape[1], logits.shape[2])
    if answer_hw[0] * answer_hw[1] <= pixels:
        return best_labels(enlarged_to(logits, answer_hw))
    labels = np.empty(answer_hw, label_type(logits.shape[0]))
    for block in blocks(answer_hw, pixels):
        read = block_read(map_hw, answer_hw, block)
        part = logits[:, slice(*read[0]), slice(*read[1])]
        found = best_labels(enlarge(part, read, map_hw, answer_hw, block))
        labels[slice(*block[0]), slice(*block[1])] = found
    return labels


def best_labels(scores: Tensor) -> np.ndarray:
    """`K H W` -> (H, W) of the best class."""
    return scores.argmax(0).cpu().numpy().astype(label_type(scores.shape[0]))


def enlarged_to(logits: Tensor, answer_hw: SizeHW) -> Tensor:
    """All of a map: `K h w` -> `K *answer_hw`."""
    if tuple(logits.shape[1:]) == tuple(answer_hw):
        return logits
    return F.interpolate(logits[None], size=answer_hw, mode="bilinear", align_corners=False)[0]


def enlarge(part: Tensor, read: Block, map_hw: SizeHW, answer_hw: SizeHW, block: Block) -> Tensor:
    """A block of the answer, equal to that of `F.interpolate` up to the rounding of positions.

    Args:
        part: `K h w`, the rectangle `read` of the map.
        read: what `block_read` gives for the block.
        map_hw: size of the whole map.
        answer_hw: size of the whole answer.
        block: of the answer.

    Returns:
        `K H W`.
    """
    if map_hw == answer_hw:
        return part
    down, across = (
        (_positions(span, present, wanted) - first).to(part)
        for span, present, wanted, (first, _) in zip(block, map_hw, answer_hw, read, strict=True)
    )
    # grid_sample counts from -1 to 1, from edge to edge, x before y.
    y = (2 * down + 1) / part.shape[1] - 1
    x = (2 * across + 1) / part.shape[2] - 1
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)
    return F.grid_sample(part[None], grid[None], padding_mode="border", align_corners=False)[0]


def block_read(map_hw: SizeHW, answer_hw: SizeHW, block: Block) -> Block:
    """The rows and columns of a map that `enlarge` reads for a block of the answer."""
    if map_hw == answer_hw:
        return block
    rows, columns = (
        (
            max(0, int((first + 0.5) * (present / wanted) - 0.5)),
            min(present, int((last - 0.5) * (present / wanted) - 0.5) + 2),
        )
        for (first, last), present, wanted in zip(block, map_hw, answer_hw, strict=True)
    )
    return rows, columns


def blocks(size_hw: SizeHW, pixels: int) -> Iterator[Block]:
    """Rectangles of at most about `pixels` that cover an image, row by row, squares if they can."""
    width = min(size_hw[1], max(1, isqrt(pixels)))
    height = min(size_hw[0], max(1, pixels // width))
    width = min(size_hw[1], max(1, pixels // height))
    for top in range(0, size_hw[0], height):
        for left in range(0, size_hw[1], width):
            yield (top, min(top + height, size_hw[0])), (left, min(left + width, size_hw[1]))


def _positions(span: Span, present: int, wanted: int) -> Tensor:
    """Where the centres of the answer's places lie in the map, in its places; float64."""
    return (torch.arange(*span, dtype=torch.float64) + 0.5) * (present / wanted) - 0.5
