"""From the masks inside boxes to compact masks of an image.

Legend: N instances, s side of a mask, n instances of a chunk, h w their window.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from swinkit.detection.boxes.masks import paste_masks
from swinkit.images.masks import merge_masks, place_crops
from swinkit.settings import SizeHW

if TYPE_CHECKING:
    from supervision.detection.compact_mask import CompactMask

CHUNK_PIXELS = 1 << 23  # mask pixels that exist as arrays at a time


def pack_masks(
    probabilities: Tensor, boxes_xyxy: Tensor, size_hw: SizeHW, threshold: float = 0.5
) -> "CompactMask":
    """Stretch (N, s, s) probabilities over (N, 4) boxes of an image of `size_hw`.

    The pixels are those of `paste_masks`; only a window around each box is ever made, so memory
    does not grow with the image.
    """
    boxes = boxes_xyxy.float()
    limit = boxes.new_tensor([size_hw[1], size_hw[0]])
    first = torch.minimum(boxes[:, :2].floor().clamp(min=0), limit)
    last = torch.minimum(boxes[:, 2:].ceil().clamp(min=0), limit)
    corners_xy, sides = first.long(), (last - first).long().clamp(min=1)
    order: list[int] = []
    parts: list[CompactMask] = []
    for rows, window_wh in _chunks(sides.cpu()):
        rows, window_wh = rows.to(boxes.device), window_wh.to(boxes.device)
        # Windows are as large as the chunk's largest; near the border they are moved back.
        corner = torch.minimum(corners_xy[rows], (limit.long() - window_wh).clamp(min=0))
        # A whole number of pixels is subtracted, which floats do exactly.
        inside = boxes[rows] - corner.repeat(1, 2).float()
        window_hw = (min(int(window_wh[1]), size_hw[0]), min(int(window_wh[0]), size_hw[1]))
        pasted = paste_masks(probabilities[rows], inside, window_hw, threshold).cpu().numpy()
        parts.append(place_crops(pasted, corner.flip(1).tolist(), size_hw))
        order += rows.tolist()
    places = sorted(range(len(order)), key=order.__getitem__)
    return merge_masks(parts, size_hw)[places]


def _chunks(sides_wh: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Rows alike in area, (n,), and the (width, height) that holds each of their boxes."""
    order = sides_wh.prod(1).argsort()
    chunks: list[tuple[Tensor, Tensor]] = []
    begin, largest = 0, sides_wh.new_ones(2)
    for place, row in enumerate(order.tolist()):
        grown = torch.maximum(largest, sides_wh[row])
        if place > begin and int(grown.prod()) * (place + 1 - begin) > CHUNK_PIXELS:
            chunks.append((order[begin:place], largest))
            begin, grown = place, sides_wh[row]
        largest = grown
    if len(order) > begin:
        chunks.append((order[begin:], largest))
    return chunks
