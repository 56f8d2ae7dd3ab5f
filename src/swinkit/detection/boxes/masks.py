"""From the mask inside a box to the mask of an image, and back to the size a mask head trains at.

Legend: N instances, h w mask inside a box, H W image, n instances of a chunk, y x its crop,
W' width of the image in whole words of eight pixels, G ground-truth objects, P sampled boxes,
s side of a mask.
"""

import torch
from torch import Tensor
from torchvision.ops import roi_align

from swinkit.detection.boxes.geometry import chunks
from swinkit.settings import SizeHW

# Pixels that are interpolated at once: 4 MB of float32, which a processor's cache may hold.
CHUNK_PIXELS = 1 << 20
# Eight pixels are written as one word.
WORD = 8


def paste_masks(
    probabilities: Tensor, boxes_xyxy: Tensor, size_hw: SizeHW, threshold: float = 0.5
) -> Tensor:
    """Stretch (N, h, w) probabilities over (N, 4) boxes of an H x W image -> (N, H, W) bool.

    A pixel belongs to an instance where the bilinear value at its center is at least `threshold`;
    outside the mask the value runs to 0. Only the pixels around each box are computed, by two
    small products per chunk of boxes alike in size, for bilinear interpolation is separable.

    Source: FCNMaskHead of mmdet (grid_sample, align_corners False, zero padding), which draws the
    middle of a box's mask as a line where the box has no area; here it has no pixels.
    """
    height, width = size_hw
    words = -(-width // WORD)
    count, device = probabilities.shape[0], probabilities.device
    pasted = torch.zeros(count * height * words, dtype=torch.int64, device=device)
    boxes = boxes_xyxy.float()
    corners, sides = _crops(boxes, size_hw)
    order = sides.prod(1).argsort()
    for run, tall, wide in chunks(sides[order], CHUNK_PIXELS):
        rows = order[run]
        # A chunk's crops are as large as its largest; none may reach past the image.
        limit = corners.new_tensor([height - tall, words * WORD - wide])
        corner_yx = torch.minimum(corners[rows], limit)
        values = _interpolate(probabilities[rows].float(), boxes[rows], corner_yx, (tall, wide))
        found = (values >= threshold).view(torch.int64)  # n y x/8
        y = rows[:, None] * height + corner_yx[:, :1] + torch.arange(tall, device=device)
        x = corner_yx[:, 1:] // WORD + torch.arange(wide // WORD, device=device)
        place = y[:, :, None] * words + x[:, None, :]  # n y x/8
        pasted.scatter_(0, place.flatten(), found.flatten())
    whole = pasted.view(torch.bool).view(count, height, words * WORD)  # N H W'
    return whole[..., :width].contiguous()


def _crops(boxes: Tensor, size_hw: SizeHW) -> tuple[Tensor, Tensor]:
    """Corner and sides, (N, 2) int64 as y x, of each box with a pixel around it, in whole words;
    sides are 0 for boxes outside the image.
    """
    low = (boxes[:, :2].floor() - 1).clamp(min=0)
    high = torch.minimum(boxes[:, 2:].ceil() + 1, boxes.new_tensor([size_hw[1], size_hw[0]]))
    empty = (high <= low).any(1)
    word = boxes.new_tensor([WORD, 1])
    low = (low / word).floor() * word
    high = (high / word).ceil() * word
    sides = torch.where(empty[:, None], 0, high - low)
    return low.flip(1).to(torch.int64), sides.flip(1).to(torch.int64)


def _interpolate(values: Tensor, boxes: Tensor, corner_yx: Tensor, crop_hw: SizeHW) -> Tensor:
    """(n, h, w) values over (n, 4) boxes, at the pixel centers of crops: (n, y, x)."""
    down = _weights(boxes[:, 1], boxes[:, 3], corner_yx[:, 0], crop_hw[0], values.shape[1])
    across = _weights(boxes[:, 0], boxes[:, 2], corner_yx[:, 1], crop_hw[1], values.shape[2])
    # Autocast would make these products in half precision.
    with torch.autocast(values.device.type, enabled=False):
        return down @ values @ across.transpose(1, 2)


def _weights(low: Tensor, high: Tensor, corner: Tensor, number: int, size: int) -> Tensor:
    """(n, number, size) weights of a mask's places for the pixels from each corner on."""
    pixels = corner[:, None] + torch.arange(number, device=low.device) + 0.5
    # The same roundings as grid_sample's: to -1..1 first, then to places. Without area: infinite.
    unit = (pixels - low[:, None]) / (high - low)[:, None] * 2 - 1
    place = ((unit + 1) * size - 1) / 2  # n number
    distance = (place[..., None] - torch.arange(size, device=low.device)).abs()
    return (1 - distance).clamp(min=0)


def mask_targets(masks: Tensor, boxes_xyxy: Tensor, gt_index: Tensor, size: int) -> Tensor:
    """(P, s, s) float32 of 0 and 1: what of its object's mask lies in each bin of each box.

    Args:
        masks: (G, H, W) of 0 and 1. boxes_xyxy: (P, 4). gt_index: (P,) object of each box.

    A bin is 1 where the mean of its samples is at least a half. Source: BitmapMasks of mmdet.
    """
    if boxes_xyxy.shape[0] == 0:
        return torch.zeros(0, size, size, device=boxes_xyxy.device)
    used, place = gt_index.unique(return_inverse=True)
    bitmaps = masks[used].float()[:, None]  # used 1 H W
    boxes = boxes_xyxy.detach().float()
    rois = torch.cat([place[:, None].to(boxes.dtype), boxes], dim=1)
    return (roi_align(bitmaps, rois, size, 1.0, 0, True)[:, 0] >= 0.5).float()
