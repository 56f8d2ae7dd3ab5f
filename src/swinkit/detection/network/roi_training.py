"""What the heads of a region train on: sampled candidates, and losses of their raw outputs.

Legend: N candidates and G ground-truth objects of an image, S sampled RoIs of it, R of all images,
P positives among them, K classes, s side of a mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from swinkit.detection.boxes.assignment import Sampler, assign
from swinkit.detection.boxes.geometry import BoxCoder, giou_loss, l1, smooth_l1
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.roi_config import RoIConfig, StageConfig


@dataclass(frozen=True, eq=False)
class Sampled:
    """The RoIs of one image: positives first, each part in ascending order of the candidates.

    Attributes:
        boxes_xyxy: (S, 4), detached.
        labels: (S,) class, K for background.
        matched: (P,) number of each positive's object.
        is_object: (S,) bool, the RoI is a ground-truth box itself.
    """

    boxes_xyxy: Tensor
    labels: Tensor
    matched: Tensor
    is_object: Tensor

    @property
    def num_positive(self) -> int:
        return self.matched.shape[0]


def sample(
    candidates: Tensor,
    target: InstanceTarget,
    stage: StageConfig,
    config: RoIConfig,
    num_classes: int,
    sampler: Sampler,
) -> Sampled:
    """Assign (N, 4) candidates to objects, put the objects in front of them, and sample.

    Source: MaxIoUAssigner and RandomSampler (with `add_gt_as_proposals`) of mmdet.
    """
    assigned = assign(
        candidates,
        target.boxes_xyxy,
        positive=stage.iou,
        negative=stage.iou,
        min_positive=stage.iou,
        low_quality=config.low_quality,
        ignored=target.ignored_xyxy,
    )
    num_objects = target.boxes_xyxy.shape[0]
    own = torch.arange(1, num_objects + 1, device=assigned.device, dtype=assigned.dtype)
    assigned = torch.cat([own, assigned])
    boxes = torch.cat([target.boxes_xyxy.to(candidates.dtype), candidates])
    positive, negative = sampler(assigned, config.num_samples, config.positive_fraction)
    rows = torch.cat([positive, negative])
    matched = assigned[positive] - 1
    background = torch.full_like(negative, num_classes)
    return Sampled(
        boxes_xyxy=boxes[rows],
        labels=torch.cat([target.labels[matched], background]),
        matched=matched,
        is_object=rows < num_objects,
    )


def positives(samples: Sequence[Sampled]) -> list[Tensor]:
    """(P, 4) boxes of each image's positives."""
    return [own.boxes_xyxy[: own.num_positive] for own in samples]


def is_positive(samples: Sequence[Sampled]) -> Tensor:
    """(total S,) bool over the RoIs of all images."""
    return torch.cat(
        [
            torch.arange(own.labels.shape[0], device=own.labels.device) < own.num_positive
            for own in samples
        ]
    )


def without_objects(boxes: Sequence[Tensor], samples: Sequence[Sampled]) -> list[Tensor]:
    """Moved (S, 4) boxes of each image less those that began as ground truth."""
    return [moved[~own.is_object].detach() for moved, own in zip(boxes, samples, strict=True)]


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of (R, K + 1) logits, summed over RoIs and divided by their number."""
    return F.cross_entropy(logits, labels, reduction="sum") / max(labels.numel(), 1)


def deltas_of(deltas: Tensor, labels: Tensor) -> Tensor:
    """(N, 4 K) or (N, 4) deltas and (N,) classes -> each box's own (N, 4)."""
    if deltas.shape[-1] == 4:
        return deltas
    rows = torch.arange(labels.numel(), device=labels.device)
    return deltas.unflatten(-1, (-1, 4))[rows, labels]


def box_loss(
    deltas: Tensor,
    boxes: Tensor,
    matched_boxes: Tensor,
    labels: Tensor,
    positive: Tensor,
    coder: BoxCoder,
    config: RoIConfig,
) -> Tensor:
    """Loss of the positives' boxes, summed and divided by the number of all sampled RoIs.

    Args:
        deltas: (R, 4 K) or (R, 4). boxes: (R, 4) RoIs. matched_boxes: (P, 4) true boxes.
        labels: (R,). positive: (R,) bool.
    """
    own = deltas_of(deltas[positive], labels[positive])
    before = boxes[positive]
    if config.box_loss == "giou":
        # The reference does not clip the boxes it trains on.
        total = giou_loss(coder.decode(before, own), matched_boxes).sum()
    else:
        wanted = coder.encode(before, matched_boxes)
        total = (l1(own, wanted) if config.box_loss == "l1" else smooth_l1(own, wanted, 1.0)).sum()
    return config.box_loss_weight * total / max(labels.numel(), 1)


def mask_loss(logits: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross entropy of each positive's own class, the mean over positives and pixels.

    Args:
        logits: (P, K, s, s). labels: (P,). wanted: (P, s, s) of 0 and 1.
    """
    rows = torch.arange(labels.numel(), device=labels.device)
    own = logits[rows, labels]  # P s s
    total = F.binary_cross_entropy_with_logits(own, wanted.to(own.dtype), reduction="sum")
    return total / max(own.numel(), 1)
