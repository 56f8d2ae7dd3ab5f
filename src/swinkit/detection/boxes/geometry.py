"""Arithmetic on boxes_xyxy, in float32: overlap, coding as offsets, losses per element.

Sides are x2 - x1, without a pixel more. Heads choose what of the losses they sum and divide by.

Legend: N, M numbers of boxes, K classes.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from swinkit.settings import SizeHW

# Floor of unions and areas: boxes without area overlap nothing, and nothing divides by zero.
EPSILON = 1e-6
# A box may become at most 1000 / 16 times larger or smaller than its anchor.
MAX_LOG_RATIO = abs(math.log(16 / 1000))


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
    """(N,) generalized IoU of (N, 4) boxes_xyxy, in -1..1, row by row; differentiable.

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


@dataclass(frozen=True)
class BoxCoder:
    """Shift of the center in units of the anchor's sides, and logarithm of the ratio of the sides.

    dx = (x - xa) / wa, dy = (y - ya) / ha, dw = log(w / wa), dh = log(h / ha), each divided by its
    standard deviation. Computed in float32 whatever comes in.

    Source: R-CNN (1311.2524, appendix C); DeltaXYWHBBoxCoder of mmdet.
    """

    stds: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    def encode(self, anchors: Tensor, boxes: Tensor) -> Tensor:
        """(N, 4) boxes_xyxy seen from (N, 4) anchors -> (N, 4) deltas; both with area > 0."""
        anchors, boxes = anchors.float(), boxes.float()
        sides, box_sides = anchors[:, 2:] - anchors[:, :2], boxes[:, 2:] - boxes[:, :2]
        centers = (anchors[:, :2] + anchors[:, 2:]) * 0.5
        box_centers = (boxes[:, :2] + boxes[:, 2:]) * 0.5
        shift = (box_centers - centers) / sides
        growth = torch.log(box_sides / sides)
        return torch.cat([shift, growth], dim=1) / anchors.new_tensor(self.stds)

    def decode(self, anchors: Tensor, deltas: Tensor, size_hw: SizeHW | None = None) -> Tensor:
        """(N, 4) anchors moved by (N, 4) or (N, K * 4) deltas -> boxes_xyxy of the deltas' shape.

        With `size_hw` the boxes are clipped to the image, 0..width and 0..height.
        """
        anchors, moves = anchors.float(), deltas.float()
        count = anchors.shape[0]
        moves = moves.reshape(count, moves.shape[1] // 4, 4) * moves.new_tensor(self.stds)  # N K 4
        centers = ((anchors[:, :2] + anchors[:, 2:]) * 0.5)[:, None]  # N 1 2
        sides = (anchors[:, 2:] - anchors[:, :2])[:, None]  # N 1 2
        centers = centers + sides * moves[..., :2]
        sides = sides * moves[..., 2:].clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
        boxes = torch.cat([centers - sides * 0.5, centers + sides * 0.5], dim=-1)
        if size_hw is not None:
            boxes = clip(boxes, size_hw)
        return boxes.reshape(deltas.shape)

    def decode_rows(self, anchors: Tensor, deltas: Tensor, rows: Tensor) -> Tensor:
        """Boxes `B k 4`: those rows `B k` of the anchors (L, 4), moved by theirs of `B L 4`."""
        moves = deltas.gather(1, rows[..., None].expand(-1, -1, 4))  # B k 4
        return self.decode(anchors[rows].flatten(0, 1), moves.flatten(0, 1)).view_as(moves)


def clip(boxes_xyxy: Tensor, size_hw: SizeHW) -> Tensor:
    """Boxes, `... 4`, clipped to 0..width and 0..height."""
    height, width = size_hw
    return clip_to(boxes_xyxy, boxes_xyxy.new_tensor([width, height, width, height]))


def clip_to(boxes_xyxy: Tensor, limit: Tensor) -> Tensor:
    """Boxes, `... 4`, clipped to 0 and to the largest x, y, x, y, of a shape that fits theirs."""
    return torch.minimum(boxes_xyxy.clamp(min=0), limit)


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """|prediction - target|, any equal shapes."""
    return (prediction.float() - target.float()).abs()


def smooth_l1(prediction: Tensor, target: Tensor, beta: float) -> Tensor:
    """L1 that is quadratic below `beta` (1504.08083); plain L1 for beta 0. Any equal shapes."""
    return F.smooth_l1_loss(prediction.float(), target.float(), reduction="none", beta=beta)


def giou_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """(N,) 1 - generalized IoU of (N, 4) boxes_xyxy, in 0..2 (1902.09630)."""
    return 1 - giou(prediction, target)


def sigmoid_focal(
    logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """(N, K) focal loss of (N, K) logits (1708.02002, equation 5).

    Args:
        labels: (N,) classes; K means background, no class at all.
    """
    wanted = torch.zeros(logits.shape[0], logits.shape[1] + 1, device=logits.device)
    wanted = wanted.scatter_(1, labels[:, None], 1.0)[:, :-1]
    return sigmoid_focal_loss(logits.float(), wanted, alpha=alpha, gamma=gamma, reduction="none")


def chunks(sides: Tensor, limit: int) -> list[tuple[slice, int, int]]:
    """Cut (N, 2) sides, ordered by area, into runs that are worked on at their largest sides.

    Returns:
        For each run its place, and its largest first and second side; their product times the
        number in the run is at most `limit`, unless a run has one member only. Members without
        area are left out where they stand first.
    """
    found: list[tuple[slice, int, int]] = []
    begin, tall, wide = 0, 0, 0
    for place, (own_tall, own_wide) in enumerate(sides.tolist()):
        taller, wider = max(tall, own_tall), max(wide, own_wide)
        if place > begin and taller * wider * (place + 1 - begin) > limit:
            found.append((slice(begin, place), tall, wide))
            begin, taller, wider = place, own_tall, own_wide
        tall, wide = taller, wider
    if tall * wide > 0:
        found.append((slice(begin, len(sides)), tall, wide))
    return found
