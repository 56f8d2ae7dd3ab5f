"""RoI stages: one in Faster and Mask R-CNN, three in Cascade R-CNN and in HTC.

A stage pools features of its boxes, classifies and moves them; the moved boxes are the next
stage's. Scores are averaged over the stages, masks are made on the final boxes only.

Legend: B batch, H W image, C channels, N boxes of an image, R RoIs of all images, K classes,
P positives, s side of a mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from swinkit.detection.boxes.geometry import BoxCoder
from swinkit.detection.boxes.instances import RawDetections
from swinkit.detection.boxes.pooling import RoIPooling
from swinkit.detection.boxes.suppression import multiclass_nms
from swinkit.detection.config import Suppression
from swinkit.detection.network.htc import flow_features
from swinkit.detection.network.mask import MaskHead
from swinkit.detection.network.roi_losses import deltas_of
from swinkit.detection.network.semantic import fuse
from swinkit.detection.roi_config import RoIConfig, StageConfig
from swinkit.errors import ConfigError
from swinkit.settings import SizeHW


def to_rois(boxes: Sequence[Tensor]) -> Tensor:
    """(N, 4) boxes of each image -> (R, 5): number of the image, box."""
    return torch.cat(
        [
            torch.cat([own.new_full((own.shape[0], 1), image), own], dim=1)
            for image, own in enumerate(boxes)
        ]
    )


@dataclass(frozen=True, eq=False)
class RoIStages:
    """The heads of all stages together with how they pool; holds no weights of its own.

    Attributes:
        pool_boxes, pool_masks: from the pyramid. pool_semantic: from the semantic features, at
            the side of mask features.
        semantic_features: `B C h w`, or None.
    """

    config: RoIConfig
    num_classes: int
    box_heads: nn.ModuleList
    mask_heads: nn.ModuleList
    pool_boxes: RoIPooling
    pool_masks: RoIPooling | None
    pool_semantic: RoIPooling | None
    semantic_features: Tensor | None = None

    def box_outputs(
        self, stage: int, maps: Sequence[Tensor], rois: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(R, 5) RoIs -> logits (R, K + 1) and deltas (R, 4 K or 4) of one stage."""
        pooled = fuse(self.pool_boxes(maps, rois), self._semantic(rois))
        logits, deltas = self.box_heads[stage](pooled)
        return logits, deltas

    def mask_features(self, maps: Sequence[Tensor], rois: Tensor) -> Tensor:
        """(R, 5) RoIs -> pooled features for the mask heads."""
        if self.pool_masks is None:
            raise ConfigError("this detector has no mask heads; choose a kind with masks")
        return fuse(self.pool_masks(maps, rois), self._semantic(rois))

    def move(
        self,
        stage: int,
        boxes: Sequence[Tensor],
        logits: Tensor,
        deltas: Tensor,
        sizes_hw: Sequence[SizeHW],
        labels: Tensor | None = None,
    ) -> list[Tensor]:
        """Boxes of each image moved by this stage's deltas and clipped to the image.

        The deltas are those of the best class that is not background, or of `labels` (R,)
        where these name a class.
        """
        best = logits[:, :-1].argmax(1)
        if labels is not None:
            best = torch.where(labels < self.num_classes, labels, best)
        coder = coder_of(self.config.stages[stage])
        counts = [own.shape[0] for own in boxes]
        return [
            coder.decode(own, moved, size_hw)
            for own, moved, size_hw in zip(
                boxes, deltas_of(deltas, best).split(counts), sizes_hw, strict=True
            )
        ]

    def detect(
        self,
        maps: Sequence[Tensor],
        proposals: Sequence[Tensor],
        sizes_hw: Sequence[SizeHW],
        *,
        score_threshold: float,
        suppression: Suppression,
        max_per_image: int,
    ) -> list[RawDetections]:
        """Detections of each image from its (N, 4) proposals; boxes in pixels of the input."""
        boxes, scores = self.classify(maps, proposals, sizes_hw)
        found = [
            multiclass_nms(
                own_boxes,
                own_scores,
                score_threshold=score_threshold,
                suppression=suppression,
                max_per_image=max_per_image,
            )[:3]
            for own_boxes, own_scores in zip(boxes, scores, strict=True)
        ]
        masks: list[Tensor | None] = [None] * len(found)
        if len(self.mask_heads):
            masks = list(self.masks(maps, [own[0] for own in found], [own[2] for own in found]))
        return [
            RawDetections(
                boxes_xyxy=own_boxes, scores=own_scores, labels=labels, mask_probabilities=own_masks
            )
            for (own_boxes, own_scores, labels), own_masks in zip(found, masks, strict=True)
        ]

    def classify(
        self, maps: Sequence[Tensor], proposals: Sequence[Tensor], sizes_hw: Sequence[SizeHW]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run all stages: boxes (N, 4 K or 4) and probabilities (N, K + 1) of each image."""
        boxes = list(proposals)
        stage_logits: list[Tensor] = []
        deltas = boxes[0].new_zeros(0)
        for stage in range(len(self.box_heads)):
            if stage > 0:
                boxes = self.move(stage - 1, boxes, stage_logits[-1], deltas, sizes_hw)
            logits, deltas = self.box_outputs(stage, maps, to_rois(boxes))
            stage_logits.append(logits)
        return self.finish(boxes, stage_logits, deltas, sizes_hw)

    def finish(
        self,
        boxes: Sequence[Tensor],
        stage_logits: Sequence[Tensor],
        deltas: Tensor,
        sizes_hw: Sequence[SizeHW],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Softmax of the mean of the stages' logits, boxes of the last stage, image by image."""
        probabilities = (sum(stage_logits[1:], stage_logits[0]) / len(stage_logits)).softmax(-1)
        coder = coder_of(self.config.stages[-1])
        counts = [own.shape[0] for own in boxes]
        decoded = [
            coder.decode(own, moved, size_hw)
            for own, moved, size_hw in zip(boxes, deltas.split(counts), sizes_hw, strict=True)
        ]
        return decoded, list(probabilities.split(counts))

    def masks(
        self, maps: Sequence[Tensor], boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """(N, s, s) mask probabilities of each image's detections, for their own class."""
        classes = torch.cat(list(labels))
        counts = [own.shape[0] for own in boxes]
        features = self._stage_features(maps, to_rois(boxes))
        merged: Tensor | None = None
        for head, own in features:
            probabilities = head.label_logits(own, classes).sigmoid()
            merged = probabilities if merged is None else merged + probabilities
        assert merged is not None
        return (merged / len(features)).split(counts)

    def _stage_features(
        self, maps: Sequence[Tensor], rois: Tensor
    ) -> list[tuple[MaskHead, Tensor]]:
        """The heads whose masks count, each with its features."""
        heads = mask_heads_of(self.mask_heads)
        pooled = self.mask_features(maps, rois)
        assert self.config.mask is not None
        last_only = self.config.mask.merge == "last"
        if self.config.mask.flow:
            found = list(zip(heads, flow_features(heads, pooled), strict=True))
            return found[-1:] if last_only else found
        return [(head, head.features(pooled)) for head in (heads[-1:] if last_only else heads)]

    def _semantic(self, rois: Tensor) -> Tensor | None:
        if self.pool_semantic is None or self.semantic_features is None:
            return None
        return self.pool_semantic([self.semantic_features], rois)


def coder_of(stage: StageConfig) -> BoxCoder:
    return BoxCoder(stage.stds)


def mask_heads_of(heads: nn.ModuleList) -> list[MaskHead]:
    return [head for head in heads if isinstance(head, MaskHead)]
