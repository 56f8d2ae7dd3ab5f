"""How much boxes overlap. Sides are x2 - x1, without a pixel more.

Legend: N, M numbers of boxes.
"""

import torch
from torch import Tensor

# Floor of unions and areas: boxes without area overlap nothing, and nothing divides by zero.
EPSILON = 1e-6


def areas(boxes_xyxy: Tensor) -> Tensor:
    """`... 4` -> `...`."""
    return (boxes_xyxy[..., 2] - boxes_xyxy[..., 0]) * (boxes_xyxy[..., 3] - boxes_xyxy[..., 1])


@torch.no_grad()
def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """(N, M) intersection over union of (N, 4) with (M, 4) boxes_xyxy; 0 for boxes without area.

    Not differentiable, as overlaps decide and do not train; `giou` is.
    """
    first, second = first.float(), second.float()
    shared = _pairwise_intersection(first, second)
    union = (areas(first)[:, None] + areas(second)[None]).sub_(shared).clamp_(min=EPSILON)
    return shared.div_(union)


@torch.no_grad()
def pairwise_coverage(first: Tensor, second: Tensor) -> Tensor:
    """(N, M) part of each of the (N, 4) boxes that each of the (M, 4) boxes covers (IoF)."""
    first, second = first.float(), second.float()
    shared = _pairwise_intersection(first, second)
    return shared.div_(areas(first)[:, None].clamp(min=EPSILON))


def giou(first: Tensor, second: Tensor) -> Tensor:
    """(N,) generalised IoU of (N, 4) boxes_xyxy, in -1..1, row by row; differentiable.

    IoU less the part of the enclosing box that the union leaves free (1902.09630); unions and
    enclosing areas are floored at 1e-6, as in mmdet.
    """
    first, second = first.float(), second.float()
    low = torch.maximum(first[:, :2], second[:, :2])
    high = torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (areas(first) + areas(second) - shared).clamp(min=EPSILON)
    low = torch.minimum(first[:, :2], second[:, :2])
    high = torch.maximum(first[:, 2:], second[:, 2:])
    enclosing = (high - low).clamp(min=0).prod(1).clamp(min=EPSILON)
    return shared / union - (enclosing - union) / enclosing


def _pairwise_intersection(first: Tensor, second: Tensor) -> Tensor:
    """(N, M), one coordinate at a time: a quarter of the memory of (N, M, 2) corners."""
    a, b = first.unbind(1), second.unbind(1)
    sides = [
        torch.minimum(a[axis + 2][:, None], b[axis + 2][None])
        .sub_(torch.maximum(a[axis][:, None], b[axis][None]))
        .clamp_(min=0)
        for axis in range(2)
    ]
    return sides[0].mul_(sides[1])
