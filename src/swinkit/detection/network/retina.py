"""RetinaNet: classes and boxes straight from every anchor, without a second stage.

Legend: B batch, C channels, A anchors per place, H W map of a level, K classes,
N anchors of all levels, L anchors of a level.
"""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_iou

from swinkit.detection.boxes.anchors import (
    AnchorGrid,
    all_levels,
    map_sizes,
    octave_scales,
    per_anchor,
)
from swinkit.detection.boxes.assignment import IGNORED, Sampler, assign
from swinkit.detection.boxes.batch import NO_SCORE, BatchDetections, best_of, limits_of, sound_rows
from swinkit.detection.boxes.geometry import BoxCoder, clip_to, l1, sigmoid_focal
from swinkit.detection.boxes.instances import InstanceTarget, RawDetections
from swinkit.detection.config import RetinaNetConfig
from swinkit.detection.network.base import FPN, DetectionNetwork, Features, Targets
from swinkit.detection.network.rpn import init_normal_
from swinkit.settings import SizeHW
from swinkit.windows.layout import div_mod

# Probability of every class at the start; else the many background anchors swamp the loss.
PRIOR = 0.01
POSITIVE, NEGATIVE = 0.5, 0.4

RetinaOutputs = tuple[list[Tensor], list[Tensor]]


class RetinaHead(nn.Module):
    """Two towers of 3x3 convolutions with ReLU, one for classes, one for boxes; all levels share.

    Every anchor trains but those between the thresholds (IoU 0.4 to 0.5): focal loss (alpha 0.25,
    gamma 2) and L1 of the positives' deltas, both divided by the number of positives.

    Args:
        channels: of the pyramid and of the towers.
        num_convs: convolutions in each tower.

    Source: 1708.02002; RetinaHead of mmdet (weights initialized from a normal of 0.01, biases 0,
    that of the scores so that each class starts at a probability of 0.01).
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        anchors: AnchorGrid,
        num_convs: int,
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.num_classes = num_classes
        self.coder = BoxCoder()
        self.class_convs, self.box_convs = (
            nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(num_convs))
            for _ in range(2)
        )
        per_place = anchors.anchors_per_place
        self.scores = nn.Conv2d(channels, per_place * num_classes, 3, padding=1)
        self.deltas = nn.Conv2d(channels, per_place * 4, 3, padding=1)
        init_normal_(self)
        assert self.scores.bias is not None
        nn.init.constant_(self.scores.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, maps: Sequence[Tensor]) -> RetinaOutputs:
        """`B C H W` of each level -> logits `B A*K H W` and deltas `B A*4 H W` of each level."""
        logits, deltas = [], []
        for level in maps:
            classes = boxes = level
            for layer in self.class_convs:
                classes = F.relu(layer(classes), inplace=True)
            for layer in self.box_convs:
                boxes = F.relu(layer(boxes), inplace=True)
            logits.append(self.scores(classes))
            deltas.append(self.deltas(boxes))
        return logits, deltas

    def losses(
        self, outputs: RetinaOutputs, targets: Sequence[InstanceTarget]
    ) -> dict[str, Tensor]:
        """ "class" and "box": sums over all images divided by their positives, where
        each image counts at least one.
        """
        sizes = map_sizes(outputs[0])
        logits = all_levels(outputs[0], self.num_classes).flatten(0, 1)  # B*N K
        deltas = all_levels(outputs[1], 4).flatten(0, 1)  # B*N 4
        anchors = torch.cat(self.anchors(sizes, logits.device))
        positives, wanted, labels, divisor = [], [], [], 0
        for image, target in enumerate(targets):
            assigned = self._assign(anchors, sizes, target)
            positive = (assigned > 0).nonzero().flatten()
            matched = assigned[positive] - 1
            wanted.append(self.coder.encode(anchors[positive], target.boxes_xyxy[matched]))
            positives.append(positive + image * len(anchors))
            classes = torch.where(assigned < 0, IGNORED, self.num_classes)
            labels.append(classes.index_copy(0, positive, target.labels[matched]))
            divisor += max(positive.numel(), 1)
        own = deltas.index_select(0, torch.cat(positives))
        label = torch.cat(labels)
        rows = (label != IGNORED).nonzero().flatten()
        focal = sigmoid_focal(logits.index_select(0, rows), label[rows])
        box = l1(own, torch.cat(wanted)).sum()
        return {"class": focal.sum() / divisor, "box": box / divisor}

    @torch.no_grad()
    def _assign(self, anchors: Tensor, sizes: list[SizeHW], target: InstanceTarget) -> Tensor:
        """(N,) assignment of an image: -1 for anchors that do not train."""
        assigned = assign(
            anchors,
            target.boxes_xyxy,
            positive=POSITIVE,
            negative=NEGATIVE,
            min_positive=0.0,
            low_quality=True,
            ignored=target.ignored_xyxy,
        )
        inside = self.anchors.inside(sizes, target.size_hw, device=anchors.device)
        return assigned.masked_fill(~inside, IGNORED)

    @torch.no_grad()
    def candidates(
        self,
        outputs: RetinaOutputs,
        sizes_hw: Sequence[SizeHW],
        pre_nms: int,
        score_threshold: float,
    ) -> list[RawDetections]:
        """The best `pre_nms` pairs of anchor and class of each level that score above the
        threshold, their boxes clipped to the image; not yet suppressed.
        """
        grids = self.anchors(map_sizes(outputs[0]), outputs[0][0].device)
        logits = [per_anchor(level, self.num_classes) for level in outputs[0]]
        deltas = [per_anchor(level, 4) for level in outputs[1]]
        found = []
        for image, size_hw in enumerate(sizes_hw):
            parts = [
                self._of_level(own[image], moves[image], anchors, size_hw, pre_nms, score_threshold)
                for own, moves, anchors in zip(logits, deltas, grids, strict=True)
            ]
            boxes, scores, labels = (torch.cat(values) for values in zip(*parts, strict=True))
            found.append(RawDetections(boxes_xyxy=boxes, scores=scores, labels=labels))
        return found

    def candidates_in_batch(
        self, outputs: RetinaOutputs, limits: Tensor, pre_nms: int, score_threshold: float
    ) -> BatchDetections:
        """As `candidates`, without a loop over images or a branch on sizes.

        Args:
            limits: `B 4` of `limits_of`.
        """
        boxes, scores, labels = [], [], []
        grids = self.anchors(map_sizes(outputs[0]), outputs[0][0].device)
        for logits, deltas, anchors in zip(*outputs, grids, strict=True):
            flat = per_anchor(logits, self.num_classes).sigmoid().flatten(1)  # B L*K
            values, pairs = best_of(torch.where(flat > score_threshold, flat, NO_SCORE), pre_nms)
            anchor, label = div_mod(pairs, self.num_classes)  # B k
            moved = self.coder.decode_rows(anchors, per_anchor(deltas, 4), anchor)
            boxes.append(clip_to(moved, limits[:, None]))
            scores.append(values)
            labels.append(label)
        return sound_rows(boxes, scores, labels)

    def _of_level(
        self,
        logits: Tensor,
        deltas: Tensor,
        anchors: Tensor,
        size_hw: SizeHW,
        pre_nms: int,
        score_threshold: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels from an image's `L K` logits and `L 4` deltas of a level."""
        flat = logits.sigmoid().flatten()  # L*K
        pairs = (flat > score_threshold).nonzero().flatten()
        scores, order = flat[pairs].topk(min(pre_nms, pairs.numel()))
        anchor = pairs[order] // self.num_classes
        boxes = self.coder.decode(anchors[anchor], deltas[anchor], size_hw)
        sound = (boxes[:, 2:] > boxes[:, :2]).all(1)
        return boxes[sound], scores[sound], (pairs[order] % self.num_classes)[sound]


class RetinaNet(DetectionNetwork):
    """Backbone, a pyramid from its second map on, and one head for all levels (1708.02002)."""

    config: RetinaNetConfig
    first_stage: ClassVar[int] = 1

    def __init__(self, config: RetinaNetConfig) -> None:
        super().__init__(config)
        widths, channels = config.backbone.channels[self.first_stage :], config.fpn_channels
        self.fpn = FPN(widths, channels, config.num_levels, extra="conv")
        anchors = AnchorGrid(self.strides, octave_scales())
        self.retina = RetinaHead(channels, config.num_classes, anchors, config.retina.num_convs)

    def candidates(
        self, features: Features, sizes_hw: Sequence[SizeHW], score_threshold: float
    ) -> list[RawDetections]:
        outputs = self.retina(features.maps)
        return self.retina.candidates(
            outputs, sizes_hw, self.config.retina.pre_nms, score_threshold
        )

    def class_probability(
        self, features: Features, box_xyxy: Tensor, label: int, size_hw: SizeHW
    ) -> Callable[[Features], Tensor]:
        with torch.no_grad():
            outputs = self.retina(features.maps)
            anchors = torch.cat(self.retina.anchors(map_sizes(outputs[0]), box_xyxy.device))
            moved = self.retina.coder.decode(anchors, all_levels(outputs[1], 4)[0], size_hw)
            anchor = int(box_iou(box_xyxy[None], moved)[0].argmax())  # that became the box

        def probability(features: Features) -> Tensor:
            logits = all_levels(self.retina(features.maps)[0], self.num_classes)
            return logits[:, anchor, label].sigmoid()

        return probability

    def candidates_in_batch(
        self, features: Features, sizes_hw: Tensor, score_threshold: float
    ) -> BatchDetections:
        return self.retina.candidates_in_batch(
            self.retina(features.maps),
            limits_of(sizes_hw),
            self.config.retina.pre_nms,
            score_threshold,
        )

    def batch_losses(
        self, images: Tensor, targets: Targets, sampler: Sampler, semantic_maps: Tensor | None
    ) -> dict[str, Tensor]:
        """ "class" and "box"; all anchors train, so nothing is sampled."""
        return self.retina.losses(self.retina(self.pyramid(images)), targets)
