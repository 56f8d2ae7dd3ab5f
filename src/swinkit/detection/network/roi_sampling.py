"""Which candidates a RoI stage trains on, image by image.

Legend: N candidates, G ground-truth objects, S sampled RoIs, P positives among them, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from swinkit.detection.boxes.assignment import Sampler, assign
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
    chosen = torch.cat([positive, negative])
    matched = assigned[positive] - 1
    background = torch.full_like(negative, num_classes)
    return Sampled(
        boxes_xyxy=boxes[chosen],
        labels=torch.cat([target.labels[matched], background]),
        matched=matched,
        is_object=chosen < num_objects,
    )


def positives(samples: Sequence[Sampled]) -> list[Tensor]:
    """(P, 4) boxes of each image's positives."""
    return [chosen.boxes_xyxy[: chosen.num_positive] for chosen in samples]


def is_positive(samples: Sequence[Sampled]) -> Tensor:
    """(total S,) bool over the RoIs of all images."""
    return torch.cat(
        [
            torch.arange(chosen.labels.shape[0], device=chosen.labels.device) < chosen.num_positive
            for chosen in samples
        ]
    )


def without_objects(boxes: Sequence[Tensor], samples: Sequence[Sampled]) -> list[Tensor]:
    """Moved (S, 4) boxes of each image less those that began as ground truth."""
    return [moved[~chosen.is_object].detach() for moved, chosen in zip(boxes, samples, strict=True)]
