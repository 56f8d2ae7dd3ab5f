"""From the mask of a box to a mask of the image.

Legend: N instances, h w mask inside a box, H W image, n instances of a chunk, y x its crop.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from swinkit.boxes.chunks import chunks

SizeHW = tuple[int, int]

# Pixels that are interpolated at once: 16 MB of float32.
CHUNK_PIXELS = 1 << 22


def paste_masks(
    probabilities: Tensor, boxes_xyxy: Tensor, size_hw: SizeHW, threshold: float = 0.5
) -> Tensor:
    """Stretch (N, h, w) probabilities over (N, 4) boxes of an H x W image -> (N, H, W) bool.

    A pixel belongs to an instance where the bilinear value at its centre is at least `threshold`;
    outside the mask the value runs to 0. Only the pixels around each box are computed, by two
    small products per chunk of boxes alike in size, for bilinear interpolation is separable.

    Source: FCNMaskHead of mmdet (grid_sample, align_corners False, zero padding), which draws the
    middle of a box's mask as a line where the box has no area; here it has no pixels.
    """
    count = probabilities.shape[0]
    pasted = torch.zeros(count, *size_hw, dtype=torch.bool, device=probabilities.device)
    crops = _crops(boxes_xyxy.float(), size_hw)
    sides = (crops[:, 2:] - crops[:, :2]).clamp(min=0)
    order = (sides[:, 0] * sides[:, 1]).argsort()
    for run, *crop_hw in chunks(sides[order], CHUNK_PIXELS):
        rows = order[run]
        corner_yx = crops[rows, :2]
        values = _interpolate(
            probabilities[rows].float(), boxes_xyxy[rows].float(), corner_yx, crop_hw
        )
        found = (values >= threshold).nonzero()  # pixels 3
        instance, y, x = found.unbind(1)
        y, x = y + corner_yx[instance, 0], x + corner_yx[instance, 1]
        # A chunk's crops are as large as its largest and may reach past the image.
        inside = (y < size_hw[0]) & (x < size_hw[1])
        place = (rows[instance] * size_hw[0] + y) * size_hw[1] + x
        pasted.view(-1)[place[inside]] = True
    return pasted


def _crops(boxes: Tensor, size_hw: SizeHW) -> Tensor:
    """(N, 4) int64 y1, x1, y2, x2: each box with a pixel around it, within the image."""
    low = (boxes[:, :2].floor() - 1).clamp(min=0)
    high = torch.minimum(boxes[:, 2:].ceil() + 1, boxes.new_tensor([size_hw[1], size_hw[0]]))
    return torch.cat([low.flip(1), high.flip(1)], dim=1).to(torch.int64)


def _interpolate(
    values: Tensor, boxes: Tensor, corner_yx: Tensor, crop_hw: Sequence[int]
) -> Tensor:
    """(n, h, w) values over (n, 4) boxes, at the pixel centres of crops: (n, y, x)."""
    down = _weights(boxes[:, 1], boxes[:, 3], corner_yx[:, 0], crop_hw[0], values.shape[1])
    across = _weights(boxes[:, 0], boxes[:, 2], corner_yx[:, 1], crop_hw[1], values.shape[2])
    return down @ values @ across.transpose(1, 2)


def _weights(low: Tensor, high: Tensor, corner: Tensor, number: int, size: int) -> Tensor:
    """(n, number, size) weights of a mask's places for the pixels from each corner on."""
    pixels = corner[:, None] + torch.arange(number, device=low.device) + 0.5
    # The same roundings as grid_sample's: to -1..1 first, then to places. Without area: infinite.
    unit = (pixels - low[:, None]) / (high - low)[:, None] * 2 - 1
    place = ((unit + 1) * size - 1) / 2  # n number
    distance = (place[..., None] - torch.arange(size, device=low.device)).abs()
    return (1 - distance).clamp(min=0)
