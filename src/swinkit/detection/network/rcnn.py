"""R-CNNs: region proposals, then heads that classify and refine them, in one stage or in several.

Faster and Mask R-CNN (1506.01497, 1703.06870), Cascade R-CNN (1712.00726), HTC (1901.07518).

Legend: B batch, H W image, C channels, N boxes of an image, R sampled RoIs of all images,
P positives among them, K classes, s side of a mask.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from swinkit.detection.boxes.assignment import Sampler
from swinkit.detection.boxes.batch import BatchDetections, limits_of
from swinkit.detection.boxes.geometry import BoxCoder
from swinkit.detection.boxes.instances import InstanceTarget, RawDetections
from swinkit.detection.boxes.masks import mask_targets
from swinkit.detection.boxes.suppression import pairs_above
from swinkit.detection.config import RCNNConfig
from swinkit.detection.network.base import FPN, Features, Targets
from swinkit.detection.network.htc import flow_features, paint
from swinkit.detection.network.roi_heads import RoIHeads, to_rois
from swinkit.detection.network.roi_training import (
    Sampled,
    box_loss,
    class_loss,
    is_positive,
    mask_loss,
    positives,
    sample,
    without_objects,
)
from swinkit.detection.network.rpn import RPNHead
from swinkit.errors import ConfigError
from swinkit.settings import SizeHW


class RCNN(RoIHeads):
    """Backbone, pyramid, region proposals and the heads of every stage.

    Args:
        config: architecture.
    """

    def __init__(self, config: RCNNConfig) -> None:
        super().__init__(config)
        channels, levels = config.fpn_channels, config.num_levels
        self.fpn = FPN(config.backbone.channels, channels, levels, extra="pool")
        self.rpn = RPNHead(channels, config.rpn, self.strides)
        self.add_heads()

    def features_of(self, maps: Sequence[Tensor]) -> Features:
        levels = self.pyramid_of(maps)
        return Features(levels, None if self.semantic is None else self.semantic(levels)[1])

    def class_probability(
        self, features: Features, box_xyxy: Tensor, label: int, size_hw: SizeHW
    ) -> Callable[[Features], Tensor]:
        def probability(features: Features) -> Tensor:
            count = features.maps[0].shape[0]
            boxes = [box_xyxy[None]] * count  # as if the region proposals were this box
            _, found = self.classify(features, boxes, [size_hw] * count)
            return torch.stack([own[0, label] for own in found])

        return probability

    def propose(self, features: Features, sizes_hw: Sequence[SizeHW]) -> list[Tensor]:
        """(N, 4) boxes of each image that may hold an object, best first."""
        rpn = self.config.rpn
        outputs = self.rpn(features.maps)
        found = self.rpn.propose(outputs, sizes_hw, rpn.test_pre_nms, rpn.test_proposals)
        return [boxes for boxes, _ in found]

    def candidates(
        self, features: Features, sizes_hw: Sequence[SizeHW], score_threshold: float
    ) -> list[RawDetections]:
        boxes, scores = self.classify(features, self.propose(features, sizes_hw), sizes_hw)
        return [
            pairs_above(own_boxes, own_scores, score_threshold)[0]
            for own_boxes, own_scores in zip(boxes, scores, strict=True)
        ]

    def candidates_in_batch(
        self, features: Features, sizes_hw: Tensor, score_threshold: float
    ) -> BatchDetections:
        rpn, limits = self.config.rpn, limits_of(sizes_hw)
        outputs = self.rpn(features.maps)
        proposals = self.rpn.propose_in_batch(outputs, limits, rpn.test_pre_nms, rpn.test_proposals)
        boxes, scores = self.classify_in_batch(features, proposals, limits)
        found, rows = pairs_above(boxes, scores, score_threshold)
        return BatchDetections(
            boxes_xyxy=found.boxes_xyxy,
            scores=found.scores,
            labels=found.labels,
            image=proposals.image.index_select(0, rows),
        )

    def batch_losses(
        self, images: Tensor, targets: Targets, sampler: Sampler, semantic_maps: Tensor | None
    ) -> dict[str, Tensor]:
        maps = self.pyramid(images)
        rpn, outputs = self.config.rpn, self.rpn(maps)
        sizes_hw = [target.size_hw for target in targets]
        found = self.rpn.propose(outputs, sizes_hw, rpn.train_pre_nms, rpn.train_proposals)
        losses = self.rpn.losses(outputs, targets, sampler)
        if self.semantic is not None and semantic_maps is None:
            size_hw = (images.shape[2], images.shape[3])
            config = self.semantic.config
            semantic_maps = paint(targets, size_hw, config, self.num_classes, images.device)
        proposals = [boxes for boxes, _ in found]
        return losses | self.head_losses(maps, proposals, targets, sampler, semantic_maps)

    def head_losses(
        self,
        maps: list[Tensor],
        proposals: Sequence[Tensor],
        targets: Sequence[InstanceTarget],
        sampler: Sampler,
        semantic_maps: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses of the semantic branch and of every stage on given (N, 4) proposals.

        Gradients reach every weight, as zeros where there is nothing to learn from.

        Args:
            maps: of the pyramid.
            semantic_maps: (B, H, W) int64; needed with a semantic branch.

        Raises:
            ConfigError: mask heads and targets without masks.
        """
        losses: dict[str, Tensor] = {}
        features = Features(maps)
        if self.semantic is not None:
            if semantic_maps is None:
                raise ConfigError("the semantic branch needs semantic maps to train on")
            logits, semantic = self.semantic(maps)
            stride = self.strides[self.semantic.config.level]
            losses["semantic"] = self.semantic.loss(logits, semantic_maps, stride)
            features = Features(maps, semantic)
        candidates = list(proposals)
        for stage in range(len(self.box_heads)):
            own, candidates = self.stage_losses(stage, features, candidates, targets, sampler)
            losses |= own
        return losses

    def stage_losses(
        self,
        stage: int,
        features: Features,
        candidates: Sequence[Tensor],
        targets: Sequence[InstanceTarget],
        sampler: Sampler,
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Weighted losses of one stage, "s0_class", "s0_box", "s0_mask" of the first.

        Masks train on the positives of their stage or, interleaved (HTC), on positives sampled
        anew from the boxes that the stage has moved.

        Returns:
            Losses, and the moved (N, 4) boxes of each image, from which the next stage samples.
        """
        weight = self.config.roi.stages[stage].loss_weight
        samples = self._sample(stage, candidates, targets, sampler)
        boxes = [own.boxes_xyxy for own in samples]
        labels = torch.cat([own.labels for own in samples])
        rois = to_rois(boxes)
        outputs = self.box_outputs(stage, features, _one_at_least(rois))
        logits, deltas = (values[: rois.shape[0]] for values in outputs)
        losses = {
            f"s{stage}_class": weight * class_loss(logits, labels),
            f"s{stage}_box": weight * self._box_loss(stage, deltas, labels, samples, targets),
        }
        moved: list[Tensor] = []
        interleaved = self.config.roi.interleaved
        if interleaved or stage + 1 < len(self.box_heads):
            with torch.no_grad():
                sizes_hw = [target.size_hw for target in targets]
                moved = self.move(stage, boxes, logits, deltas, sizes_hw, labels)
                moved = without_objects(moved, samples)
        if len(self.mask_heads):
            if interleaved:
                samples = self._sample(stage, moved, targets, sampler)
            losses[f"s{stage}_mask"] = weight * self._mask_loss(stage, features, samples, targets)
        return losses, moved

    def _sample(
        self,
        stage: int,
        candidates: Sequence[Tensor],
        targets: Sequence[InstanceTarget],
        sampler: Sampler,
    ) -> list[Sampled]:
        roi = self.config.roi
        return [
            sample(own, target, roi.stages[stage], roi, self.num_classes, sampler)
            for own, target in zip(candidates, targets, strict=True)
        ]

    def _box_loss(
        self,
        stage: int,
        deltas: Tensor,
        labels: Tensor,
        samples: Sequence[Sampled],
        targets: Sequence[InstanceTarget],
    ) -> Tensor:
        matched = [
            target.boxes_xyxy[own.matched] for own, target in zip(samples, targets, strict=True)
        ]
        return box_loss(
            deltas,
            torch.cat([own.boxes_xyxy for own in samples]),
            torch.cat(matched),
            labels,
            is_positive(samples),
            BoxCoder(self.config.roi.stages[stage].stds),
            self.config.roi,
        )

    def _mask_loss(
        self,
        stage: int,
        features: Features,
        samples: Sequence[Sampled],
        targets: Sequence[InstanceTarget],
    ) -> Tensor:
        boxes = positives(samples)
        rois = to_rois(boxes)
        pooled = self.mask_features(features, _one_at_least(rois))
        heads = self.mask_chain(stage)
        inputs = flow_features(heads, pooled)[-1]
        logits = heads[-1].all_logits(inputs)[: rois.shape[0]]  # P K s s
        labels = torch.cat([own.labels[: own.num_positive] for own in samples])
        wanted = [
            _true_masks(target, own_boxes, own.matched, logits.shape[-1])
            for target, own_boxes, own in zip(targets, boxes, samples, strict=True)
        ]
        true_masks = torch.cat(wanted)
        if any(target.box_only is not None for target in targets):
            taught = torch.cat(
                [
                    _has_outline(own.matched, target)
                    for own, target in zip(samples, targets, strict=True)
                ]
            )
            logits, labels, true_masks = logits[taught], labels[taught], true_masks[taught]
        return mask_loss(logits, labels, true_masks)


def _has_outline(matched: Tensor, target: InstanceTarget) -> Tensor:
    """(P,) bool: positives whose object is known by more than its box."""
    if target.box_only is None:
        return torch.ones_like(matched, dtype=torch.bool)
    return ~target.box_only[matched]


def _true_masks(target: InstanceTarget, boxes: Tensor, matched: Tensor, size: int) -> Tensor:
    """(P, size, size) true masks of an image's positives."""
    if boxes.shape[0] == 0:
        return boxes.new_zeros(0, size, size)
    if target.masks is None:
        raise ConfigError("a detector with mask heads trains on masks; the data has boxes only")
    return mask_targets(target.masks, boxes, matched, size)


def _one_at_least(rois: Tensor) -> Tensor:
    """(R, 5) RoIs, or a placeholder for none: batch norm and DDP need one to work on."""
    return rois if rois.shape[0] else rois.new_tensor([[0.0, 0.0, 0.0, 32.0, 32.0]])
