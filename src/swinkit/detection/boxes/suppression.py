"""Suppression of detections that overlap better ones, group by group (class or pyramid level).

Legend: N boxes, R RoIs, K classes.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torchvision.ops import nms

from swinkit.detection.boxes.geometry import areas
from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.config import OutputConfig, Suppression

# From this many boxes on the reference suppresses each group on boxes that it has not moved apart.
MOVED_APART_BELOW = 10_000


def move_apart(boxes_xyxy: Tensor, groups: Tensor) -> Tensor:
    """(N, 4) boxes shifted by their group's number so that boxes of two groups never overlap.

    The shift costs bits of the coordinates; it is the reference's (batched_nms of mmcv), so that
    overlaps right at a threshold fall on the same side.
    """
    if boxes_xyxy.numel() == 0:
        return boxes_xyxy
    return boxes_xyxy + (groups.to(boxes_xyxy.dtype) * (boxes_xyxy.max() + 1))[:, None]


def grouped_nms(boxes_xyxy: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Indices of the boxes that are kept, best first: (N, 4), (N,), (N,) -> (kept,).

    A box goes when it overlaps a better one of its group by more than `iou`.
    """
    boxes_xyxy, scores = boxes_xyxy.float(), scores.float()
    if boxes_xyxy.shape[0] < MOVED_APART_BELOW:
        boxes_xyxy = move_apart(boxes_xyxy, groups)
        if boxes_xyxy.device.type != "cpu":
            return nms(boxes_xyxy, scores, iou)
    # The cost of one call grows with the square of its boxes: one call per group.
    kept = torch.zeros_like(groups, dtype=torch.bool)
    order = groups.argsort(stable=True)
    counts = torch.unique_consecutive(groups[order], return_counts=True)[1]
    for rows in order.split(counts.tolist()):
        kept[rows[nms(boxes_xyxy[rows], scores[rows], iou)]] = True
    best_first = scores.argsort(descending=True, stable=True)
    return best_first[kept[best_first]]


def soft_nms(
    boxes_xyxy: Tensor,
    scores: Tensor,
    groups: Tensor,
    suppression: Suppression,
    max_number: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Take the best box, lower the scores of those of its group that it overlaps, and again.

    Returns:
        Lowered scores and indices of the boxes taken, in the order they were, each (kept,); boxes
        whose score falls below the least are not among them, and no more than `max_number` are.

    Source: 1704.04503; softnms of mmcv.
    """
    boxes = move_apart(boxes_xyxy.float(), groups)
    left = scores.float().clone()
    steps = left.numel() if max_number is None else min(max_number, left.numel())
    taken = torch.empty(steps, dtype=torch.int64, device=left.device)
    final = torch.empty(steps, dtype=left.dtype, device=left.device)
    sides = tuple(side.contiguous() for side in boxes.unbind(1))
    own_area = areas(boxes)
    for step in range(steps):
        best = left.argmax().view(1)
        taken[step : step + 1], final[step : step + 1] = best, left[best]
        overlap = _overlap_with(sides, own_area, best)
        if suppression.method == "gaussian":
            left *= torch.exp(-(overlap * overlap) / suppression.sigma)
        else:
            left *= torch.where(overlap >= suppression.iou, 1 - overlap, 1.0)
        left.index_fill_(0, best, -1.0).masked_fill_(left < suppression.min_score, -1.0)
    sound = final >= suppression.min_score
    return final[sound], taken[sound]


def _overlap_with(sides: tuple[Tensor, ...], own_area: Tensor, best: Tensor) -> Tensor:
    """(N,) IoU with the box at index `best` (1,), of boxes given as four (N,) coordinates; rounded
    as the reference's C++ does.
    """
    x1, y1, x2, y2 = sides
    width = torch.minimum(x2, x2[best]).sub_(torch.maximum(x1, x1[best])).clamp_(min=0)
    height = torch.minimum(y2, y2[best]).sub_(torch.maximum(y1, y1[best])).clamp_(min=0)
    shared = width.mul_(height)
    union = own_area[best] + own_area - shared
    # Two boxes without area: 0 / 0.
    return shared.div_(union).nan_to_num_(nan=0.0)


def best_detections(candidates: RawDetections, output: OutputConfig) -> RawDetections:
    """An image's candidates, suppressed within their class; best first."""
    scores, kept = suppress(candidates, output.suppression, output.max_per_image)
    return replace(candidates.select(kept), scores=scores)


def suppress(
    candidates: RawDetections, suppression: Suppression, max_number: int
) -> tuple[Tensor, Tensor]:
    """Scores (lowered by the soft methods) and indices of those that are kept, best first."""
    boxes, scores, labels = candidates.boxes_xyxy, candidates.scores, candidates.labels
    if suppression.method == "hard":
        kept = grouped_nms(boxes, scores, labels, suppression.iou)[:max_number]
        return scores[kept], kept
    return soft_nms(boxes, scores, labels, suppression, max_number)


def pairs_above(boxes: Tensor, scores: Tensor, threshold: float) -> tuple[RawDetections, Tensor]:
    """Every pair of RoI and class that scores higher than `threshold`, and (N,) its RoI.

    Args:
        boxes: (R, 4), one for all classes, or (R, K * 4).
        scores: (R, K + 1), background last.
    """
    boxes, scores = boxes.float(), scores[:, :-1].float()
    rows, labels = (scores > threshold).nonzero(as_tuple=True)
    if boxes.shape[1] > 4:
        places = boxes.reshape(-1, 4).index_select(0, rows * scores.shape[1] + labels)
    else:
        places = boxes.index_select(0, rows)
    return RawDetections(boxes_xyxy=places, scores=scores[rows, labels], labels=labels), rows
