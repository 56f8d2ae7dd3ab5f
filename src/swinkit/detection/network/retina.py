"""RetinaNet: classes and boxes straight from every anchor, without a second stage.

Legend: B batch, C channels, A anchors per place, H W map of a level, K classes,
N anchors of all levels, L anchors of a level, D detections of an image.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swinkit.detection.boxes.anchors import AnchorGrid, octave_scales
from swinkit.detection.boxes.assignment import IGNORED, assign
from swinkit.detection.boxes.geometry import BoxCoder, l1, sigmoid_focal
from swinkit.detection.boxes.instances import InstanceTarget
from swinkit.detection.boxes.suppression import suppress
from swinkit.detection.config import Suppression
from swinkit.detection.network.dense import all_levels, map_sizes, normal_, per_anchor
from swinkit.settings import SizeHW

STRIDES = (8, 16, 32, 64, 128)
# Probability of every class at the start; else the many background anchors swamp the loss.
PRIOR = 0.01
POSITIVE, NEGATIVE = 0.5, 0.4

RetinaOutputs = tuple[list[Tensor], list[Tensor]]
Found = tuple[Tensor, Tensor, Tensor, Tensor]


def retina_anchors() -> AnchorGrid:
    """Nine anchors per place: three ratios, three scales to the octave, on P3 to P7."""
    return AnchorGrid(STRIDES, octave_scales())


class RetinaHead(nn.Module):
    """Two towers of 3x3 convolutions with ReLU, one for classes, one for boxes; all levels share.

    Every anchor trains but those between the thresholds (IoU 0.4 to 0.5): focal loss (alpha 0.25,
    gamma 2) and L1 of the positives' deltas, both divided by the number of positives.

    Args:
        channels: of the pyramid. feature_channels: of the towers; None: as many.
        num_convs: convolutions in each tower.

    Source: 1708.02002; RetinaHead of mmdet (weights initialised from a normal of 0.01, biases 0,
    that of the scores so that each class starts at a probability of 0.01).
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        anchors: AnchorGrid | None = None,
        *,
        feature_channels: int | None = None,
        num_convs: int = 4,
    ) -> None:
        super().__init__()
        width = feature_channels or channels
        self.anchors = anchors or retina_anchors()
        self.num_classes = num_classes
        self.coder = BoxCoder()
        inputs = [channels, *[width] * num_convs]
        self.class_convs, self.box_convs = (
            nn.ModuleList(nn.Conv2d(own, width, 3, padding=1) for own in inputs[:-1])
            for _ in range(2)
        )
        per_place = self.anchors.anchors_per_place
        self.scores = nn.Conv2d(inputs[-1], per_place * num_classes, 3, padding=1)
        self.deltas = nn.Conv2d(inputs[-1], per_place * 4, 3, padding=1)
        normal_(self)
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
    def detect(
        self,
        outputs: RetinaOutputs,
        sizes_hw: Sequence[SizeHW],
        *,
        pre_nms: int = 1000,
        score_threshold: float = 0.05,
        suppression: Suppression | None = None,
        max_per_image: int = 100,
    ) -> list[Found]:
        """Detections of each image, best first.

        The best `pre_nms` pairs of anchor and class that score above the threshold are taken from
        each level, then suppressed class by class over all levels.

        Returns:
            boxes_xyxy (D, 4), clipped to the image, scores (D,), labels (D,) and rows (D,): the
            anchor each came from, counted over all levels; as of `multiclass_nms`.
        """
        sizes = map_sizes(outputs[0])
        grids = self.anchors(sizes, outputs[0][0].device)
        logits = [per_anchor(level, self.num_classes) for level in outputs[0]]
        deltas = [per_anchor(level, 4) for level in outputs[1]]
        found = []
        for image, size_hw in enumerate(sizes_hw):
            boxes, scores, labels, rows = self._candidates(
                [level[image] for level in logits],
                [level[image] for level in deltas],
                grids,
                size_hw,
                pre_nms,
                score_threshold,
            )
            best, kept = suppress(
                boxes, scores, labels, suppression or Suppression(), max_per_image
            )
            found.append((boxes[kept], best, labels[kept], rows[kept]))
        return found

    def _candidates(
        self,
        logits: list[Tensor],
        deltas: list[Tensor],
        grids: list[Tensor],
        size_hw: SizeHW,
        pre_nms: int,
        score_threshold: float,
    ) -> Found:
        """What an image's levels, `L K` and `L 4` each, hold before suppression."""
        boxes, scores, labels, rows = [], [], [], []
        begin = 0
        for level_logits, level_deltas, anchors in zip(logits, deltas, grids, strict=True):
            flat = level_logits.sigmoid().flatten()  # L*K
            pairs = (flat > score_threshold).nonzero().flatten()
            best, order = flat[pairs].topk(min(pre_nms, pairs.numel()))
            anchor = pairs[order] // self.num_classes
            moved = self.coder.decode(anchors[anchor], level_deltas[anchor], size_hw)
            sound = (moved[:, 2:] > moved[:, :2]).all(1)
            boxes.append(moved[sound])
            scores.append(best[sound])
            labels.append((pairs[order] % self.num_classes)[sound])
            rows.append((begin + anchor)[sound])
            begin += anchors.shape[0]
        return torch.cat(boxes), torch.cat(scores), torch.cat(labels), torch.cat(rows)
