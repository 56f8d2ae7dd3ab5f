"""The heads behind the region proposals: one stage in Faster and Mask R-CNN, three in a cascade.

A stage pools features of its boxes, classifies and moves them; the moved boxes are the next
stage's. Scores are averaged over the stages, masks are made on the final boxes only.

Legend: B batch, H W image, C channels, N boxes of an image, R RoIs of all images, K classes,
P positives, s side of a mask.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from swinkit.detection.boxes.batch import BatchDetections
from swinkit.detection.boxes.geometry import BoxCoder, clip_to
from swinkit.detection.boxes.pooling import RoIPooling
from swinkit.detection.config import RCNNConfig
from swinkit.detection.network.base import DetectionNetwork, Features
from swinkit.detection.network.heads import BoxHead, MaskHead
from swinkit.detection.network.htc import SemanticBranch, flow_features, fuse
from swinkit.detection.network.roi_training import deltas_of
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


class RoIHeads(DetectionNetwork):
    """A network whose box and mask heads, one of each per stage, work on given boxes.

    Args:
        config: architecture.
    """

    config: RCNNConfig

    def __init__(self, config: RCNNConfig) -> None:
        super().__init__(config)
        roi, strides = config.roi, config.backbone.strides
        self.box_heads, self.mask_heads = nn.ModuleList(), nn.ModuleList()
        self.semantic: SemanticBranch | None = None
        self.pool_boxes = RoIPooling(roi.box.roi_size, strides)
        self.pool_masks = RoIPooling(roi.mask.roi_size, strides) if roi.mask else None

    def add_heads(self) -> None:
        """Make all heads; after the other modules, so that a seed keeps giving the same weights."""
        roi, channels, num_classes = self.config.roi, self.config.fpn_channels, self.num_classes
        for number in range(len(roi.stages)):
            self.box_heads.append(BoxHead(channels, num_classes, roi.box))
            if roi.mask is not None:
                flow = roi.mask.flow and number > 0
                self.mask_heads.append(MaskHead(channels, num_classes, roi.mask, flow=flow))
        if roi.semantic is not None:
            self.semantic = SemanticBranch(channels, self.config.num_levels, roi.semantic)
            side = roi.box.roi_size if roi.mask is None else roi.mask.roi_size
            self.pool_semantic = RoIPooling(side, (self.strides[roi.semantic.level],))

    def box_outputs(self, stage: int, features: Features, rois: Tensor) -> tuple[Tensor, Tensor]:
        """(R, 5) RoIs -> logits (R, K + 1) and deltas (R, 4 K or 4) of one stage."""
        pooled = self.pool_boxes(features.maps, rois)
        logits, deltas = self.box_heads[stage](self._with_semantic(pooled, features, rois))
        return logits, deltas

    def mask_features(self, features: Features, rois: Tensor) -> Tensor:
        """(R, 5) RoIs -> pooled features for the mask heads."""
        if self.pool_masks is None:
            raise ConfigError("this detector has no mask heads; choose a kind with masks")
        return self._with_semantic(self.pool_masks(features.maps, rois), features, rois)

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
        return self._decoded(stage, boxes, deltas_of(deltas, best), sizes_hw)

    def classify(
        self, features: Features, proposals: Sequence[Tensor], sizes_hw: Sequence[SizeHW]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run all stages: boxes (N, 4 K or 4) and probabilities (N, K + 1) of each image."""
        boxes = list(proposals)
        stage_logits: list[Tensor] = []
        deltas = boxes[0].new_zeros(0)
        for stage in range(len(self.box_heads)):
            if stage > 0:
                boxes = self.move(stage - 1, boxes, stage_logits[-1], deltas, sizes_hw)
            logits, deltas = self.box_outputs(stage, features, to_rois(boxes))
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
        counts = [own.shape[0] for own in boxes]
        return self._decoded(-1, boxes, deltas, sizes_hw), list(probabilities.split(counts))

    def classify_in_batch(
        self, features: Features, proposals: BatchDetections, limits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `classify`, without a loop over images: boxes (R, 4 K or 4) and probabilities
        (R, K + 1) of the proposals of all.

        Args:
            limits: `B 4` of `limits_of`.
        """
        own_limits = limits.index_select(0, proposals.image)[:, None]  # R 1 4
        rois, stage_logits = proposals.rois, []
        moved = proposals.boxes_xyxy
        for stage, settings in enumerate(self.config.roi.stages):
            rois = torch.cat([rois[:, :1], moved], dim=1)
            logits, deltas = self.box_outputs(stage, features, rois)
            stage_logits.append(logits)
            if stage + 1 < len(self.box_heads):
                deltas = deltas_of(deltas, logits[:, :-1].argmax(1))
            moved = BoxCoder(settings.stds).decode(rois[:, 1:], deltas)
            moved = clip_to(moved.unflatten(1, (-1, 4)), own_limits).flatten(1)
        probabilities = sum(stage_logits[1:], stage_logits[0]) / len(stage_logits)
        return moved, probabilities.softmax(-1)

    def masks(
        self, features: Features, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """(N, s, s) mask probabilities of each image's detections, for their own class."""
        found = self.masks_in_batch(features, to_rois(boxes), torch.cat(list(labels)))
        return found.split([own.shape[0] for own in boxes])

    def masks_in_batch(self, features: Features, rois: Tensor, classes: Tensor) -> Tensor:
        """(R, s, s) mask probabilities of (R, 5) RoIs for their (R,) classes."""
        pooled = self.mask_features(features, rois)
        last_only = self.config.roi.mask is not None and self.config.roi.mask.merge == "last"
        last = len(self.mask_heads) - 1
        heads = self.mask_chain(last) if last_only else self._all_mask_heads()
        found = list(zip(heads, flow_features(heads, pooled), strict=True))
        counted = found[-1:] if last_only else found
        merged = pooled.new_zeros(())
        for head, own in counted:
            merged = merged + head.label_logits(own, classes).sigmoid()
        return merged / len(counted)

    def mask_chain(self, stage: int) -> list[MaskHead]:
        """A stage's mask head, behind the heads whose features flow into it."""
        mask = self.config.roi.mask
        first = 0 if mask is not None and mask.flow else stage
        return self._all_mask_heads()[first : stage + 1]

    def _all_mask_heads(self) -> list[MaskHead]:
        return cast(list[MaskHead], list(self.mask_heads))

    def _decoded(
        self, stage: int, boxes: Sequence[Tensor], deltas: Tensor, sizes_hw: Sequence[SizeHW]
    ) -> list[Tensor]:
        """Boxes of each image moved by (R, 4 or 4 K) deltas of a stage, clipped to the image."""
        coder = BoxCoder(self.config.roi.stages[stage].stds)
        counts = [own.shape[0] for own in boxes]
        return [
            coder.decode(own, moved, size_hw)
            for own, moved, size_hw in zip(boxes, deltas.split(counts), sizes_hw, strict=True)
        ]

    def _with_semantic(self, pooled: Tensor, features: Features, rois: Tensor) -> Tensor:
        if features.semantic is None:
            return pooled
        return fuse(pooled, self.pool_semantic([features.semantic], rois))
