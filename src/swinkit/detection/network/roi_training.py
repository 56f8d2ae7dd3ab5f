"""Training the RoI stages: each samples the boxes that the stage before moved.

Legend: C channels, N boxes of an image, R sampled RoIs of all images, K classes, P positives.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from swinkit.detection.boxes.assignment import Sampler
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.boxes.masks import mask_targets
from swinkit.detection.network.htc import flow_features
from swinkit.detection.network.roi_heads import RoIStages, coder_of, mask_heads_of, to_rois
from swinkit.detection.network.roi_losses import box_loss, class_loss, mask_loss
from swinkit.detection.network.roi_sampling import (
    Sampled,
    is_positive,
    positives,
    sample,
    without_objects,
)
from swinkit.detection.roi_config import StageConfig
from swinkit.errors import ConfigError


def roi_losses(
    stages: RoIStages,
    maps: Sequence[Tensor],
    proposals: Sequence[Tensor],
    targets: Sequence[InstanceTarget],
    sampler: Sampler,
) -> dict[str, Tensor]:
    """Losses of every stage, weighted: "s0_class", "s0_box", "s0_mask", "s1_class", ...

    Masks train on the positives of their stage or, interleaved (HTC), on positives sampled anew
    from the boxes that the stage has moved; the next stage samples from the same moved boxes.
    Gradients reach every weight, as zeros where there is nothing to learn from.

    Args:
        maps: pyramid. proposals: (N, 4) boxes of each image, in pixels of the input.

    Raises:
        ConfigError: mask heads and targets without masks.
    """
    losses: dict[str, Tensor] = {}
    sizes_hw = [target.size_hw for target in targets]
    interleaved = stages.config.interleaved
    candidates = list(proposals)
    for number, stage in enumerate(stages.config.stages):
        samples = _sample(stages, candidates, targets, stage, sampler)
        boxes = [chosen.boxes_xyxy for chosen in samples]
        logits, deltas = _outputs(stages, number, maps, to_rois(boxes))
        losses |= _box_losses(stages, number, samples, targets, logits, deltas)
        if interleaved or number + 1 < len(stages.config.stages):
            labels = torch.cat([chosen.labels for chosen in samples])
            with torch.no_grad():
                moved = stages.move(number, boxes, logits, deltas, sizes_hw, labels)
                candidates = without_objects(moved, samples)
        if len(stages.mask_heads):
            if interleaved:
                samples = _sample(stages, candidates, targets, stage, sampler)
            mask = _mask_loss(stages, number, maps, samples, targets)
            losses[f"s{number}_mask"] = stage.loss_weight * mask
    return losses


def _sample(
    stages: RoIStages,
    candidates: Sequence[Tensor],
    targets: Sequence[InstanceTarget],
    stage: StageConfig,
    sampler: Sampler,
) -> list[Sampled]:
    return [
        sample(own, target, stage, stages.config, stages.num_classes, sampler)
        for own, target in zip(candidates, targets, strict=True)
    ]


def _outputs(
    stages: RoIStages, number: int, maps: Sequence[Tensor], rois: Tensor
) -> tuple[Tensor, Tensor]:
    logits, deltas = stages.box_outputs(number, maps, _one_at_least(rois))
    return logits[: rois.shape[0]], deltas[: rois.shape[0]]


def _box_losses(
    stages: RoIStages,
    number: int,
    samples: Sequence[Sampled],
    targets: Sequence[InstanceTarget],
    logits: Tensor,
    deltas: Tensor,
) -> dict[str, Tensor]:
    stage = stages.config.stages[number]
    labels = torch.cat([chosen.labels for chosen in samples])
    matched = torch.cat(
        [target.boxes_xyxy[chosen.matched] for chosen, target in zip(samples, targets, strict=True)]
    )
    box = box_loss(
        deltas,
        torch.cat([chosen.boxes_xyxy for chosen in samples]),
        matched,
        labels,
        is_positive(samples),
        coder_of(stage),
        stages.config,
    )
    return {
        f"s{number}_class": stage.loss_weight * class_loss(logits, labels),
        f"s{number}_box": stage.loss_weight * box,
    }


def _mask_loss(
    stages: RoIStages,
    number: int,
    maps: Sequence[Tensor],
    samples: Sequence[Sampled],
    targets: Sequence[InstanceTarget],
) -> Tensor:
    boxes = positives(samples)
    rois = to_rois(boxes)
    pooled = stages.mask_features(maps, _one_at_least(rois))
    heads = mask_heads_of(stages.mask_heads)
    flows = stages.config.mask is not None and stages.config.mask.flow
    chain = heads[0 if flows else number : number + 1]
    features = flow_features(chain, pooled)[-1]
    logits = heads[number].all_logits(features)[: rois.shape[0]]  # P K s s
    labels = torch.cat([chosen.labels[: chosen.num_positive] for chosen in samples])
    wanted = [
        _mask_targets(target, own, chosen.matched, logits.shape[-1])
        for target, own, chosen in zip(targets, boxes, samples, strict=True)
    ]
    return mask_loss(logits, labels, torch.cat(wanted))


def _mask_targets(target: InstanceTarget, boxes: Tensor, matched: Tensor, size: int) -> Tensor:
    """(P, size, size) true masks of an image's positives."""
    if boxes.shape[0] == 0:
        return boxes.new_zeros(0, size, size)
    if target.masks is None:
        raise ConfigError("a detector with mask heads trains on masks; the data has boxes only")
    return mask_targets(target.masks, boxes, matched, size)


def _one_at_least(rois: Tensor) -> Tensor:
    """(R, 5) RoIs, or a placeholder for none: batch norm and DDP need one to work on."""
    return rois if rois.shape[0] else rois.new_tensor([[0.0, 0.0, 0.0, 32.0, 32.0]])
